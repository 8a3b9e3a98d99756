"""S3-FIFO: a small queue that newcomers have to pass, a main queue, and a memory of those that did not pass.

J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023. Choose it when many keys
are asked for once (most web and database traffic): such a key costs a place in a tenth of the budget and no more. A hit costs next to
nothing. It is at its weakest where a key's second use comes after it has passed through the small queue and out of the memory.

    newcomer -> small (a tenth of the bytes) -- used twice there ------> main: goes round while it is used
                                             -- else: gone, a ghost --> main, if it comes back in time

Uses are counted up to three. Sizes are bytes: of the small queue what its entries cost, and of the ghosts what theirs did, up to nine
tenths of the budget. There are never more ghosts than entries, so that many small ones cannot take a memory nobody charges for.
"""

from __future__ import annotations

from array import array
from typing import ClassVar, Final

from zmcache.core.eviction.base import SPARED_MOST, cover
from zmcache.core.eviction.ghosts import Ghosts
from zmcache.core.eviction.uselog import Marks, UseLog

SMALL_SHARE: Final = 0.1  # the paper's: 5 to 20 % are alike on most of its traces
GHOST_SHARE: Final = 0.9
MOST_USES: Final = 3
PASSING_USES: Final = 2


class S3Fifo:
    """See `zmcache.core.eviction.base.EvictionPolicy`. 10 bytes an entry, and 20 to 30 for its ghost."""

    ENTRY_BYTES: ClassVar = 40

    __slots__ = (
        "_budget_bytes",
        "_costs",
        "_ghosts",
        "_in_main",
        "_main",
        "_marks",
        "_returns",
        "_small",
        "_small_bytes",
        "_uses",
    )

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._marks = Marks()
        self._small, self._main = UseLog(self._marks), UseLog(self._marks)
        self._small_bytes = 0
        self._ghosts = Ghosts()
        self._costs = array("I")
        self._uses = bytearray()
        self._in_main = bytearray()
        self._returns = False  # whether the one that arrives was a ghost

    def resize(self, budget_bytes: int) -> None:
        """Both queues come to their new shares as entries come and go."""
        self._budget_bytes = budget_bytes

    def arriving(self, identity: int, cost: int) -> None:
        """Whether it comes back in time for the main queue."""
        self._returns = self._ghosts.discard(identity)

    def inserted(self, slot: int, cost: int) -> None:
        """At the end of one of the queues."""
        self._marks.cover(slot)
        cover(slot, self._costs, self._uses, self._in_main)
        self._costs[slot] = cost
        self._uses[slot] = 0
        if self._returns:
            self._in_main[slot] = 1
            self._main.append(slot)
        else:
            self._in_main[slot] = 0
            self._small.append(slot)
            self._small_bytes += cost

    def resized(self, slot: int, cost: int) -> None:
        """A use; it stays where it is."""
        if not self._in_main[slot]:
            self._small_bytes += cost - self._costs[slot]
        self._costs[slot] = cost
        self.touched([slot])

    def touched(self, slots: list[int]) -> None:
        """Count these uses. About 30 ns each."""
        uses = self._uses
        for slot in slots:
            if uses[slot] < MOST_USES:
                uses[slot] += 1

    def removed(self, slot: int) -> None:
        """It leaves no ghost: nobody was short of room."""
        self._take_out(slot)

    def victim(self) -> int:
        """The oldest that has not earned a further round, from the small queue if that has its share."""
        for _ in range(SPARED_MOST):
            queue = self._evicting
            slot = queue.oldest()
            if queue is self._small:
                if self._uses[slot] < PASSING_USES:
                    return slot
                self._take_out(slot)
                self._in_main[slot] = 1
                self._uses[slot] = 0
            else:
                if not self._uses[slot]:
                    return slot
                self._main.remove(slot)
                self._uses[slot] -= 1
            self._main.append(slot)
        return self._evicting.oldest()

    @property
    def _evicting(self) -> UseLog:
        is_full = self._small_bytes >= self._budget_bytes * SMALL_SHARE
        return self._small if self._small and (is_full or not self._main) else self._main

    def evicted(self, slot: int, identity: int) -> None:
        """A ghost, if it had not passed."""
        if not self._in_main[slot]:
            self._ghosts.append(identity, self._costs[slot])
            self._ghosts.trim(int(self._budget_bytes * GHOST_SHARE), len(self._small) + len(self._main))
        self._take_out(slot)

    def _take_out(self, slot: int) -> None:
        if self._in_main[slot]:
            self._main.remove(slot)
        else:
            self._small.remove(slot)
            self._small_bytes -= self._costs[slot]
