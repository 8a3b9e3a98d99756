"""The hot cache: copies, on this node, of popular keys that other nodes own.

It is a store of its own with a policy of its own, so that copies crowd out copies only, and it lets in what was asked for often enough
(`zmcache.core.popularity`). A copy lives for the group's hot expiry at most: nobody tells this node of a set or a delete at the owner.
"""

from __future__ import annotations

from zmcache.core.eviction import make_policy
from zmcache.core.popularity import Popularity
from zmcache.core.store import Store


class HotCache(Store):
    """A store of copies that live for ``ttl_s`` at most."""

    __slots__ = ("_popularity", "_ttl_s")

    def __init__(self, budget_bytes: int, ttl_s: float) -> None:
        super().__init__(budget_bytes, make_policy("lru"))
        self._ttl_s = ttl_s
        self._popularity = Popularity(max(ttl_s, 1.0))

    def offer(self, key: str, value: bytes, expires_at_s: float, now_s: float) -> None:
        """The owner has answered with ``value``: count that, and keep a copy if the key is popular and the value still has a life."""
        life_s = min(self._ttl_s, expires_at_s - now_s)
        if life_s > 0 and self._popularity.is_popular(key, now_s):
            self.set(key, value, now_s + life_s, now_s)

    def fill(self, keys: list[str], values: list[bytes | None], ends: list[float], now_s: float) -> list[int]:
        """Put copies where ``values`` has None, and when they end into ``ends``; the positions that were filled."""
        filled: list[int] = []
        if len(self) and None in values:
            for position, value in enumerate(values):
                if value is None and (copy := self.lookup(keys[position], now_s)) is not None:
                    values[position], ends[position] = copy
                    filled.append(position)
        return filled
