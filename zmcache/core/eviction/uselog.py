"""An order of slots by their last use, for policies to be made of: a queue that a slot can be put at the end of again.

It is a log of uses, not a list that every hit relinks: relinking is six scattered reads and writes, noting a use in a
log is three. The log is cut into numbered chunks, and a slot's *mark* is the number of the chunk with its last use; all
its records in other chunks count no more. In its last chunk a slot may stand many times, and the last of these counts:
that is settled when the chunk is read. So the order is exactly that of a list. A slot that is in no log has mark 0.

    log, oldest first:  _head (being read)  _compacted  _rest  _open (being written)

How many slots have their last use in a chunk is counted, so that one in which nothing counts any more is passed over
without a look into it. When fewer than a third of the records count, chunks are gone through from the oldest on, a few for
each new one: what counts is written again, in the same order, into fewer chunks. So the log stays near three records a slot
at the most, and nothing ever stops to go through all of it.

A policy has one set of marks and as many logs as it has queues: chunks are numbered through, so that putting a slot
into another log is all that it takes to make its records in the first count no more.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Final

CHUNK: Final = 1024  # a chunk is closed at this size; the batch that fills it may take it to twice as many at the most
_PAGE: Final = array("I", bytes(4 * 4096))  # arrays grow by pages, so that no single insert copies for long
_COMPACT_CHUNKS: Final = 2  # gone through for each new one: with a third counting, more goes than comes
_DROP_CHUNKS: Final = 64  # passed over at the same time, since nothing counts in them
_SPARE: Final = 2 * CHUNK  # records: few, since a policy may have hundreds of logs


class Marks:
    """The mark of each slot, and of each chunk, by its number, how many marks it is. Numbers are used again."""

    __slots__ = ("_free", "by_slot", "counting")

    def __init__(self) -> None:
        self.by_slot = array("I", _PAGE)
        self.counting = [0]  # of 0, the mark of slots in no log, the figure means nothing
        self._free: list[int] = []

    def cover(self, slot: int) -> None:
        """Have a mark for this slot."""
        while slot >= len(self.by_slot):
            self.by_slot.extend(_PAGE)

    def new_chunk(self) -> _Chunk:
        """An empty chunk with a number of its own."""
        if self._free:
            return _Chunk(self._free.pop())
        self.counting.append(0)
        return _Chunk(len(self.counting) - 1)

    def give_back(self, number: int) -> None:
        """The chunk of that number is no more, and is nobody's mark."""
        self.counting[number] = 0
        self._free.append(number)


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


class UseLog:
    """Slots, oldest use first. 4 to 12 bytes a slot for its records, beside 4 for its mark.

    Which slots are in it, in this log of those that share ``marks``, is for the caller to know: `append` one that is
    not, `use` and `remove` only those that are.
    """

    __slots__ = (
        "_compacted",
        "_count",
        "_counting",
        "_head",
        "_head_slots",
        "_marks",
        "_numbers",
        "_open",
        "_place",
        "_records",
        "_rest",
    )

    def __init__(self, marks: Marks) -> None:
        self._numbers = marks
        self._marks, self._counting = marks.by_slot, marks.counting
        self._count = 0
        self._open = marks.new_chunk()
        self._rest: deque[_Chunk] = deque()
        self._compacted: deque[_Chunk] = deque()
        self._records = 0  # in _compacted and _rest
        self._head = 0  # the number of the chunk that _head_slots came from
        self._head_slots: list[int] = []
        self._place = 0  # in _head_slots: all before it has been read

    def __len__(self) -> int:
        """How many slots are in it."""
        return self._count

    def append(self, slot: int) -> None:
        """Put a slot, which is not in this log, at the end. About 0.1 us."""
        self._count += 1
        chunk, marks, counting = self._open, self._marks, self._counting
        counting[marks[slot]] -= 1
        counting[chunk.number] += 1
        marks[slot] = chunk.number
        chunk.slots.append(slot)
        if len(chunk.slots) >= CHUNK:
            self._close_chunk()

    def use(self, slots: list[int]) -> None:
        """Put each of these slots at the end, in turn. About 30 ns each, and as much again for the compacting that
        follows from it.
        """
        for start in range(0, len(slots), CHUNK):
            part = slots[start : start + CHUNK] if len(slots) > CHUNK else slots
            chunk, marks, counting = self._open, self._marks, self._counting
            number = chunk.number
            for slot in part:
                before = marks[slot]
                if before != number:
                    counting[before] -= 1
                    counting[number] += 1
                    marks[slot] = number
            chunk.slots.fromlist(part)
            if len(chunk.slots) >= CHUNK:
                self._close_chunk()

    def remove(self, slot: int) -> None:
        """Take a slot out, wherever it stands."""
        self._counting[self._marks[slot]] -= 1
        self._marks[slot] = 0
        self.leave()

    def leave(self) -> int:
        """One slot fewer, whose mark another log of the same marks replaces at once; how many are left."""
        self._count -= 1
        # Not each time: as many leave at once when they expire, and one look takes out more than leave between two.
        if not self._count & 31 and self._records > 3 * self._count + _SPARE:
            self._compact(1)
        return self._count

    def oldest(self) -> int:
        """The slot whose last use is the oldest; it stays. Raises `LookupError` when there is none."""
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
        """Read the next chunk in which something counts. Nothing does any more in the one that was read."""
        if not self._count:
            raise LookupError("no entry is left to be evicted")
        if self._head:
            self._numbers.give_back(self._head)
        while True:
            if not self._compacted and not self._rest:
                self._close_chunk()
            chunk = (self._compacted or self._rest).popleft()
            self._records -= len(chunk.slots)
            if self._counting[chunk.number]:
                break
            self._numbers.give_back(chunk.number)
        self._head, self._head_slots, self._place = chunk.number, chunk.last_uses(self._marks), 0

    def _close_chunk(self) -> None:
        self._records += len(self._open.slots)
        self._rest.append(self._open)
        self._open = self._numbers.new_chunk()
        if self._records > 3 * self._count + _SPARE:
            self._compact(_COMPACT_CHUNKS)

    def _compact(self, chunks: int) -> None:
        looked = 0
        for _ in range(min(_DROP_CHUNKS, len(self._rest))):
            chunk = self._rest.popleft()
            self._records -= len(chunk.slots)
            if self._counting[chunk.number]:
                self._write_again(chunk.last_uses(self._marks))
                looked += 1
            self._numbers.give_back(chunk.number)
            if looked == chunks:
                break
        if not self._rest:
            self._rest, self._compacted = self._compacted, deque()

    def _write_again(self, slots: list[int]) -> None:
        if not self._compacted or len(self._compacted[-1].slots) + len(slots) > 2 * CHUNK:
            self._compacted.append(self._numbers.new_chunk())
        into, marks = self._compacted[-1], self._marks
        number = into.number
        for slot in slots:
            marks[slot] = number
        self._counting[number] += len(slots)
        into.slots.fromlist(slots)
        self._records += len(slots)
