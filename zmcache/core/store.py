"""The store: entries in a budget of bytes, each with its own end, and a policy that says whom to evict.

What an entry costs is charged, overhead included, and given back exactly when it goes, however it goes. Nothing is kept
per entry that the garbage collector has to visit: keys, values and slots are str, bytes and int in plain dictionaries,
which the collector leaves alone, and all else lies in arrays indexed by slot.

    shard (by hash)         key -> slot
    page (10,922 slots)     slot -> key, for victims, and slot -> value
    by slot                 when it ends; the policy's arrays; the wheel's

Every dictionary is small, since one that holds a million keys stops everything for 30 ms when it grows. A slot's places
in its pages stay when its entry goes, so that pages, filled exactly, never grow again.

A hit notes its slot and no more. The policy hears of hits in batches, before anything that depends on their order,
which comes to the same order as telling it at once.

Times are seconds of one monotonic clock that the caller passes in; inf never ends. An expired entry is never served.
"""

from __future__ import annotations

from array import array
from typing import Final

import msgspec

from zmcache.core.eviction.base import EvictionPolicy
from zmcache.core.expiry import ExpiryWheel

# A prime: a shard's keys must not share the low bits of their hashes, by which its dictionary places them. Doubling one
# of 127 takes half a millisecond at a million entries, 5 ms at ten million.
_SHARDS: Final = 127
_PAGE_SLOTS: Final = 10_922  # what a dictionary of 16,384 places holds before it grows
_EXPIRES_PAGE: Final = array("d", bytes(8 * 4096))
_TOUCHED_MAX: Final = 1024
# Measured over a million entries of 13 + 128 bytes (240 with their headers) that all expire: 383 resident bytes an
# entry as they come in, 414 after three million more have replaced them, which leaves the shards with room. A shard's
# place 27 to 52, the slot's int 32, two pages' places 54, and in arrays: when it ends 8, the wheel 8, the policy 8 to
# 16; the rest is the allocator's. To repeat: /proc/self/statm before and after a loop of `Store.set`.
ENTRY_OVERHEAD: Final = 176


class StoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the start, and sizes as they are now."""

    entries: int
    used_bytes: int
    budget_bytes: int
    hits: int
    misses: int
    evictions: int
    expirations: int
    refused: int


def charge_of(key: str, value: bytes) -> int:
    """What an entry costs in bytes: both objects as the allocator rounds them, and `ENTRY_OVERHEAD`.

    It depends on the key's text and the value's length only: what was charged is what is given back. (`sys.getsizeof`
    of a key that is not ASCII grows when somebody asks for its UTF-8; four bytes a character for each form are the most
    it can come to.)
    """
    key_bytes = 49 + len(key) if key.isascii() else 77 + 8 * len(key)
    return (key_bytes + 15 & -16) + (33 + len(value) + 15 & -16) + ENTRY_OVERHEAD


class Store:
    """See the module's docstring. Not for threads."""

    __slots__ = (
        "_budget_bytes", "_ceiling_bytes", "_entries", "_evictions", "_expirations", "_expires", "_free", "_hits",
        "_keys", "_misses", "_next_slot", "_policy", "_refused", "_shards", "_touched", "_used_bytes", "_values",
        "_wheel",
    )  # fmt: skip

    def __init__(self, budget_bytes: int, policy: EvictionPolicy) -> None:
        self._budget_bytes = self._ceiling_bytes = budget_bytes
        self._policy = policy
        self._shards: list[dict[str, int]] = [{} for _ in range(_SHARDS)]
        # In the place of a free slot's key stands the slot itself, so that it has one int object for good.
        self._keys: list[dict[int, str | int]] = [{}]
        self._values: list[dict[int, bytes]] = [{}]
        self._expires = array("d", _EXPIRES_PAGE)
        self._wheel = ExpiryWheel()
        self._free = array("I")
        self._next_slot = 1
        self._touched: list[int] = []
        self._entries = self._used_bytes = 0
        self._hits = self._misses = self._evictions = self._expirations = self._refused = 0

    # -- reading ---------------------------------------------------------------------------------------------------

    def get(self, key: str, now_s: float) -> bytes | None:
        """The value of ``key``, or None. Counts as a use. A hit costs about 0.3 us, what the policy makes of it included."""
        # A hit is what has to be fast: a failed look-up pays for the exception instead of every hit for a comparison.
        try:
            slot = self._shards[hash(key) % _SHARDS][key]
        except KeyError:
            self._misses += 1
            return None
        if self._expires[slot] > now_s:
            touched = self._touched
            touched.append(slot)
            if len(touched) >= _TOUCHED_MAX:
                self._tell_policy()
            return self._values[slot // _PAGE_SLOTS][slot]
        self._misses += 1
        self._expire(key, slot)
        return None

    def lookup(self, key: str, now_s: float) -> tuple[bytes, float] | None:
        """As `get`, with the time at which the entry ends."""
        value = self.get(key, now_s)
        return None if value is None else (value, self._expires[self._shards[hash(key) % _SHARDS][key]])

    def get_many(self, keys: list[str], now_s: float) -> tuple[list[bytes | None], list[float]]:
        """The value of each key or None, and when each ends (0.0 beside None). About 0.25 us a key."""
        shards, pages, expires, touched = self._shards, self._values, self._expires, self._touched
        values: list[bytes | None] = []
        ends: list[float] = []
        for key in keys:
            slot = shards[hash(key) % _SHARDS].get(key)
            if slot is not None and (end := expires[slot]) > now_s:
                touched.append(slot)
                values.append(pages[slot // _PAGE_SLOTS][slot])
                ends.append(end)
            else:
                self._misses += 1
                values.append(None)
                ends.append(0.0)
                if slot is not None:
                    self._expire(key, slot)
                    touched = self._touched
        if len(touched) >= _TOUCHED_MAX:
            self._tell_policy()
        return values, ends

    def contains(self, key: str, now_s: float) -> bool:
        """Whether ``key`` is there. Counts as nothing."""
        slot = self._shards[hash(key) % _SHARDS].get(key)
        return slot is not None and self._expires[slot] > now_s

    def __len__(self) -> int:
        return self._entries

    @property
    def used_bytes(self) -> int:
        """What the entries are charged, together."""
        return self._used_bytes

    @property
    def budget_bytes(self) -> int:
        """What they may be charged at the most."""
        return self._budget_bytes

    # -- writing ---------------------------------------------------------------------------------------------------

    def set(self, key: str, value: bytes, expires_at_s: float, now_s: float) -> bool:
        """Keep ``value`` until ``expires_at_s``, evicting as needed. False: it is larger than the whole budget, and
        nothing was changed.

        One that ends in the past is not kept, nor is what it replaces. Costs about 2 us, and as much again for each
        entry that has to go.
        """
        cost = charge_of(key, value)
        if cost > self._budget_bytes:
            self._refused += 1
            return False
        if not expires_at_s > now_s:
            self.delete(key, now_s)
            return True
        if self._touched:
            self._tell_policy()
        slot = self._shards[hash(key) % _SHARDS].get(key)
        if slot is None:
            # Room first: a policy that goes by merit would else name the newcomer, which has had no time to earn any.
            self._evict_down_to(self._ceiling_bytes - cost)
            slot = self._new_slot(key, value)
            self._entries += 1
            self._used_bytes += cost
            self._expires[slot] = expires_at_s
            self._wheel.add(slot, expires_at_s)
            self._policy.inserted(slot, cost)
        else:
            values = self._values[slot // _PAGE_SLOTS]
            self._used_bytes += cost - charge_of(key, values[slot])
            values[slot] = value
            self._move(slot, expires_at_s)
            self._policy.resized(slot, cost)
            self._evict_down_to(self._ceiling_bytes)
        return True

    def delete(self, key: str, now_s: float) -> bool:
        """Remove an entry; whether it was there and had not expired."""
        slot = self._shards[hash(key) % _SHARDS].get(key)
        if slot is None:
            return False
        alive = self._expires[slot] > now_s
        self._remove(key, slot)
        return alive

    def clear(self) -> None:
        """Remove everything. About 1 us an entry, at one go."""
        for shard in self._shards:
            for key, slot in list(shard.items()):
                self._remove(key, slot)

    def shorten(self, key: str, expires_at_s: float) -> None:
        """Let the entry of ``key``, if there is one, end at that time at the latest."""
        slot = self._shards[hash(key) % _SHARDS].get(key)
        if slot is not None and self._expires[slot] > expires_at_s:
            self._move(slot, expires_at_s)

    def resize(self, budget_bytes: int) -> None:
        """Another budget. To a smaller one the store comes down as `evict` is called, in slices; until then a set only
        makes room for itself.
        """
        self._budget_bytes = budget_bytes
        self._ceiling_bytes = max(budget_bytes, self._used_bytes)

    def evict(self, limit: int) -> int:
        """Evict at most ``limit`` entries, as far as the budget is exceeded; how many went."""
        before = self._evictions
        self._tell_policy()
        while self._used_bytes > self._budget_bytes and self._evictions - before < limit:
            self._evict()
        self._ceiling_bytes = max(self._budget_bytes, self._used_bytes)
        return self._evictions - before

    def expire(self, now_s: float, limit: int = 1000) -> int:
        """Remove at most ``limit`` entries whose second is over; how many went (``limit``: there may be more). About 2
        us each.
        """
        for removed in range(limit):
            slot = self._wheel.due(now_s)
            if not slot:
                return removed
            self._expire(self._key_of(slot), slot)
        return limit

    def visit(self, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
        """The keys of the next ``limit`` slots and the cursor for the next call; None to begin with, None when all have
        been visited.

        The store may change between calls: a key that is there throughout is visited exactly once, one that comes or
        goes may be.
        """
        start = cursor or 1
        end = min(start + limit, self._next_slot)
        pages = self._keys
        found = [pages[slot // _PAGE_SLOTS][slot] for slot in range(start, end)]
        return [key for key in found if type(key) is str], end if end < self._next_slot else None

    def statistics(self) -> StoreStatistics:
        """A frozen snapshot."""
        return StoreStatistics(
            entries=self._entries,
            used_bytes=self._used_bytes,
            budget_bytes=self._budget_bytes,
            hits=self._hits + len(self._touched),
            misses=self._misses,
            evictions=self._evictions,
            expirations=self._expirations,
            refused=self._refused,
        )

    # -- slots -----------------------------------------------------------------------------------------------------

    def _tell_policy(self) -> None:
        touched = self._touched
        if touched:
            self._touched = []
            self._hits += len(touched)
            self._policy.touched(touched)

    def _key_of(self, slot: int) -> str:
        key = self._keys[slot // _PAGE_SLOTS][slot]
        assert type(key) is str, "the slot is free"
        return key

    def _new_slot(self, key: str, value: bytes) -> int:
        if self._free:
            slot = self._free.pop()
            page = slot // _PAGE_SLOTS
            first = self._keys[page][slot]
            assert type(first) is int, "the slot is in use"
            slot = first  # the very object that the pages have
        else:
            slot = self._next_slot
            self._next_slot += 1
            page = slot // _PAGE_SLOTS
            if slot >= len(self._expires):
                self._expires.extend(_EXPIRES_PAGE)
            if page == len(self._keys):
                self._keys.append({})
                self._values.append({})
        self._keys[page][slot] = key
        self._values[page][slot] = value
        self._shards[hash(key) % _SHARDS][key] = slot
        return slot

    def _move(self, slot: int, expires_at_s: float) -> None:
        self._wheel.discard(slot, self._expires[slot])
        self._wheel.add(slot, expires_at_s)
        self._expires[slot] = expires_at_s

    def _remove(self, key: str, slot: int) -> None:
        if self._touched:
            self._tell_policy()  # it must not hear later of the use of a slot that is free, or another's, by then
        values, keys = self._values[slot // _PAGE_SLOTS], self._keys[slot // _PAGE_SLOTS]
        own = self._shards[hash(key) % _SHARDS].pop(key)
        self._used_bytes -= charge_of(key, values[slot])
        self._entries -= 1
        keys[slot] = own
        values[slot] = b""
        self._wheel.discard(slot, self._expires[slot])
        self._policy.removed(slot)
        self._free.append(slot)

    def _expire(self, key: str, slot: int) -> None:
        self._remove(key, slot)
        self._expirations += 1

    def _evict(self) -> None:
        slot = self._policy.victim()
        self._remove(self._key_of(slot), slot)
        self._evictions += 1

    def _evict_down_to(self, bytes_allowed: int) -> None:
        while self._used_bytes > bytes_allowed:
            self._evict()
