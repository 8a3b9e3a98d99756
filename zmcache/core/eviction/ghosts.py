"""Ghosts: what is remembered of entries that have gone, by their identity and cost, oldest first. For policies that learn from what comes back.

Each ghost has a place, a small whole number, and the places are a list by two arrays of neighbours. A table finds a place by identity (open
addressing with linear probing); it is cut into parts, each of which grows alone, so that no single insert moves more than a few thousand
places. Nothing here is for the garbage collector to visit: 20 bytes a ghost, and 6 to 12 in the table.
"""

from __future__ import annotations

from array import array
from typing import Final

from zmcache.core.eviction.base import cover

_PART_BITS: Final = 9
_SPREAD: Final = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: identities may be small whole numbers
_WORD: Final = (1 << 64) - 1
_NO_PART: Final = array("I", [0])  # until the first ghost of a part comes; nothing is ever written to it
_FIRST_PLACES: Final = 8
TRIMMED_MOST: Final = 100


class Ghosts:
    """Identities, each once, oldest first. A call costs about 1 us."""

    __slots__ = ("_after", "_before", "_bytes", "_costs", "_count", "_free", "_identities", "_in_part", "_parts")

    def __init__(self) -> None:
        # By place; place 0 is both ends of the list.
        self._identities = array("Q")
        self._costs = array("I")
        self._after = array("I")
        self._before = array("I")
        cover(0, self._identities, self._costs, self._after, self._before)
        self._free = 1  # the first free place; the next of a free one is in _after, or 0: the one that follows it
        self._parts = [_NO_PART] * (1 << _PART_BITS)
        self._in_part = array("I", bytes(4 << _PART_BITS))
        self._count = self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def used_bytes(self) -> int:
        """What they cost when they were entries, together."""
        return self._bytes

    def append(self, identity: int, cost: int) -> None:
        """The newest of all; a ghost that it had already goes."""
        self.discard(identity)
        spread = identity * _SPREAD & _WORD
        place = self._take_place()
        self._identities[place], self._costs[place] = spread, cost
        last = self._before[0]
        self._after[last] = self._before[0] = place
        self._before[place], self._after[place] = last, 0
        self._enter(spread, place)
        self._count += 1
        self._bytes += cost

    def discard(self, identity: int) -> bool:
        """Forget it; whether there was one."""
        spread = identity * _SPREAD & _WORD
        at = self._find(spread)
        if at < 0:
            return False
        self._remove(spread >> 64 - _PART_BITS, at)
        return True

    def pop_oldest(self) -> None:
        """Forget the oldest. There has to be one."""
        spread = self._identities[self._after[0]]
        self._remove(spread >> 64 - _PART_BITS, self._find(spread))

    def trim(self, bytes_allowed: int, count_allowed: int) -> None:
        """Forget the oldest until there are no more than that, or `TRIMMED_MOST` have gone: what a smaller budget leaves over goes in
        as many calls as it takes.
        """
        for _ in range(TRIMMED_MOST):
            if not self._count or (self._bytes <= bytes_allowed and self._count <= count_allowed):
                break
            self.pop_oldest()

    # -- places ----------------------------------------------------------------------------------------------------

    def _take_place(self) -> int:
        place = self._free
        if place >= len(self._after):
            cover(place, self._identities, self._costs, self._after, self._before)
        self._free = self._after[place] or place + 1
        return place

    def _remove(self, number: int, at: int) -> None:
        part = self._parts[number]
        place = part[at]
        self._close_gap(part, at)
        self._in_part[number] -= 1
        before, after = self._before[place], self._after[place]
        self._after[before], self._before[after] = after, before
        self._after[place], self._free = self._free, place
        self._count -= 1
        self._bytes -= self._costs[place]

    # -- the table -------------------------------------------------------------------------------------------------

    def _find(self, spread: int) -> int:
        """Where in its part it stands; -1: nowhere."""
        part = self._parts[spread >> 64 - _PART_BITS]
        mask = len(part) - 1
        identities = self._identities
        at = spread >> 20 & mask
        while place := part[at]:
            if identities[place] == spread:
                return at
            at = at + 1 & mask
        return -1

    def _enter(self, spread: int, place: int) -> None:
        number = spread >> 64 - _PART_BITS
        part = self._parts[number]
        self._in_part[number] += 1
        if 3 * self._in_part[number] > 2 * len(part):  # linear probing wants a third of its places free
            part = self._parts[number] = self._grown(part)
        self._place_in(part, spread, place)

    def _grown(self, part: array[int]) -> array[int]:
        larger = array("I", bytes(4 * max(_FIRST_PLACES, 2 * len(part))))
        for place in part:
            if place:
                self._place_in(larger, self._identities[place], place)
        return larger

    @staticmethod
    def _place_in(part: array[int], spread: int, place: int) -> None:
        mask = len(part) - 1
        at = spread >> 20 & mask
        while part[at]:
            at = at + 1 & mask
        part[at] = place

    def _close_gap(self, part: array[int], gap: int) -> None:
        """Empty a place, and move into it whoever would not be found behind an empty one. (Knuth, TAOCP 3, 6.4, algorithm R.)"""
        mask = len(part) - 1
        identities = self._identities
        at = gap
        while True:
            at = at + 1 & mask
            place = part[at]
            if not place:
                break
            home = identities[place] >> 20 & mask
            if (at - home & mask) >= (at - gap & mask):
                part[gap] = place
                gap = at
        part[gap] = 0
