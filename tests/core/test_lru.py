"""The log of uses gives the order of a list, and stays short."""

from __future__ import annotations

import random
from collections import OrderedDict

import pytest

from zmcache.core.eviction.lru import CHUNK, Lru


def test_the_latest_uses_count_even_before_their_chunk_is_full() -> None:
    policy = Lru()
    for slot in (1, 2, 3):
        policy.inserted(slot, 1)
    assert policy.victim() == 1
    policy.touched([1])
    assert policy.victim() == 2
    policy.resized(2, 5)
    assert policy.victim() == 3
    policy.removed(3)
    assert policy.victim() == 1


def test_naming_a_victim_twice_without_removing_it_changes_nothing() -> None:
    policy = Lru()
    policy.inserted(1, 1)
    assert policy.victim() == policy.victim() == 1


def test_an_empty_policy_says_so() -> None:
    policy = Lru()
    with pytest.raises(LookupError):
        policy.victim()
    policy.inserted(1, 1)
    policy.removed(1)
    with pytest.raises(LookupError):
        policy.victim()


@pytest.mark.parametrize("entries", [3, 700, 3000])
def test_victims_are_those_of_a_list_through_batches_removals_and_compaction(entries: int) -> None:
    source = random.Random(entries)
    policy, model = Lru(), OrderedDict[int, None]()
    for slot in range(1, entries + 1):
        policy.inserted(slot, 1)
        model[slot] = None
    for _ in range(400):
        slots = list(model)
        # Batches of any size, longer than a chunk too; most uses go to a few slots.
        batch = [
            slots[min(int(source.paretovariate(0.6)), len(slots)) - 1]
            for _ in range(source.choice([1, 30, 1024, 2500]))
        ]
        policy.touched(list(batch))
        for slot in batch:
            model.move_to_end(slot)
        for _ in range(source.choice([0, 1, 2])):
            victim = policy.victim()
            assert victim == next(iter(model))
            policy.removed(victim)
            del model[victim]
            policy.inserted(victim, 1)
            model[victim] = None
        gone = source.choice(list(model))
        policy.removed(gone)
        policy.inserted(gone, 1)
        model.move_to_end(gone)
    for expected in list(model):
        assert policy.victim() == expected
        policy.removed(expected)


def test_the_log_stays_short_when_nothing_is_ever_evicted() -> None:
    policy, source = Lru(), random.Random(1)
    for slot in range(1, 5001):
        policy.inserted(slot, 1)
    longest = 0
    for _ in range(400):
        # A hot tenth is used all the time; the rest stays in the log with one record each.
        policy.touched([source.randrange(1, 501) for _ in range(CHUNK)])
        longest = max(longest, policy._records)
    assert longest <= 3 * 5000 + 12 * CHUNK


def test_chunk_numbers_that_come_round_do_no_harm() -> None:
    policy = Lru()
    policy._number = (1 << 32) - 3
    for slot in range(1, 10 * CHUNK):
        policy.inserted(slot, 1)
    for expected in range(1, 10 * CHUNK):
        assert policy.victim() == expected
        policy.removed(expected)
