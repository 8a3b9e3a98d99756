"""Which slots are due to expire, by the second: a wheel of buckets, each a linked list that lives in two arrays.

A slot stands in at most one bucket, that of the second in which its entry ends; another end moves it there at once. So
the wheel holds exactly the entries that expire, however often they are overwritten and with whatever ends, at 8 bytes a
slot. A bucket is due when its second is over: all that it holds has ended then, and a million entries that end together
can be taken out in slices of any size.

(Sampling, redis's way, would spare the arrays, but lets an unlucky entry stay for long; a heap would cost a logarithm
at each set and keep what was overwritten.)
"""

from __future__ import annotations

import math
from array import array
from typing import Final

_PAGE: Final = array("I", bytes(4 * 4096))  # arrays grow by pages, so that no single insert copies for long


class ExpiryWheel:
    """Slots, whole numbers from 1, by the second in which they end. Times are seconds of one monotonic clock."""

    __slots__ = ("_count", "_heads", "_next", "_previous", "_swept")

    def __init__(self) -> None:
        self._heads: dict[int, int] = {}  # second -> first slot of its bucket; an empty bucket has no place here
        self._next = array("I", _PAGE)
        self._previous = array("I", _PAGE)
        self._swept: int | None = None  # no bucket before this second is filled
        self._count = 0

    def add(self, slot: int, expires_at_s: float) -> None:
        """The slot, which is in no bucket, ends then. Never, where that is infinite."""
        if expires_at_s == math.inf:
            return
        while slot >= len(self._next):
            self._next.extend(_PAGE)
            self._previous.extend(_PAGE)
        second = int(expires_at_s)
        follower = self._heads.get(second, 0)
        self._heads[second] = slot
        self._next[slot] = follower
        self._previous[slot] = 0
        self._previous[follower] = slot  # place 0 is nobody's and takes what is meant for no one
        self._count += 1
        if self._swept is None or second < self._swept:
            self._swept = second

    def discard(self, slot: int, expires_at_s: float) -> None:
        """The slot, added with this very end, is due no more."""
        if expires_at_s == math.inf:
            return
        before, after = self._previous[slot], self._next[slot]
        if before:
            self._next[before] = after
        elif after:
            self._heads[int(expires_at_s)] = after
        else:
            del self._heads[int(expires_at_s)]
        self._previous[after] = before
        self._count -= 1

    def due(self, now_s: float) -> int:
        """A slot that ended in a second that is over; 0 when there is none. It stays until it is discarded."""
        if not self._heads or self._swept is None:
            return 0
        current = int(now_s)
        if current - self._swept > len(self._heads):
            # After a long sleep: looking at what there is costs less than walking all the seconds.
            self._swept = min(self._heads)
        while self._swept < current:
            head = self._heads.get(self._swept, 0)
            if head:
                return head
            self._swept += 1
        return 0

    def __len__(self) -> int:
        return self._count
