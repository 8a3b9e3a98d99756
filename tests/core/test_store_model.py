"""The store against a slow, obvious model: the same answers, the same evictions and exactly the same bytes after any sequence of calls."""

from __future__ import annotations

import gc
import math
import random
from collections import OrderedDict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zmcache.core.charge import charge_of
from zmcache.core.eviction import entry_overhead
from zmcache.core.recall import EXPIRED
from zmcache.core.store import Store

OVERHEAD = entry_overhead("lru")
BUDGET = 3_000
keys = st.sampled_from([f"k{i}" for i in range(14)])
lives = st.one_of(st.just(math.inf), st.floats(0.1, 8.0))


class StoreModel(RuleBasedStateMachine):
    """An OrderedDict, oldest use first, beside the store."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(BUDGET, "lru")
        self.model: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self.budget = BUDGET
        self.now_s = 100.0

    def _used(self) -> int:
        return sum(charge_of(key, value, OVERHEAD) for key, (value, _) in self.model.items())

    def _trim(self) -> None:
        while self._used() > self.budget:
            self.model.popitem(last=False)

    def _get(self, key: str) -> bytes | None:
        entry = self.model.get(key)
        if entry is None:
            return None
        if entry[1] <= self.now_s:
            del self.model[key]
            return None
        self.model.move_to_end(key)
        return entry[0]

    @rule(key=keys, size=st.integers(0, 900), life_s=lives)
    def set(self, key: str, size: int, life_s: float) -> None:
        value = random.Random(size).randbytes(size)
        stored = self.store.set(key, value, self.now_s + life_s, self.now_s)
        assert stored == (charge_of(key, value, OVERHEAD) <= self.budget)
        if stored:
            self.model[key] = (value, self.now_s + life_s)
            self.model.move_to_end(key)
            self._trim()

    @rule(size=st.integers(2 * BUDGET, 3 * BUDGET), key=keys)
    def set_more_than_the_budget(self, size: int, key: str) -> None:
        assert not self.store.set(key, bytes(size), math.inf, self.now_s)

    @rule(key=keys)
    def get(self, key: str) -> None:
        assert self.store.get(key, self.now_s) == self._get(key)

    @rule(wanted=st.lists(keys, min_size=1, max_size=20))
    def get_many(self, wanted: list[str]) -> None:
        values, ends = self.store.get_many(wanted, self.now_s)
        assert values == [self._get(key) for key in wanted]
        for key, value, end in zip(wanted, values, ends, strict=True):
            assert end == (0.0 if value is None else self.model[key][1])

    @rule(key=keys)
    def lookup(self, key: str) -> None:
        value = self._get(key)
        assert self.store.lookup(key, self.now_s) == (None if value is None else self.model[key])

    @rule(key=keys)
    def delete(self, key: str) -> None:
        entry = self.model.pop(key, None)
        assert self.store.delete(key, self.now_s) == (entry is not None and entry[1] > self.now_s)

    @rule(key=keys, life_s=st.floats(0.0, 5.0))
    def shorten(self, key: str, life_s: float) -> None:
        self.store.shorten(key, self.now_s + life_s)
        if key in self.model:
            value, end = self.model[key]
            self.model[key] = (value, min(end, self.now_s + life_s))

    @rule(step_s=st.floats(0.0, 3.0))
    def time_passes(self, step_s: float) -> None:
        self.now_s += step_s

    @rule()
    def expire(self) -> None:
        self.store.expire(self.now_s + 1.0, 1000)  # all that ended a bucket ago is due
        for key in [key for key, (_, end) in self.model.items() if end <= self.now_s + 1.0]:
            if key not in self._stored_keys():
                del self.model[key]

    @rule(budget=st.integers(1_000, 2 * BUDGET))
    def resize(self, budget: int) -> None:
        self.store.resize(budget)
        self.budget = budget
        while self.store.evict(3):
            pass
        self._trim()

    def _stored_keys(self) -> set[str]:
        found: set[str] = set()
        cursor: int | None = None
        while True:
            some, cursor = self.store.visit(cursor, 500)
            found.update(some)
            if cursor is None:
                return found

    @invariant()
    def the_same_entries_and_the_same_bytes(self) -> None:
        assert self._stored_keys() == set(self.model)
        assert self.store.used_bytes == self._used() <= self.budget
        assert len(self.store) == len(self.model)


TestStoreModel = StoreModel.TestCase
TestStoreModel.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


def test_a_long_random_run_evicts_access_by_access_what_an_ordered_dict_evicts() -> None:
    """Long enough for chunks to be sealed, compacted and read as victims many times over."""
    rng = random.Random(7)
    one = charge_of("k0000", bytes(10), OVERHEAD)
    store = Store(300 * one, "lru")
    model: OrderedDict[str, bytes] = OrderedDict()
    for _ in range(40_000):
        key = f"k{min(int(rng.expovariate(1 / 150)), 999):04d}"
        if rng.random() < 0.97:
            assert (store.get(key, 0.0) is not None) == (key in model)
            if key in model:
                model.move_to_end(key)
                continue
        store.set(key, bytes(10), math.inf, 0.0)
        model[key] = bytes(10)
        model.move_to_end(key)
        if len(model) > 300:
            model.popitem(last=False)
    assert all((store.get(key, 0.0) is not None) == (key in model) for key in (f"k{i:04d}" for i in range(1000)))


def test_an_expired_entry_gives_its_memory_back_without_being_asked_for() -> None:
    store = Store(1 << 20, "lru")
    for i in range(1000):
        store.set(f"k{i}", b"v", 10.0 + i % 3, 0.0)
    looked = 0
    while step := store.expire(14.0, 100):
        assert step <= 100
        looked += step
    assert looked == 1000
    assert (len(store), store.used_bytes) == (0, 0)
    assert store.statistics().expirations == 1000


def test_what_has_ended_before_it_is_overwritten_or_deleted_has_expired() -> None:
    store = Store(1 << 20, "lru")
    gone: list[tuple[str, int]] = []
    store.on_gone = lambda key, why: gone.append((key, why))
    for key in ("set", "deleted"):
        store.set(key, b"v", 10.0, 0.0)
    assert store.set("set", b"w", 20.0, 15.0)
    assert not store.delete("deleted", 15.0)
    assert store.statistics().expirations == 2
    assert gone == [("set", EXPIRED), ("deleted", EXPIRED)]
    assert store.get("set", 15.0) == b"w"


def test_the_collector_has_nothing_to_visit_for_an_entry() -> None:
    store = Store(1 << 30, "lru")
    gc.collect()
    before = len(gc.get_objects())
    for i in range(20_000):
        store.set(f"key-{i}", i.to_bytes(8, "big"), 1e9, 0.0)
    gc.collect()
    # The pages and the log's chunks are a few dozen objects; entries are none.
    assert len(gc.get_objects()) - before < 200


def test_every_key_is_visited_even_if_others_come_and_go_meanwhile() -> None:
    store = Store(1 << 30, "lru")
    for i in range(30_000):
        store.set(f"stay-{i}", b"", math.inf, 0.0)
    seen: set[str] = set()
    cursor: int | None = None
    rounds = 0
    while True:
        some, cursor = store.visit(cursor, 500)
        assert len(some) <= 500
        seen.update(some)
        if cursor is None:
            break
        store.set(f"come-{rounds}", b"", math.inf, 0.0)
        store.delete(f"come-{rounds - 5}", 0.0)
        rounds += 1
    assert {f"stay-{i}" for i in range(30_000)} <= seen


def test_a_value_keeps_its_identity() -> None:
    store = Store(1 << 20, "lru")
    sentinel = bytes(bytearray(b"sentinel"))
    store.set("k", sentinel, math.inf, 0.0)
    assert store.get("k", 0.0) is sentinel
