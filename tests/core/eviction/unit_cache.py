"""A cache of items of one size around a policy of the product: what the store does, without keys, values and time."""

from __future__ import annotations

from zmcache.core.eviction import EvictionPolicy


class UnitCache:
    """``batch``: how many hits the policy hears of at once, as far as nothing else happens in between."""

    def __init__(self, policy: EvictionPolicy, items: int, batch: int = 1024) -> None:
        self.policy = policy
        self.items = items
        self.batch = batch
        self.slot_of: dict[int, int] = {}
        self.key_of: dict[int, int] = {}
        self.free = list(range(items, 0, -1))
        self.touched: list[int] = []

    def access(self, key: int) -> tuple[bool, list[int]]:
        """As of the references."""
        slot = self.slot_of.get(key)
        if slot is not None:
            self.touched.append(slot)
            if len(self.touched) >= self.batch:
                self.flush()
            return True, []
        self.flush()
        self.policy.arriving(key, 1)
        evicted = [self.evict()] if len(self.slot_of) == self.items else []
        slot = self.free.pop()
        self.slot_of[key], self.key_of[slot] = slot, key
        self.policy.inserted(slot, 1)
        return False, evicted

    def remove(self, key: int) -> None:
        """Delete one that is there."""
        self.flush()
        slot = self.slot_of.pop(key)
        del self.key_of[slot]
        self.policy.removed(slot)
        self.free.append(slot)

    def evict(self) -> int:
        """Evict one; its key."""
        slot = self.policy.victim()
        key = self.key_of.pop(slot)
        del self.slot_of[key]
        self.policy.evicted(slot, key)
        self.free.append(slot)
        return key

    def flush(self) -> None:
        """Tell the policy of the hits since."""
        if self.touched:
            self.policy.touched(self.touched)
            self.touched.clear()
