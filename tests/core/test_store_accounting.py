"""What entries are charged, by every policy and after any sequence of operations, is exactly what those cost that are there."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from zmcache.core.charge import charge_of
from zmcache.core.eviction import POLICIES, entry_overhead
from zmcache.core.store import Store

BUDGET = 6_000
SHARE = 0.5
keys = st.sampled_from([f"k{i}" for i in range(12)] + ["ключ", "🔑" * 4])
# Sizes apart by a factor of a thousand; some fit by one at a time, some not at all.
sizes = st.one_of(st.integers(0, 3), st.integers(4, 300), st.integers(300, 4_000))
lives = st.one_of(st.just(math.inf), st.floats(0.1, 8.0))


class Accounting(RuleBasedStateMachine):
    """Knows what was set last, and nothing of what should be evicted."""

    policy = "lru"

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(BUDGET, self.policy, SHARE)
        self.overhead = entry_overhead(self.policy)
        self.budget = BUDGET
        self.used = 0  # after the step before
        self.last: dict[str, tuple[bytes, float]] = {}
        self.now_s = 100.0

    def held(self) -> list[str]:
        found, cursor = self.store.visit(None, 10_000)
        assert cursor is None
        return found

    @rule(key=keys, size=sizes, life_s=lives)
    def set(self, key: str, size: int, life_s: float) -> None:
        value = bytes(size)
        before = sorted(self.held())
        if self.store.set(key, value, self.now_s + life_s, self.now_s):
            assert charge_of(key, value, self.overhead) <= self.budget * SHARE
            self.last[key] = value, self.now_s + life_s
            assert self.store.contains(key, self.now_s)
        else:
            assert charge_of(key, value, self.overhead) > self.budget * SHARE
            assert sorted(self.held()) == before, "a refused store takes nothing from anyone"

    @rule(key=keys)
    def get(self, key: str) -> None:
        value = self.store.get(key, self.now_s)
        assert value is None or (value == self.last[key][0] and self.last[key][1] > self.now_s)

    @rule(wanted=st.lists(keys, min_size=1, max_size=20))
    def get_many(self, wanted: list[str]) -> None:
        for key, value in zip(wanted, self.store.get_many(wanted, self.now_s)[0], strict=True):
            assert value is None or (value == self.last[key][0] and self.last[key][1] > self.now_s)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.store.delete(key, self.now_s)
        assert not self.store.contains(key, self.now_s)

    @rule(step_s=st.floats(0.0, 3.0))
    def time_passes(self, step_s: float) -> None:
        self.now_s += step_s

    @rule(limit=st.integers(1, 5))
    def expire(self, limit: int) -> None:
        before = len(self.store)
        assert self.store.expire(self.now_s, limit) == before - len(self.store) <= limit

    @rule(budget=st.integers(2_000, 2 * BUDGET))
    def resize(self, budget: int) -> None:
        self.store.resize(budget)
        self.budget = budget

    @rule(limit=st.integers(1, 4))
    def evict(self, limit: int) -> None:
        self.store.evict(limit)

    @invariant()
    def what_is_charged_is_what_is_there(self) -> None:
        held = self.held()
        assert len(held) == len(set(held)) == len(self.store)
        assert self.store.used_bytes == sum(charge_of(key, self.last[key][0], self.overhead) for key in held)
        assert self.store.used_bytes <= max(self.budget * 33 / 32, self.used)
        self.used = self.store.used_bytes


@pytest.mark.parametrize("policy", POLICIES)
def test_every_byte_that_is_taken_is_given_back(policy: str) -> None:
    machine = type(f"Accounting of {policy}", (Accounting,), {"policy": policy})
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=60, deadline=None))
