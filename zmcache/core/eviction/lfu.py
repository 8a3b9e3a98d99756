"""Least frequently used, with ageing: the entry with the fewest uses goes first, and uses of long ago weigh less and less.

LFU with dynamic ageing (LFU-DA): M. Arlitt, L. Cherkasova, J. Dilley, R. Friedrich, T. Jin, "Evaluating content management techniques for Web
proxy caches", ACM SIGMETRICS Performance Evaluation Review 27 (2000). Choose it when what is popular stays popular for long, as in catalogues
and reference data; where popularity moves it holds on to yesterday's.

An entry's *rank* is its number of uses plus the age of the cache at the last of them; the age is the rank of the last victim. So an entry that
is used no more is overtaken, sooner or later, by newcomers, which begin one above the age. Of equal rank the one whose last use is the oldest goes.
Uses are counted up to `MOST_USES`: then no more than as many ranks are in use at once, and each is a queue.
"""

from __future__ import annotations

from typing import ClassVar, Final

from zmcache.core.eviction.base import cover
from zmcache.core.eviction.uselog import Marks, UseLog

MOST_USES: Final = 255


class Lfu:
    """See `zmcache.core.eviction.base.EvictionPolicy`. 10 to 18 bytes an entry."""

    ENTRY_BYTES: ClassVar = 18

    __slots__ = ("_age", "_marks", "_rank_of", "_ranks", "_uses")

    def __init__(self, budget_bytes: int) -> None:
        self._marks = Marks()
        self._age = 0
        self._uses = bytearray()
        self._rank_of = bytearray()  # modulo MOST_USES + 1: ranks in use lie between the age and that much above it
        self._ranks: list[UseLog | None] = [None] * (MOST_USES + 1)

    def resize(self, budget_bytes: int) -> None:
        """The order does not depend on it."""

    def arriving(self, identity: int, cost: int) -> None:
        """Uses are forgotten with the entry."""

    def inserted(self, slot: int, cost: int) -> None:
        """Coming is its first use."""
        self._marks.cover(slot)
        cover(slot, self._uses, self._rank_of)
        self._uses[slot] = 1
        self._put(slot, self._age + 1)

    def resized(self, slot: int, cost: int) -> None:
        """A use like any other."""
        self.touched([slot])

    def touched(self, slots: list[int]) -> None:
        """One use more for each, at the age of now. About 0.4 us each."""
        all_uses, ranks, rank_of, age = self._uses, self._ranks, self._rank_of, self._age
        for slot in slots:
            uses = all_uses[slot]
            if uses < MOST_USES:
                uses += 1
                all_uses[slot] = uses
            rank, before = age + uses & MOST_USES, rank_of[slot]
            queue = ranks[rank]
            if queue is None:
                queue = ranks[rank] = UseLog(self._marks)
            queue.append(slot)
            rank_of[slot] = rank
            if not ranks[before].leave():  # type: ignore[union-attr]  # the rank of a slot in use has a queue
                ranks[before] = None

    def removed(self, slot: int) -> None:
        """It has no place any more."""
        rank = self._rank_of[slot]
        queue = self._queue_of(slot)
        queue.remove(slot)
        if not queue:
            self._ranks[rank] = None

    def victim(self) -> int:
        """The slot of the lowest rank whose last use is the oldest."""
        for rank in range(self._age, self._age + MOST_USES + 1):
            queue = self._ranks[rank & MOST_USES]
            if queue:
                return queue.oldest()
        raise LookupError("no entry is left to be evicted")

    def evicted(self, slot: int, identity: int) -> None:
        """The cache has the age of its rank now."""
        self._age += self._rank_of[slot] - self._age & MOST_USES
        self.removed(slot)

    def _queue_of(self, slot: int) -> UseLog:
        queue = self._ranks[self._rank_of[slot]]
        assert queue is not None, "the slot is not in use"
        return queue

    def _put(self, slot: int, rank: int) -> None:
        rank &= MOST_USES
        self._rank_of[slot] = rank
        queue = self._ranks[rank]
        if queue is None:
            queue = self._ranks[rank] = UseLog(self._marks)
        queue.append(slot)
