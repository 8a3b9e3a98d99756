"""Least recently used: the entry that was not used for the longest time goes first.

Choose it when what was asked for lately is what will be asked for again, and no scan sweeps through the keys.

The order is a log of uses, not a list that every hit relinks: relinking is a quarter of a microsecond of scattered writes, noting a use in a log a tenth of it. A slot
may stand in the log many times; its *mark* says which of its records is the last, and only that one counts. The oldest record that counts names
the victim, so the order is exactly that of a list. Records lie in chunks of up to 1,024; a mark is the chunk's number and the place in it.

When fewer than a third of the records count, chunks are gone through from the oldest on, a few for each new one: what counts is written again, in the
same order, into fewer chunks. So the log stays below about three records an entry, and nothing ever stops to go through all of it.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Final

_PLACE_BITS: Final = 10
CHUNK: Final = 1 << _PLACE_BITS
# A mark has 32 bits and chunk numbers come round after four million chunks. A record that is still there then and happens to fit makes its entry go early, no worse.
_NUMBERS: Final = 1 << (32 - _PLACE_BITS)
_PAGE: Final = array("I", bytes(4 * 4096))  # arrays grow by pages, so that no single insert copies for long
_COMPACT_CHUNKS: Final = 2  # gone through for each new one: where half of their records count, that is as many as come


class _Chunk:
    __slots__ = ("mark", "slots")

    def __init__(self, mark: int, slots: array[int]) -> None:
        self.mark = mark  # of the first record
        self.slots = slots


class Lru:
    """See `zmcache.core.eviction.base.EvictionPolicy`. 4 bytes an entry for its mark, 1 to say that it is in use, and 4 to 12 for records."""

    __slots__ = ("_compacted", "_head", "_in_use", "_marks", "_next_number", "_place", "_recent", "_records", "_rest", "_used")

    def __init__(self) -> None:
        self._marks = array("I", _PAGE)
        self._in_use = bytearray(len(_PAGE))
        self._used = 0
        self._recent: list[int] = []
        self._rest: deque[_Chunk] = deque()  # in order of time, after all that is in _compacted
        self._compacted: deque[_Chunk] = deque()
        self._records = 0
        self._next_number = 1
        self._head: _Chunk | None = None  # the oldest chunk, being read from _place on
        self._place = 0

    def inserted(self, slot: int, cost: int) -> None:
        """A new entry, the newest of all."""
        while slot >= len(self._marks):
            self._marks.extend(_PAGE)
            self._in_use.extend(bytes(len(_PAGE)))
        # No record of the slot's former entry may count for this one.
        self._marks[slot] = 0
        self._in_use[slot] = 1
        self._used += 1
        self._note(slot)

    def resized(self, slot: int, cost: int) -> None:
        """A use like any other."""
        self._note(slot)

    def touched(self, slots: list[int]) -> None:
        """Note these uses. About 50 ns each."""
        self._recent += slots
        if len(self._recent) >= CHUNK:
            self._seal()

    def removed(self, slot: int) -> None:
        """None of its records counts any more."""
        self._in_use[slot] = 0
        self._marks[slot] = 0
        self._used -= 1

    def victim(self) -> int:
        """The slot whose last use is the oldest; 0 when none is in use."""
        marks, in_use = self._marks, self._in_use
        while True:
            head = self._head
            if head is None:
                head = self._next_head()
                if head is None:
                    return 0
            slots, mark = head.slots, head.mark
            for place in range(self._place, len(slots)):
                slot = slots[place]
                if marks[slot] == mark + place and in_use[slot]:
                    self._place = place
                    return slot
            self._head = None

    def _note(self, slot: int) -> None:
        self._recent.append(slot)
        if len(self._recent) >= CHUNK:
            self._seal()

    def _next_head(self) -> _Chunk | None:
        if not self._compacted and not self._rest:
            self._seal()
        chunks = self._compacted or self._rest
        if not chunks:
            return None
        self._head, self._place = chunks.popleft(), 0
        self._records -= len(self._head.slots)
        return self._head

    def _seal(self) -> None:
        """Make chunks of the recent uses."""
        recent, self._recent = self._recent, []
        for start in range(0, len(recent), CHUNK):
            self._rest.append(self._chunk(array("I", recent[start : start + CHUNK])))
        if self._records > 3 * self._used + 8 * CHUNK:
            self._compact()

    def _chunk(self, slots: array[int]) -> _Chunk:
        mark = self._next_number << _PLACE_BITS
        self._next_number = self._next_number % (_NUMBERS - 1) + 1
        marks = self._marks
        for at, slot in enumerate(slots, mark):
            marks[slot] = at
        self._records += len(slots)
        return _Chunk(mark, slots)

    def _compact(self) -> None:
        marks, in_use = self._marks, self._in_use
        for _ in range(min(_COMPACT_CHUNKS, len(self._rest))):
            chunk = self._rest.popleft()
            self._records -= len(chunk.slots)
            counting = [s for at, s in enumerate(chunk.slots, chunk.mark) if marks[s] == at and in_use[s]]
            last = self._compacted[-1] if self._compacted else None
            if last is not None and len(last.slots) + len(counting) <= CHUNK:
                for at, slot in enumerate(counting, last.mark + len(last.slots)):
                    marks[slot] = at
                last.slots.extend(counting)
                self._records += len(counting)
            elif counting:
                self._compacted.append(self._chunk(array("I", counting)))
        if not self._rest:
            self._rest, self._compacted = self._compacted, deque()
