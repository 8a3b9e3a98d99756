"""W-TinyLFU: newcomers live in a window; who leaves it must have been asked for more often than the entry that it would displace.

G. Einziger, R. Friedman, B. Manes, "TinyLFU: a highly efficient cache admission policy", ACM Transactions on Storage 13 (2017). Choose it
where keys differ much in popularity and hits are worth more than the time of the cache: a hit costs the most of all policies here.

    newcomer -> window (LRU, 1 % of the bytes at first) -> asked for more often than the oldest on probation? else gone
    main:  probation (LRU) -- used --> protected (LRU, up to four fifths of main) -- oldest, when there are too many --> probation

The window adapts as ARC's aim does, by what comes back: of what left the cache from the window, and from main, a quarter as many are remembered
as there are entries. One that comes back makes the side larger that it was lost by, by what it costs. (Hill climbing by the hit ratio, as in
G. Einziger, O. Eytan, R. Friedman, B. Manes, "Adaptive software cache management", Middleware 2018, was measured first: where the ratio moves more
by the traffic than by the window, as on database accesses, it lost 3 points to LRU at 5,000 items, and this gains a few tenths.)

How often something was asked for is in a `Sketch`, which remembers what has gone as well. What wins by its count is settled one against one,
whatever their sizes. A tie goes to the older, and from 6 uses on, once in 128 times by the count of decisions, to the newcomer:
who knows the hash could otherwise keep everybody out with a few keys.
"""

from __future__ import annotations

from array import array
from typing import ClassVar, Final

from zmcache.core.eviction.base import cover
from zmcache.core.eviction.ghosts import Ghosts
from zmcache.core.eviction.sketch import Sketch
from zmcache.core.eviction.uselog import Marks, UseLog

PROTECTED_SHARE: Final = 0.8  # of main
FIRST_SHARE: Final = 0.01  # of the window
LAST_SHARE: Final = 0.99
GHOSTS_SHARE: Final = 0.25  # of the entries, and of the budget, for each side; more is slower to forget and no better
_MOVES: Final = 4  # out of a window that has become smaller, with each newcomer: all at once would hold the loop
_DEMOTED_MOST: Final = 100  # by one promotion, however large; the next ones see to the rest
_WARM: Final = 6
_LUCKY: Final = 128
_WINDOW, _PROBATION, _PROTECTED = 0, 1, 2  # all but the first are main


class WTinyLfu:
    """See `zmcache.core.eviction.base.EvictionPolicy`. 17 to 25 bytes an entry, 8 to 16 for the sketch, and 14 for ghosts."""

    ENTRY_BYTES: ClassVar = 52

    __slots__ = (
        "_arriving", "_budget_bytes", "_bytes", "_costs", "_decisions", "_identities", "_main_ghosts", "_marks", "_queue_of", "_queues", "_sketch",
        "_window_bytes", "_window_ghosts",
    )  # fmt: skip

    def __init__(self, budget_bytes: int) -> None:
        self._marks = Marks()
        self._queues = UseLog(self._marks), UseLog(self._marks), UseLog(self._marks)
        self._bytes = [0, 0, 0]
        self._identities = array("q")
        self._costs = array("I")
        self._queue_of = bytearray()
        self._sketch = Sketch()
        self._window_ghosts, self._main_ghosts = Ghosts(), Ghosts()
        self._decisions = 0
        self._arriving = 0, 0
        self._budget_bytes = budget_bytes
        self._window_bytes = budget_bytes * FIRST_SHARE

    def resize(self, budget_bytes: int) -> None:
        """The window keeps its share."""
        self._window_bytes *= budget_bytes / max(self._budget_bytes, 1)
        self._budget_bytes = budget_bytes

    def arriving(self, identity: int, cost: int) -> None:
        """A miss: counted like a use, and the window learns from a ghost that comes back."""
        self._arriving = identity, cost
        self._sketch.add((identity,))
        if self._window_ghosts.discard(identity):
            self._window_bytes = min(self._window_bytes + cost, self._budget_bytes * LAST_SHARE)
        elif self._main_ghosts.discard(identity):
            self._window_bytes = max(self._window_bytes - cost, self._budget_bytes * FIRST_SHARE)

    def inserted(self, slot: int, cost: int) -> None:
        """Into the window; for what it has no room for there was room in main."""
        self._marks.cover(slot)
        cover(slot, self._identities, self._costs, self._queue_of)
        self._identities[slot] = self._arriving[0]
        self._arriving = 0, 0
        self._costs[slot] = cost
        self._put(slot, _WINDOW)
        self._sketch.cover(sum(map(len, self._queues)))
        for _ in range(_MOVES):
            if self._bytes[_WINDOW] <= self._window_bytes:
                break
            self._move(self._queues[_WINDOW].oldest(), _PROBATION)

    def resized(self, slot: int, cost: int) -> None:
        """A use like any other."""
        self._bytes[self._queue_of[slot]] += cost - self._costs[slot]
        self._costs[slot] = cost
        self.touched([slot])

    def touched(self, slots: list[int]) -> None:
        """Count these uses, and put each where it belongs. About 0.8 us each."""
        identities = self._identities
        self._sketch.add([identities[slot] for slot in slots])
        queue_of, queues = self._queue_of, self._queues
        for slot in slots:
            queue = queue_of[slot]
            if queue == _PROBATION:
                self._promote(slot)
            else:
                queues[queue].use([slot])

    def removed(self, slot: int) -> None:
        """Its count stays."""
        queue = self._queue_of[slot]
        self._queues[queue].remove(slot)
        self._bytes[queue] -= self._costs[slot]

    def victim(self) -> int:
        """The oldest on probation, or the one that has to leave the window and does not win against it."""
        window, probation, protected = self._queues
        old = probation or protected
        if not old:
            return window.oldest()
        victim = old.oldest()
        if window and self._bytes[_WINDOW] + self._arriving[1] > self._window_bytes:
            candidate = window.oldest()
            if not self._wins(candidate, victim):
                return candidate
            self._move(candidate, _PROBATION)
        return victim

    def evicted(self, slot: int, identity: int) -> None:
        """A ghost of the side it was on."""
        ghosts = self._main_ghosts if self._queue_of[slot] else self._window_ghosts
        ghosts.append(identity, self._costs[slot])
        room, entries = int(self._budget_bytes * GHOSTS_SHARE), int(sum(map(len, self._queues)) * GHOSTS_SHARE)
        self._window_ghosts.trim(room, entries)
        self._main_ghosts.trim(room, entries)
        self.removed(slot)

    def _wins(self, candidate: int, victim: int) -> bool:
        asked = self._sketch.estimate(self._identities[candidate])
        if asked > self._sketch.estimate(self._identities[victim]):
            return True
        self._decisions += 1
        return asked >= _WARM and self._decisions % _LUCKY == 0

    def _promote(self, slot: int) -> None:
        self._move(slot, _PROTECTED)
        room_bytes = (self._budget_bytes - self._window_bytes) * PROTECTED_SHARE
        for _ in range(_DEMOTED_MOST):
            if self._bytes[_PROTECTED] <= room_bytes or len(self._queues[_PROTECTED]) == 1:
                break
            self._move(self._queues[_PROTECTED].oldest(), _PROBATION)

    def _move(self, slot: int, queue: int) -> None:
        self.removed(slot)
        self._put(slot, queue)

    def _put(self, slot: int, queue: int) -> None:
        self._queue_of[slot] = queue
        self._queues[queue].append(slot)
        self._bytes[queue] += self._costs[slot]
