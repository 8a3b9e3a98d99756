"""Where entries lie: each has a slot, a small whole number, for as long as it lives; then the slot is used again.

Nothing is kept per entry that the garbage collector has to visit: keys, values and slots are str, bytes and int in
plain dictionaries, which the collector leaves alone, and whoever keeps more about an entry keeps it in an array, by slot.

    shard (by hash)         key -> slot
    page (10,922 slots)     slot -> key, for victims, and slot -> value

Every dictionary is small, since one that holds a million keys stops everything for 30 ms when it grows. A slot's places
in its pages stay when its entry goes, so that pages, filled exactly, never grow again.
"""

from __future__ import annotations

from array import array
from typing import Final

# A prime: a shard's keys must not share the low bits of their hashes, by which its dictionary places them. Doubling one
# of 127 takes half a millisecond at a million entries, 5 ms at ten million.
SHARDS: Final = 127
PAGE_SLOTS: Final = 10_922  # what a dictionary of 16,384 places holds before it grows


class Slots:
    """The places of entries. ``shards`` and ``values`` are for reading: ``shards[hash(key) % SHARDS][key]`` is the slot of a key,
    ``values[slot // PAGE_SLOTS][slot]`` its value. Neither list is ever replaced.
    """

    __slots__ = ("_free", "_keys", "count", "shards", "values")

    def __init__(self) -> None:
        self.shards: list[dict[str, int]] = [{} for _ in range(SHARDS)]
        self.values: list[dict[int, bytes]] = [{}]
        # In the place of a free slot's key stands the slot itself, so that it has one int object for good.
        self._keys: list[dict[int, str | int]] = [{}]
        self._free = array("I")
        self.count = 1
        """Slots made so far, the one that is never used, 0, among them."""

    def find(self, key: str) -> int | None:
        """The slot of ``key``."""
        return self.shards[hash(key) % SHARDS].get(key)

    def key_of(self, slot: int) -> str:
        """Whose slot that is."""
        key = self._keys[slot // PAGE_SLOTS][slot]
        assert type(key) is str, "the slot is free"
        return key

    def value_of(self, slot: int) -> bytes:
        """What lies there."""
        return self.values[slot // PAGE_SLOTS][slot]

    def replace(self, slot: int, value: bytes) -> None:
        """Another value for the same key."""
        self.values[slot // PAGE_SLOTS][slot] = value

    def take(self, key: str, value: bytes) -> int:
        """A slot for a key that has none."""
        if self._free:
            slot = self._free.pop()
            page = slot // PAGE_SLOTS
            first = self._keys[page][slot]
            assert type(first) is int, "the slot is in use"
            slot = first  # the very object that the pages have
        else:
            slot = self.count
            self.count += 1
            page = slot // PAGE_SLOTS
            if page == len(self._keys):
                self._keys.append({})
                self.values.append({})
        self._keys[page][slot] = key
        self.values[page][slot] = value
        self.shards[hash(key) % SHARDS][key] = slot
        return slot

    def release(self, key: str, slot: int) -> bytes:
        """The entry goes; its value."""
        page = slot // PAGE_SLOTS
        values = self.values[page]
        value = values[slot]
        self._keys[page][slot] = self.shards[hash(key) % SHARDS].pop(key)
        values[slot] = b""
        self._free.append(slot)
        return value

    def visit(self, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
        """The keys of the next ``limit`` slots and the cursor for the next call; None to begin with, None when all have
        been visited.

        Entries may come and go between calls: a key that is there throughout is visited exactly once, one that comes or
        goes may be.
        """
        start = cursor or 1
        end = min(start + limit, self.count)
        found = [self._keys[slot // PAGE_SLOTS][slot] for slot in range(start, end)]
        return [key for key in found if type(key) is str], end if end < self.count else None
