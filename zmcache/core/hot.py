"""The hot cache: copies, on this node, of popular keys that other nodes own.

It is a store of its own with a policy of its own, so that copies crowd out copies only. A key is let in when it was asked for `THRESHOLD` times
within a window (`zmcache.core.popularity`), and where that takes another's place, more often than that one. A copy lives for the group's hot
expiry at most: nobody tells this node of a set or a delete at the owner. What is asked of copies counts, so that a popular one comes back at once.
"""

from __future__ import annotations

from typing import Final

from zmcache.core.marks import Held
from zmcache.core.popularity import Popularity
from zmcache.core.store import Store

# groupcache keeps a copy of one answer in ten by chance; a second request within the window says more, and keeps scans out.
THRESHOLD: Final = 2
_WINDOW_S: Final = 1.0  # or the copies' lives, where these are longer
_ITEM_SHARE: Final = 0.125  # of the copies' room, for one of them


class HotCache(Store):
    """A store of copies that live for ``ttl_s`` at most."""

    __slots__ = ("_popularity", "_ttl_s")

    def __init__(self, budget_bytes: int, ttl_s: float) -> None:
        # Its next victim is the least popular, or nearly: the one with the fewest uses, which age.
        super().__init__(budget_bytes, "lfu", _ITEM_SHARE)
        self._ttl_s = ttl_s
        self._popularity = Popularity(max(ttl_s, _WINDOW_S))

    def offer(self, key: str, value: Held, expires_at_s: float, now_s: float) -> None:
        """The owner has answered with ``value``: count that, and keep a copy if the key is popular and the value still has a life."""
        rate = self._popularity.count(key, now_s)
        life_s = min(self._ttl_s, expires_at_s - now_s)
        if life_s <= 0 or rate < THRESHOLD:
            return
        least = self.first_to_go_for(key, value)
        if least is None or rate > self._popularity.rate(least, now_s):
            self.set(key, value, now_s + life_s, now_s, int(now_s * 1000))

    def copied_s(self, key: str) -> float:
        """When the copy of ``key`` was made."""
        # No two copies are ever compared, so the place of the version is free.
        return self.version_of(key) / 1000

    def read(self, key: str, now_s: float) -> Held | None:
        """`get`, and counted."""
        value = self.get(key, now_s)
        if value is not None:
            self._popularity.count(key, now_s)
        return value

    def fill(self, keys: list[str], values: list[Held | None], ends: list[float], now_s: float) -> list[int]:
        """Put copies where ``values`` has None, and when they end into ``ends``; the positions that were filled."""
        filled: list[int] = []
        if len(self) and None in values:
            for position, value in enumerate(values):
                if value is None and (copy := self.lookup(keys[position], now_s)) is not None:
                    values[position], ends[position] = copy
                    self._popularity.count(keys[position], now_s)
                    filled.append(position)
        return filled
