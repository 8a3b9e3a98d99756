"""The hot cache: copies, on this node, of popular keys that other nodes own.

It is a store of its own with a policy of its own, so that copies crowd out copies only. A key is let in when it was asked for `THRESHOLD` times
within a window (`zmcache.core.popularity`), and where that takes another's place, more often than that one. What is asked of copies counts, so that a
popular one comes back at once.

A copy lives for the group's hot expiry at most. Its owner usually tells this node when it is old, which is sooner; then it is given for no longer
than the owner's word is good (`zmcache.core.relying`).
"""

from __future__ import annotations

from typing import Final

from zmcache.core.marks import Held
from zmcache.core.popularity import Popularity
from zmcache.core.relying import Relying, Teller
from zmcache.core.store import Store

# groupcache keeps a copy of one answer in ten by chance; a second request within the window says more, and keeps scans out.
THRESHOLD: Final = 2
_WINDOW_S: Final = 1.0  # or the copies' lives, where these are longer
_ITEM_SHARE: Final = 0.125  # of the copies' room, for one of them


class HotCache(Store):
    """A store of copies that live for ``ttl_s`` at most."""

    __slots__ = ("_popularity", "_ttl_s", "lost", "relying", "told_old")

    def __init__(self, budget_bytes: int, ttl_s: float) -> None:
        # Its next victim is the least popular, or nearly: the one with the fewest uses, which age.
        super().__init__(budget_bytes, "lfu", _ITEM_SHARE)
        self._ttl_s = ttl_s
        self._popularity = Popularity(max(ttl_s, _WINDOW_S))
        self.relying = Relying(self)
        self.told_old = 0
        """Copies that went because their owner said so."""
        self.lost = 0
        """Copies that went because it might not have."""

    def wants(self, key: str, now_s: float) -> bool:
        """Whether the next answer is likely to be kept. About 0.3 us."""
        return self._budget_bytes > 0 and self._popularity.rate(key, now_s) + 1 >= THRESHOLD

    def offer(self, key: str, value: Held, expires_at_s: float, now_s: float, teller: Teller | None = None) -> None:
        """The owner has answered with ``value``: count that, and keep a copy if the key is popular and the value still has a life. ``teller``: who
        tells when it is old.
        """
        rate = self._popularity.count(key, now_s)
        life_s = min(self._ttl_s, expires_at_s - now_s)
        if life_s <= 0 or rate < THRESHOLD:
            return
        least = self.first_to_go_for(key, value)
        if least is not None and rate <= self._popularity.rate(least, now_s):
            return
        if self.set(key, value, now_s + life_s, now_s, int(now_s * 1000)) and teller is not None:
            self.relying.rely(teller, key, now_s)

    def hear(self, keys: list[str], now_s: float) -> None:
        """Their owner says that these are old."""
        self.told_old += sum(self.delete(key, now_s) for key in keys)

    def lose(self, teller: Teller, now_s: float) -> None:
        """It may not have said so of all."""
        self.lost += self.relying.drop(teller, now_s)

    def lose_all(self, now_s: float) -> None:
        """Keys have other owners, who have not been asked to say so of any."""
        for teller in self.relying:
            self.lose(teller, now_s)

    def lose_silent(self, now_s: float) -> None:
        """Give no copy whose owner has been silent for too long."""
        if now_s >= self.relying.good_until_s[0]:
            self.lost += self.relying.drop_silent(now_s)

    def copied_s(self, key: str) -> float:
        """When the copy of ``key`` was made."""
        # No two copies are ever compared, so the place of the version is free.
        return self.version_of(key) / 1000

    def read(self, key: str, now_s: float) -> Held | None:
        """`get`, and counted."""
        if now_s >= self.relying.good_until_s[0]:
            self.lose_silent(now_s)
        value = self.get(key, now_s)
        if value is not None:
            self._popularity.count(key, now_s)
        return value

    def fill(self, keys: list[str], values: list[Held | None], ends: list[float], now_s: float) -> list[int]:
        """Put copies where ``values`` has None, and when they end into ``ends``; the positions that were filled."""
        filled: list[int] = []
        if len(self) and None in values:
            if now_s >= self.relying.good_until_s[0]:
                self.lose_silent(now_s)
            for position, value in enumerate(values):
                if value is None and (copy := self.lookup(keys[position], now_s)) is not None:
                    values[position], ends[position] = copy
                    self._popularity.count(keys[position], now_s)
                    filled.append(position)
        return filled
