"""Where entries lie: each has a slot, a small whole number, for as long as it lives; then the slot is used again.

Nothing is kept per entry that the garbage collector has to visit: keys and values are str and bytes in two long lists that it does not
know of (`zmcache.core.untracked`), and whoever keeps more about an entry keeps it in an array, by slot.

    shard (by hash)    key -> number within the shard
    slot               number * SHARDS + shard
    keys, values       by slot

A number stands for one entry in each shard, so that all shards share one int object for it: a slot's own would cost 32 bytes an entry.
Shards are small, since one dictionary that holds a million keys stops everything for 30 ms when it grows.

A dictionary of CPython's never uses the place of a deleted key again, and when all its places are taken it asks for three times
as many as it has keys: where keys come and go it is twice as large as one that was only filled, 30 bytes an entry. So a shard
whose places are taken is written anew, in the same size, while one in seven would be free.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from zmcache.core.marks import Held
from zmcache.core.untracked import untracked

# A prime: a shard's keys must not share the low bits of their hashes, by which its dictionary places them. Doubling one
# of 127 takes half a millisecond at a million entries, 5 ms at ten million.
SHARDS: Final = 127
_PAGE: Final = 4096
_FULL: Final = 0.85  # of the places; beyond it, writing a shard anew gains too few to be worth its time


class Slots:
    """The places of entries. ``shards``, ``values`` are for reading: of a key in shard ``s``, ``hash(key) % SHARDS``, the slot is
    ``shards[s][key] * SHARDS + s``, its value ``values[slot]``. Neither list is ever replaced; a dictionary is.
    """

    __slots__ = ("_free", "_keys", "_made", "_numbers", "_places", "shards", "values")

    def __init__(self) -> None:
        self.shards: list[dict[str, int]] = [{} for _ in range(SHARDS)]
        values: list[Held] = [b""] * _PAGE
        self.values = untracked(values)
        # In the place of a free slot's key stands the number of the next free one in its shard, or 0: none.
        self._keys: list[str | int] = untracked([0] * _PAGE)
        self._free = [0] * SHARDS
        self._numbers = [0, 1]  # the one object for each number; slots whose number is 0 are never used
        self._made = [1] * SHARDS
        self._places = [_places_for(0)] * SHARDS  # that no key has taken yet

    def find(self, key: str) -> int | None:
        """The slot of ``key``."""
        shard = hash(key) % SHARDS
        number = self.shards[shard].get(key)
        return None if number is None else number * SHARDS + shard

    def key_of(self, slot: int) -> str:
        """Whose slot that is."""
        key = self._keys[slot]
        assert type(key) is str, "the slot is free"
        return key

    def keys_at(self, slots: Iterable[int]) -> list[str]:
        """Whose these slots are, of those that are in use."""
        return [key for slot in slots if type(key := self._keys[slot]) is str]

    def take(self, key: str, value: Held) -> int:
        """A slot for a key that has none."""
        shard = hash(key) % SHARDS
        number = self._free[shard]
        if number:
            slot = number * SHARDS + shard
            after = self._keys[slot]
            assert type(after) is int, "the slot is in use"
            self._free[shard] = after
        else:
            number = self._new_number(shard)
            slot = number * SHARDS + shard
            while slot >= len(self._keys):
                self._keys.extend([0] * _PAGE)
                self.values.extend([b""] * _PAGE)
        self._keys[slot] = key
        self.values[slot] = value
        if not self._places[shard]:
            self._make_places(shard)
        self._places[shard] -= 1
        self.shards[shard][key] = number
        return slot

    def release(self, key: str, slot: int) -> Held:
        """The entry goes; its value."""
        shard = slot % SHARDS
        value = self.values[slot]
        self.values[slot] = b""
        self._keys[slot] = self._free[shard]
        self._free[shard] = self.shards[shard].pop(key)
        return value

    def visit(self, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
        """The keys of the next ``limit`` slots and the cursor for the next call; None to begin with, None when all have
        been visited.

        Entries may come and go between calls: a key that is there throughout is visited exactly once, one that comes or
        goes may be.
        """
        start = cursor or SHARDS
        end = start + limit
        found = [key for key in self._keys[start:end] if type(key) is str]
        # Not to the end of the list, which grows by pages: beyond the highest number that was ever made no slot was ever used.
        return found, end if end < len(self._numbers) * SHARDS else None

    def _make_places(self, shard: int) -> None:
        entries = self.shards[shard]
        places = _places_for(len(entries))
        if len(entries) <= _FULL * places:
            self.shards[shard] = anew = {}
            anew.update(entries)  # no copy(), which takes the holes over where there are few
        else:
            places = _places_for(places + 1)  # it will grow by itself
        self._places[shard] = places - len(entries)

    def _new_number(self, shard: int) -> int:
        count = self._made[shard]
        self._made[shard] = count + 1
        if count == len(self._numbers):
            self._numbers.append(count)
        return self._numbers[count]


def _places_for(keys: int) -> int:
    """How many keys a dictionary takes that was made for so many: two thirds of a power of two, in CPython. Elsewhere a wrong answer costs
    memory and no more.
    """
    return 2 * max(8, 1 << ((3 * keys + 1) // 2 - 1).bit_length()) // 3
