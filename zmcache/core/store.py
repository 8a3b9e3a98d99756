"""The store: entries in a budget of bytes, each with its own end, and a policy that says whom to evict.

What an entry costs is charged, overhead included, and given back exactly when it goes, however it goes. Keys, values
and their slots are in `zmcache.core.slots`; when an entry ends, and all that the policy and the wheel know of it, is in
arrays by slot.

A hit notes its slot and no more. The policy hears of hits in batches, before anything that depends on their order,
which comes to the same order as telling it at once.

What is kept of a key is bytes, or a mark (`zmcache.core.marks`): to the store they are the same.

Times are seconds of one monotonic clock that the caller passes in; inf never ends. An expired entry is never served.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar, cast, overload

import msgspec

from zmcache.core.charge import charge_of
from zmcache.core.eviction import entry_overhead, make_policy
from zmcache.core.expiry import ExpiryWheel
from zmcache.core.marks import Held
from zmcache.core.recall import DELETED, EVICTED, EXPIRED
from zmcache.core.slots import SHARDS, Slots

_EXPIRES_PAGE: Final = array("d", bytes(8 * 4096))
_VERSIONS_PAGE: Final = array("Q", bytes(8 * 4096))
_TOUCHED_MAX: Final = 1024
_USED_MOST: Final = 2000  # and what one batch of hits adds
_EVICTED_MOST: Final = 32  # by one set, as long as the slack lasts
_SLACK: Final = 1 / 32  # of the budget
_MOST_COST: Final = (1 << 32) - 1  # policies keep costs in 32 bits

T = TypeVar("T")


class Reader(Protocol):
    """What is held of a key now."""

    @overload
    def __call__(self, key: str) -> bytes | None: ...
    @overload
    def __call__(self, key: str, default: T) -> bytes | T: ...


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


class Store:
    """See the module's docstring. Not for threads."""

    __slots__ = (
        "_budget_bytes", "_entries", "_entry_limit_bytes", "_evictions", "_expirations", "_expires", "_hits", "_item_share",
        "_misses", "_mortal", "_overhead", "_policy", "_refused", "_shards", "_slots", "_touched", "_used", "_used_bytes", "_values",
        "_versions", "_wheel", "on_ended", "on_gone",
    )  # fmt: skip

    def __init__(self, budget_bytes: int, policy: str, item_share: float = 1.0) -> None:
        """``item_share``: the part of the budget that one entry may cost, more than 0 and at most 1."""
        self._item_share = item_share
        self._set_budget(budget_bytes)
        self._overhead = entry_overhead(policy)
        self._policy = make_policy(policy, budget_bytes)
        self._slots = Slots()
        self._shards, self._values = self._slots.shards, self._slots.values
        self._expires = array("d", _EXPIRES_PAGE)
        self._versions = array("Q", _VERSIONS_PAGE)
        self._wheel = ExpiryWheel()
        self._touched: list[int] = []
        self._used: set[int] | None = None  # slots that were read lately, where somebody wants to know
        self.on_ended: Callable[[str, int], None] | None = None
        """Told the key and the version of each entry whose time is over."""
        self.on_gone: Callable[[str, int], None] | None = None
        """Told the key of each entry that goes, and why (`zmcache.core.recall`)."""
        self._entries = self._mortal = self._used_bytes = 0  # _mortal: entries that end some day
        self._hits = self._misses = self._evictions = self._expirations = self._refused = 0

    # -- reading ---------------------------------------------------------------------------------------------------

    def get(self, key: str, now_s: float) -> Held | None:
        """The value of ``key``, or None. Counts as a use. A hit costs about 0.3 us, what the policy makes of it included."""
        # A hit is what has to be fast: a failed look-up pays for the exception instead of every hit for a comparison.
        try:
            shard = hash(key) % SHARDS
            slot = self._shards[shard][key] * SHARDS + shard
        except (KeyError, TypeError):  # what cannot be hashed is nobody's key
            self._misses += 1
            return None
        if self._expires[slot] > now_s:
            touched = self._touched
            touched.append(slot)
            if len(touched) >= _TOUCHED_MAX:
                self._tell_policy()
            return self._values[slot]
        self._misses += 1
        self._expire(key, slot)
        return None

    def reader(
        self,
        clock: Callable[[], float],
        meaning: Callable[[str, object], object],
        elsewhere: Callable[[str], Held | None],
        good_until_s: Sequence[float] = (math.inf,),
    ) -> Reader:
        """`get` at the time that ``clock`` tells, as one function for a program that reads in its own process.

        It gives the caller's default for what neither this store nor ``elsewhere`` has, and in place of a mark ``meaning(mark, default)``.
        A frame costs a program as much as the look-up itself, as do reading the clock and
        finding attributes: so all is done in one, with the containers at hand, and nobody asks what time it is while
        nothing in the store will ever end. From ``good_until_s[0]`` on, which may move, nothing that ends some day is given.
        """
        shards, values, expires, touched = self._shards, self._values, self._expires, self._touched

        def get(key: str, default: object = None) -> object:
            value: Held | None
            try:
                shard = hash(key) % SHARDS
                slot = shards[shard][key] * SHARDS + shard
            except (KeyError, TypeError):  # no string at all: that is for ``elsewhere`` to say
                self._misses += 1
                value = elsewhere(key)
            else:
                if self._mortal and (expires[slot] <= (now_s := clock()) or good_until_s[0] <= now_s):
                    self._misses += 1
                    self._expire(key, slot)
                    value = elsewhere(key)
                else:
                    touched.append(slot)
                    if len(touched) >= _TOUCHED_MAX:
                        self._tell_policy()
                    value = values[slot]
            if type(value) is bytes:
                return value
            return default if value is None else meaning(value, default)  # type: ignore[arg-type]  # it is no bytes

        return cast("Reader", get)

    def lookup(self, key: str, now_s: float) -> tuple[Held, float] | None:
        """As `get`, with the time at which the entry ends."""
        value = self.get(key, now_s)
        if value is None:
            return None
        shard = hash(key) % SHARDS
        return value, self._expires[self._shards[shard][key] * SHARDS + shard]

    def get_many(self, keys: list[str], now_s: float) -> tuple[list[Held | None], list[float]]:
        """The value of each key or None, and when each ends (0.0 beside None). About 0.2 us a key where all are there."""
        shards, values, expires, touched = self._shards, self._values, self._expires, self._touched
        try:
            slots = [shards[shard := hash(key) % SHARDS][key] * SHARDS + shard for key in keys]
        except KeyError:
            return self._get_each(keys, now_s)
        if self._mortal:
            found_ends = [expires[slot] for slot in slots]
            if min(found_ends, default=math.inf) <= now_s:
                return self._get_each(keys, now_s)
        else:
            found_ends = [math.inf] * len(slots)
        touched += slots
        found: list[Held | None] = [values[slot] for slot in slots]
        if len(touched) >= _TOUCHED_MAX:
            self._tell_policy()
        return found, found_ends

    def _get_each(self, keys: list[str], now_s: float) -> tuple[list[Held | None], list[float]]:
        """`get_many` where some are not there, or have ended."""
        found: list[Held | None] = []
        ends: list[float] = []
        for key in keys:
            slot = self._slots.find(key)
            if slot is not None and (end := self._expires[slot]) > now_s:
                self._touched.append(slot)
                found.append(self._values[slot])
                ends.append(end)
            else:
                self._misses += 1
                found.append(None)
                ends.append(0.0)
                if slot is not None:
                    self._expire(key, slot)
        if len(self._touched) >= _TOUCHED_MAX:
            self._tell_policy()
        return found, ends

    def contains(self, key: str, now_s: float) -> bool:
        """Whether ``key`` is there. Counts as nothing."""
        slot = self._slots.find(key)
        return slot is not None and self._expires[slot] > now_s

    def __len__(self) -> int:
        return self._entries

    @property
    def used_bytes(self) -> int:
        """What the entries are charged, together."""
        return self._used_bytes

    @property
    def entry_limit_bytes(self) -> int:
        """What one of them may be charged at the most."""
        return self._entry_limit_bytes

    # -- writing ---------------------------------------------------------------------------------------------------

    def set(self, key: str, value: Held, expires_at_s: float, now_s: float, version: int = 0) -> bool:
        """Keep ``value`` until ``expires_at_s``, evicting as needed, or most of it (`_make_room`). False: it is larger
        than one entry may be, and nothing was changed. What ``version`` is compared with is the caller's business.

        One that ends in the past is not kept, nor is what it replaces. Costs about 2 us, and as much again for each
        entry that has to go.
        """
        cost = charge_of(key, value, self._overhead)
        if cost > self._entry_limit_bytes:
            self._refused += 1
            return False
        if not expires_at_s > now_s:
            self.delete(key, now_s, EXPIRED)
            return True
        if self._touched:
            self._tell_policy()
        slot = self._slots.find(key)
        if slot is not None and self._expires[slot] <= now_s:
            self._expire(key, slot)  # what comes is another entry, and has not been used
            slot = None
        if slot is None:
            # Room first: a policy that goes by merit would else name the newcomer, which has had no time to earn any.
            self._policy.arriving(hash(key), cost)
            self._make_room(cost, self._used_bytes)
            slot = self._slots.take(key, value)
            self._entries += 1
            self._used_bytes += cost
            while slot >= len(self._expires):
                self._expires.extend(_EXPIRES_PAGE)
                self._versions.extend(_VERSIONS_PAGE)
            self._expires[slot] = expires_at_s
            self._versions[slot] = version
            self._wheel.add(slot, expires_at_s)
            self._mortal += expires_at_s != math.inf
            self._policy.inserted(slot, cost)
        else:
            before = self._used_bytes
            self._used_bytes += cost - charge_of(key, self._values[slot], self._overhead)
            self._values[slot] = value
            self._versions[slot] = version
            self._move(slot, expires_at_s)
            self._policy.resized(slot, cost)
            self._make_room(0, before)
            if self._slots.find(key) is None:
                # It has grown, and the room for it was its own. It was set, so it is to be there: like one that is new.
                return self.set(key, value, expires_at_s, now_s, version)
        return True

    def version_of(self, key: str) -> int:
        """The version of what is held of ``key``, expired or not; 0 for nothing."""
        slot = self._slots.find(key)
        return 0 if slot is None else self._versions[slot]

    def peek(self, key: str, now_s: float) -> tuple[Held, float, int] | None:
        """What is held of ``key``, when it ends, and its version. Counts as nothing."""
        slot = self._slots.find(key)
        if slot is None or self._expires[slot] <= now_s:
            return None
        return self._values[slot], self._expires[slot], self._versions[slot]

    def first_to_go_for(self, key: str, value: Held) -> str | None:
        """The key that would be evicted first if ``value`` were set; None: there is room for it."""
        slot = self._slots.find(key)
        held = 0 if slot is None else charge_of(key, self._values[slot], self._overhead)
        if self._used_bytes + charge_of(key, value, self._overhead) - held <= self._budget_bytes or not self._entries:
            return None
        self._tell_policy()
        return self._slots.key_of(self._policy.victim())

    def delete(self, key: str, now_s: float, why: int = DELETED) -> bool:
        """Remove an entry; whether it was there and had not expired. ``why``: for `on_gone`."""
        slot = self._slots.find(key)
        if slot is None:
            return False
        if self._expires[slot] <= now_s:
            self._expire(key, slot)
            return False
        if self.on_gone is not None:
            self.on_gone(key, why)
        self._remove(key, slot)
        return True

    def end(self, key: str, why: int) -> None:
        """Its time is over: as an expiry. ``why``: for `on_gone`."""
        slot = self._slots.find(key)
        if slot is not None:
            self._expire(key, slot, why)

    def shorten(self, key: str, expires_at_s: float) -> None:
        """Let the entry of ``key``, if there is one, end at that time at the latest."""
        slot = self._slots.find(key)
        if slot is not None and self._expires[slot] > expires_at_s:
            self._move(slot, expires_at_s)

    def resize(self, budget_bytes: int) -> None:
        """Another budget. To a smaller one the store comes down as `evict` and `set` are called, in slices."""
        self._set_budget(budget_bytes)
        self._policy.resize(budget_bytes)

    def evict(self, limit: int) -> int:
        """Evict at most ``limit`` entries, as far as the budget is exceeded; how many went."""
        self._tell_policy()
        before = self._evictions
        while self._used_bytes > self._budget_bytes and self._evictions - before < limit:
            self._evict()
        return self._evictions - before

    def expire(self, now_s: float, limit: int = 1000) -> int:
        """Remove at most ``limit`` entries whose second is over; how many went (``limit``: there may be more). About 2
        us each.
        """
        for removed in range(limit):
            slot = self._wheel.due(now_s)
            if not slot:
                return removed
            self._expire(self._slots.key_of(slot), slot)
        return limit

    def take_used(self) -> list[str]:
        """Keys that were read since the last time it was asked, in no order, and not all of them where they are many. The first time: none."""
        self._tell_policy()
        used, self._used = self._used, set()
        return self._slots.keys_at(used or ())

    def visit(self, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
        """The next ``limit`` keys or fewer, and the cursor for the next call: see `Slots.visit`."""
        return self._slots.visit(cursor, limit)

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
            self._hits += len(touched)
            self._policy.touched(touched)
            if self._used is not None and len(self._used) < _USED_MOST:
                self._used.update(touched)
            touched.clear()  # not a new list: readers hold this one

    def _move(self, slot: int, expires_at_s: float) -> None:
        self._wheel.discard(slot, self._expires[slot])
        self._wheel.add(slot, expires_at_s)
        self._mortal += (expires_at_s != math.inf) - (self._expires[slot] != math.inf)
        self._expires[slot] = expires_at_s

    def _remove(self, key: str, slot: int) -> None:
        if self._touched:
            self._tell_policy()  # it must not hear later of the use of a slot that is free, or another's, by then
        self._release(key, slot)
        self._policy.removed(slot)

    def _release(self, key: str, slot: int) -> None:
        self._used_bytes -= charge_of(key, self._slots.release(key, slot), self._overhead)
        self._entries -= 1
        self._wheel.discard(slot, self._expires[slot])
        self._mortal -= self._expires[slot] != math.inf

    def _expire(self, key: str, slot: int, why: int = EXPIRED) -> None:
        if self.on_ended is not None:
            self.on_ended(key, self._versions[slot])
        if self.on_gone is not None:
            self.on_gone(key, why)
        self._remove(key, slot)
        self._expirations += 1

    def _evict(self) -> None:
        slot = self._policy.victim()
        key = self._slots.key_of(slot)
        if self.on_gone is not None:
            self.on_gone(key, EVICTED)
        self._release(key, slot)
        self._policy.evicted(slot, hash(key))
        self._evictions += 1

    def _set_budget(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._entry_limit_bytes = min(int(budget_bytes * self._item_share), _MOST_COST)

    def _make_room(self, cost: int, before_bytes: int) -> None:
        """Evict until ``cost`` fits the budget. A large value may take the place of thousands of small entries, which would stop everything
        for many milliseconds: as long as the slack lasts, or the store held more than that before, what follows evicts the rest.
        """
        for _ in range(_EVICTED_MOST):
            if self._used_bytes + cost <= self._budget_bytes:
                return
            self._evict()
        most_bytes = max(self._budget_bytes + int(self._budget_bytes * _SLACK), before_bytes)
        while self._used_bytes + cost > most_bytes:
            self._evict()
