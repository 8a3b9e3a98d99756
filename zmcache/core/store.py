"""The store: entries in a budget of bytes, each with its own end, and a policy that says whom to evict.

What an entry costs is charged, overhead included, and given back exactly when it goes, however it goes. Nothing is kept per entry that the garbage collector
has to visit: keys, values and slots are str, bytes and int in plain dictionaries, which the collector leaves alone, and all else lies in arrays indexed by slot.

    shard (64 of them, by hash)   key -> slot, and key -> value
    by slot                       _expires: when it ends;  the policy's arrays;  the wheel's
    page (10,922 slots)           keys: slot -> key, for victims; that many fill a dictionary of 16,384 places exactly

The shards keep every dictionary small: one that holds a million keys stops everything for 30 ms when it grows, a shard for less than one. A hit notes its slot and
no more; the policy hears of hits in batches before anything that depends on their order, which comes to the same order as telling it at once.

Times are seconds of one monotonic clock that the caller passes in; inf never ends. An expired entry is never served.
"""

from __future__ import annotations

import math
from array import array
from sys import getsizeof
from typing import Final

import msgspec

from zmcache.core.eviction.base import EvictionPolicy
from zmcache.core.expiry import ExpiryWheel

_SHARDS: Final = 64
_SHARD_MASK: Final = _SHARDS - 1
_PAGE_SLOTS: Final = 10_922
_EXPIRES_PAGE: Final = array("d", bytes(8 * 4096))
_TOUCHED_MAX: Final = 1024
# Besides key and value: two dictionary places and half a page's (80), the slot's int (32), and 8 bytes each in the arrays of ends and of the policy and the
# wheel. Measured as resident bytes over a million entries of 13 + 128 bytes; `zmcache-loadgen bench` measures it again.
ENTRY_OVERHEAD: Final = 144


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
    """What an entry costs in bytes: both objects as the allocator rounds them, and the overhead."""
    return (getsizeof(key) + 15 & -16) + (getsizeof(value) + 15 & -16) + ENTRY_OVERHEAD


class Store:
    """See the module's docstring. Not for threads."""

    __slots__ = (
        "_budget_bytes", "_evictions", "_expirations", "_expires", "_free", "_hits", "_misses", "_next_slot", "_pages",
        "_policy", "_refused", "_shards", "_touched", "_used_bytes", "_wheel", "entries",
    )  # fmt: skip

    def __init__(self, budget_bytes: int, policy: EvictionPolicy) -> None:
        self._budget_bytes = budget_bytes
        self._policy = policy
        self._shards: list[tuple[dict[str, int], dict[str, bytes]]] = [({}, {}) for _ in range(_SHARDS)]
        self._pages: list[dict[int, str]] = [{}]
        self._expires = array("d", _EXPIRES_PAGE)
        self._wheel = ExpiryWheel()
        self._free = array("I")
        self._next_slot = 1
        self._touched: list[int] = []
        self._used_bytes = 0
        self._hits = self._misses = self._evictions = self._expirations = self._refused = 0
        self.entries = 0

    # -- reading ---------------------------------------------------------------------------------------------------

    def get(self, key: str, now_s: float) -> bytes | None:
        """The value of ``key``, or None. Counts as a use."""
        slots, values = self._shards[hash(key) & _SHARD_MASK]
        # A hit is what has to be fast: a failed look-up pays for the exception instead of every hit for a comparison.
        try:
            slot = slots[key]
        except KeyError:
            self._misses += 1
            return None
        if self._expires[slot] > now_s:
            touched = self._touched
            touched.append(slot)
            if len(touched) >= _TOUCHED_MAX:
                self._tell_policy()
            return values[key]
        self._misses += 1
        self._expire(key, slot)
        return None

    def lookup(self, key: str, now_s: float) -> tuple[bytes, float] | None:
        """As `get`, with the time at which the entry ends."""
        value = self.get(key, now_s)
        if value is None:
            return None
        return value, self._expires[self._shards[hash(key) & _SHARD_MASK][0][key]]

    def get_many(self, keys: list[str], now_s: float) -> tuple[list[bytes | None], list[float]]:
        """The value of each key or None, and when each ends (0.0 beside None). About 0.25 us a key."""
        shards, expires, touched = self._shards, self._expires, self._touched
        values: list[bytes | None] = []
        ends: list[float] = []
        for key in keys:
            slots, found = shards[hash(key) & _SHARD_MASK]
            slot = slots.get(key)
            if slot is not None and (end := expires[slot]) > now_s:
                touched.append(slot)
                values.append(found[key])
                ends.append(end)
            else:
                self._misses += 1
                values.append(None)
                ends.append(0.0)
                if slot is not None:
                    self._expire(key, slot)
        if len(touched) >= _TOUCHED_MAX:
            self._tell_policy()
        return values, ends

    def __len__(self) -> int:
        return self.entries

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
        """Keep ``value`` until ``expires_at_s``, evicting as needed. False: it is larger than the whole budget, and nothing was changed."""
        cost = charge_of(key, value)
        if cost > self._budget_bytes:
            self._refused += 1
            return False
        if self._touched:
            self._tell_policy()  # what was used before is older than what is stored now
        slots, values = self._shards[hash(key) & _SHARD_MASK]
        slot = slots.get(key)
        if slot is None:
            slot = self._new_slot(key)
            slots[key] = slot
            self._used_bytes += cost
            self.entries += 1
            self._policy.inserted(slot, cost)
        else:
            self._used_bytes += cost - charge_of(key, values[key])
            self._policy.resized(slot, cost)
        values[key] = value
        self._expires[slot] = expires_at_s
        if expires_at_s != math.inf:
            self._wheel.schedule(slot, expires_at_s)
        while self._used_bytes > self._budget_bytes:
            # A policy that admits by merit may name the newcomer itself; then it is gone again, which is an answer too.
            self._evict(self._policy.victim())
        return True

    def delete(self, key: str, now_s: float) -> bool:
        """Remove an entry; whether it was there and had not expired."""
        slot = self._shards[hash(key) & _SHARD_MASK][0].get(key)
        if slot is None:
            return False
        alive = self._expires[slot] > now_s
        self._remove(key, slot)
        return alive

    def clear(self) -> None:
        """Remove everything."""
        for slots, _ in self._shards:
            for key, slot in list(slots.items()):
                self._remove(key, slot)

    def shorten(self, key: str, expires_at_s: float) -> None:
        """Let the entry of ``key``, if there is one, end at that time at the latest."""
        slot = self._shards[hash(key) & _SHARD_MASK][0].get(key)
        if slot is not None and self._expires[slot] > expires_at_s:
            self._expires[slot] = expires_at_s
            self._wheel.schedule(slot, expires_at_s)

    def resize(self, budget_bytes: int) -> None:
        """Another budget. A smaller one takes effect as `evict` is called, so that it can be done in slices."""
        self._budget_bytes = budget_bytes

    def evict(self, limit: int) -> int:
        """Evict at most ``limit`` entries, as far as the budget is exceeded; how many went."""
        self._tell_policy()
        evicted = 0
        while evicted < limit and self._used_bytes > self._budget_bytes:
            self._evict(self._policy.victim())
            evicted += 1
        return evicted

    def expire(self, now_s: float, limit: int = 1000) -> int:
        """Remove expired entries, looking at no more than ``limit``; how many it looked at (``limit``: there may be more)."""
        due = self._wheel.due(now_s, limit)
        for slot in due:
            key = self._pages[slot // _PAGE_SLOTS].get(slot)
            if key is None:
                continue  # its entry went before its time
            end = self._expires[slot]
            if end <= now_s:
                self._expire(key, slot)
            elif end != math.inf:
                self._wheel.schedule(slot, end)
        return len(due)

    def visit(self, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
        """About ``limit`` keys and the cursor for the next call; None to begin with, None when all have been visited.

        What is there throughout is visited at least once; what comes or goes meanwhile may be.
        """
        page = cursor or 0
        keys: list[str] = []
        # A page is visited in parts of ``limit``; the cursor counts parts.
        parts = -(-_PAGE_SLOTS // limit)
        number, part = divmod(page, parts)
        if number >= len(self._pages):
            return keys, None
        first = number * _PAGE_SLOTS + part * limit
        names = self._pages[number]
        for slot in range(first, min(first + limit, (number + 1) * _PAGE_SLOTS)):
            key = names.get(slot)
            if key is not None:
                keys.append(key)
        following = page + 1
        return keys, following if following < len(self._pages) * parts else None

    def statistics(self) -> StoreStatistics:
        """A frozen snapshot."""
        self._tell_policy()
        return StoreStatistics(
            entries=self.entries,
            used_bytes=self._used_bytes,
            budget_bytes=self._budget_bytes,
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions,
            expirations=self._expirations,
            refused=self._refused,
        )

    # -- slots -----------------------------------------------------------------------------------------------------

    def _tell_policy(self) -> None:
        touched = self._touched
        if touched:
            self._hits += len(touched)
            self._policy.touched(touched)
            self._touched = []

    def _new_slot(self, key: str) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._next_slot
            self._next_slot += 1
            if slot >= len(self._expires):
                self._expires.extend(_EXPIRES_PAGE)
            if slot // _PAGE_SLOTS == len(self._pages):
                self._pages.append({})
        self._pages[slot // _PAGE_SLOTS][slot] = key
        return slot

    def _remove(self, key: str, slot: int) -> None:
        slots, values = self._shards[hash(key) & _SHARD_MASK]
        del slots[key]
        self._used_bytes -= charge_of(key, values.pop(key))
        self.entries -= 1
        del self._pages[slot // _PAGE_SLOTS][slot]
        self._expires[slot] = 0.0
        self._policy.removed(slot)
        self._free.append(slot)

    def _expire(self, key: str, slot: int) -> None:
        self._remove(key, slot)
        self._expirations += 1

    def _evict(self, slot: int) -> None:
        self._remove(self._pages[slot // _PAGE_SLOTS][slot], slot)
        self._evictions += 1
