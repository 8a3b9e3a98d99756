"""SIEVE: entries stay in the order in which they came; a hand goes round and takes the first that was not used since it last passed.

Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi, "SIEVE is simpler than LRU: an efficient turn-key eviction algorithm for web
caches", NSDI 2024. Choose it for web-like traffic with many keys that are asked for once: a hit costs next to nothing, and newcomers
that nobody asks for again go early, since the hand meets them soon. It has no memory of what has gone, and keys of a scan that are
each read twice pass its test.

The paper's list with a hand in it is two queues here. What the hand has yet to meet, up to the newest, is *ahead*; what it has met
and spared is *behind*, in the same order. When nothing is ahead, the hand begins again at the oldest: they change places.
"""

from __future__ import annotations

from typing import ClassVar

from zmcache.core.eviction.base import SPARED_MOST, cover
from zmcache.core.eviction.uselog import Marks, UseLog


class Sieve:
    """See `zmcache.core.eviction.base.EvictionPolicy`. 10 bytes an entry."""

    ENTRY_BYTES: ClassVar = 10

    __slots__ = ("_ahead", "_marks", "_queue_of", "_queues", "_used")

    def __init__(self, budget_bytes: int) -> None:
        self._marks = Marks()
        self._queues = UseLog(self._marks), UseLog(self._marks)
        self._ahead = 0  # which of the two is ahead of the hand
        self._queue_of = bytearray()
        self._used = bytearray()

    def resize(self, budget_bytes: int) -> None:
        """The order does not depend on it."""

    def arriving(self, identity: int, cost: int) -> None:
        """Nothing is remembered of what has gone."""

    def inserted(self, slot: int, cost: int) -> None:
        """The newest of all, and not used yet."""
        self._marks.cover(slot)
        cover(slot, self._queue_of, self._used)
        self._used[slot] = 0
        self._put(slot, self._ahead)

    def resized(self, slot: int, cost: int) -> None:
        """A use like any other."""
        self._used[slot] = 1

    def touched(self, slots: list[int]) -> None:
        """The hand will spare these, once. About 15 ns each."""
        used = self._used
        for slot in slots:
            used[slot] = 1

    def removed(self, slot: int) -> None:
        """The hand passes over its place."""
        self._queues[self._queue_of[slot]].remove(slot)
        # At once: what comes now is the newest of all, and the hand is to meet it last.
        if not self._queues[self._ahead]:
            self._ahead ^= 1

    def victim(self) -> int:
        """The first that was not used, from the hand on; those before it have been spared then, and have to be used again."""
        for _ in range(SPARED_MOST):
            slot = self._queues[self._ahead].oldest()
            if not self._used[slot]:
                return slot
            self._used[slot] = 0
            behind = self._ahead ^ 1
            self.removed(slot)
            self._put(slot, behind)
        return self._queues[self._ahead].oldest()

    def evicted(self, slot: int, identity: int) -> None:
        """As `removed`."""
        self.removed(slot)

    def _put(self, slot: int, queue: int) -> None:
        self._queue_of[slot] = queue
        self._queues[queue].append(slot)
