"""Least recently used: the entry that was not used for the longest time goes first.

Choose it when what was asked for lately is what will be asked for again, and no scan sweeps through the keys.

The order is a log of uses, not a list that every hit relinks: relinking is six scattered reads and writes, noting a use
in a log is one. The log is cut into numbered chunks, and a slot's *mark* is the number of the chunk with its last use;
all its records in other chunks count no more. In its last chunk a slot may stand many times, and the last of these
counts: that is settled when the chunk is read. So the order is exactly that of a list. A slot that is not in use has
mark 0.

    log, oldest first:  _head (being read)  _compacted  _rest  _open (being written)

When fewer than a third of the records count, chunks are gone through from the oldest on, a few for each new one: what
counts is written again, in the same order, into fewer chunks. So the log stays near three records an entry at the most,
and nothing ever stops to go through all of it.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Final

CHUNK: Final = 1024  # a chunk is closed at this size; the batch that fills it may take it to twice as many at the most
# Numbers come round after four thousand million chunks; in a bounded log none of the first is left by then.
_NUMBERS: Final = 1 << 32
_PAGE: Final = array("I", bytes(4 * 4096))  # arrays grow by pages, so that no single insert copies for long
_COMPACT_CHUNKS: Final = 2  # gone through for each new one: with a third counting, more goes than comes


class _Chunk:
    __slots__ = ("number", "slots")

    def __init__(self, number: int) -> None:
        self.number = number
        self.slots = array("I")

    def last_uses(self, marks: array[int]) -> list[int]:
        """The slots whose last use is in this chunk, each once, in the order of that use."""
        number = self.number
        counting = [slot for slot in reversed(self.slots) if marks[slot] == number]
        return list(dict.fromkeys(counting))[::-1]


class Lru:
    """See `zmcache.core.eviction.base.EvictionPolicy`. 4 bytes an entry for its mark and 4 to 12 for its records."""

    __slots__ = (
        "_compacted",
        "_head",
        "_head_slots",
        "_marks",
        "_number",
        "_open",
        "_place",
        "_records",
        "_rest",
        "_used",
    )

    def __init__(self) -> None:
        self._marks = array("I", _PAGE)
        self._used = 0
        self._number = 0
        self._open = self._new_chunk()
        self._rest: deque[_Chunk] = deque()
        self._compacted: deque[_Chunk] = deque()
        self._records = 0  # in _compacted and _rest
        self._head = 0  # the number of the chunk that _head_slots came from
        self._head_slots: list[int] = []
        self._place = 0  # in _head_slots: all before it has been read

    def inserted(self, slot: int, cost: int) -> None:
        """A new entry, the newest of all."""
        while slot >= len(self._marks):
            self._marks.extend(_PAGE)
        self._used += 1
        self.resized(slot, cost)

    def resized(self, slot: int, cost: int) -> None:
        """A use like any other."""
        chunk = self._open
        self._marks[slot] = chunk.number
        chunk.slots.append(slot)
        if len(chunk.slots) >= CHUNK:
            self._close_chunk()

    def touched(self, slots: list[int]) -> None:
        """Note these uses. About 30 ns each, and as much again for the compacting that follows from it."""
        for start in range(0, len(slots), CHUNK):
            part = slots[start : start + CHUNK] if len(slots) > CHUNK else slots
            chunk, marks = self._open, self._marks
            number = chunk.number
            for slot in part:
                marks[slot] = number
            chunk.slots.fromlist(part)
            if len(chunk.slots) >= CHUNK:
                self._close_chunk()

    def removed(self, slot: int) -> None:
        """None of its records counts any more."""
        self._marks[slot] = 0
        self._used -= 1

    def victim(self) -> int:
        """The slot whose last use is the oldest. Raises `LookupError` when none is in use."""
        marks = self._marks
        while True:
            slots, number = self._head_slots, self._head
            for place in range(self._place, len(slots)):
                slot = slots[place]
                if marks[slot] == number:
                    self._place = place
                    return slot
            self._next_head()

    def _next_head(self) -> None:
        if not self._used:
            raise LookupError("no entry is left to be evicted")
        if not self._compacted and not self._rest:
            self._close_chunk()
        chunk = (self._compacted or self._rest).popleft()
        self._records -= len(chunk.slots)
        self._head, self._head_slots, self._place = chunk.number, chunk.last_uses(self._marks), 0

    def _new_chunk(self) -> _Chunk:
        self._number = self._number % (_NUMBERS - 1) + 1  # never 0, the mark of a slot that is not in use
        return _Chunk(self._number)

    def _close_chunk(self) -> None:
        self._records += len(self._open.slots)
        self._rest.append(self._open)
        self._open = self._new_chunk()
        if self._records > 3 * self._used + 8 * CHUNK:
            self._compact()

    def _compact(self) -> None:
        marks = self._marks
        for _ in range(min(_COMPACT_CHUNKS, len(self._rest))):
            chunk = self._rest.popleft()
            counting = chunk.last_uses(marks)
            if not self._compacted or len(self._compacted[-1].slots) + len(counting) > 2 * CHUNK:
                self._compacted.append(self._new_chunk())
            into = self._compacted[-1]
            number = into.number
            for slot in counting:
                marks[slot] = number
            into.slots.fromlist(counting)
            self._records += len(counting) - len(chunk.slots)
        if not self._rest:
            self._rest, self._compacted = self._compacted, deque()
