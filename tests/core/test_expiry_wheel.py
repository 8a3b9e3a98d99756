"""The wheel: exactly the slots that expire, each once, whatever happens to them."""

from __future__ import annotations

import math
import random

from zmcache.core.expiry import ExpiryWheel


def taken(wheel: ExpiryWheel, ends: dict[int, float], now_s: float) -> list[int]:
    found = []
    while slot := wheel.due(now_s):
        wheel.discard(slot, ends.pop(slot))
        found.append(slot)
    return sorted(found)


def test_a_slot_is_due_when_its_second_is_over() -> None:
    wheel = ExpiryWheel()
    wheel.add(1, 100.2)
    wheel.add(2, 100.9)
    wheel.add(3, 101.0)
    assert wheel.due(100.95) == 0
    assert taken(wheel, {1: 100.2, 2: 100.9}, 101.0) == [1, 2]
    assert taken(wheel, {3: 101.0}, 102.0) == [3]
    assert len(wheel) == 0


def test_what_never_ends_is_not_in_the_wheel() -> None:
    wheel = ExpiryWheel()
    wheel.add(1, math.inf)
    wheel.discard(1, math.inf)
    assert (len(wheel), wheel.due(1e12)) == (0, 0)


def test_overwriting_with_ever_other_lives_does_not_grow_the_wheel() -> None:
    wheel = ExpiryWheel()
    end = 50_000.0
    wheel.add(1, end)
    for step in range(10_000):
        wheel.discard(1, end)
        end = 1000.0 + (step * 7919) % 40_000
        wheel.add(1, end)
    assert len(wheel) == 1
    assert len(wheel._heads) == 1


def test_a_sleep_of_years_costs_no_walk_through_its_seconds() -> None:
    wheel = ExpiryWheel()
    wheel.add(1, 10.0)
    wheel.add(2, 3e9)
    assert taken(wheel, {1: 10.0, 2: 3e9}, 4e9) == [1, 2]
    wheel.add(3, 1e300)
    assert wheel.due(5e9) == 0


def test_an_earlier_end_than_any_that_was_swept_is_still_seen() -> None:
    wheel = ExpiryWheel()
    wheel.add(1, 500.0)
    assert wheel.due(400.0) == 0
    wheel.add(2, 20.0)
    assert wheel.due(400.0) == 2


def test_any_sequence_gives_up_exactly_what_is_due() -> None:
    source = random.Random(5)
    wheel, now_s = ExpiryWheel(), 1000.0
    ends: dict[int, float] = {}
    for _ in range(20_000):
        slot = source.randrange(1, 6000)
        if slot in ends and source.random() < 0.5:
            wheel.discard(slot, ends.pop(slot))
        elif slot not in ends:
            ends[slot] = now_s + source.choice([0.1, 1.0, 5.5, 60.0, 3000.0])
            wheel.add(slot, ends[slot])
        if source.random() < 0.02:
            now_s += source.choice([0.3, 1.0, 10.0])
            due = sorted(slot for slot, end in ends.items() if int(end) < int(now_s))
            assert taken(wheel, ends, now_s) == due
        assert len(wheel) == len(ends)
