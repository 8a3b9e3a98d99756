"""The keys are drawn with exactly the probabilities that are promised, and by the seed alone."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zmcache_loadgen.workloads import Distribution, HotSet, Latest, Sequential, Synthetic, Uniform, Zipf
from zmcache_loadgen.workloads.zipf import ZipfTable, cumulated_weights

DISTRIBUTIONS: list[Distribution] = [
    Uniform(), Zipf(0.99), Latest(0.99), HotSet(), HotSet(shift_every=100), Sequential(),
]  # fmt: skip


def drawn(workload: Synthetic, count: int) -> list[int]:
    tokens = [request[1] for request in islice(workload.requests(), count)]
    assert all(isinstance(token, int) for token in tokens)
    return tokens  # type: ignore[return-value]  # asserted above


def chi_square(observed: Counter[int], weights: list[float], count: int) -> float:
    """Per degree of freedom: near 1 for the right distribution; keys that are expected less than 5 times are put together."""
    statistic, classes, rare_expected, rare_observed = 0.0, 0, 0.0, 0
    for key, weight in enumerate(weights):
        expected = weight / sum(weights) * count
        if expected < 5:
            rare_expected += expected
            rare_observed += observed[key]
        else:
            statistic += (observed[key] - expected) ** 2 / expected
            classes += 1
    if rare_expected >= 5:
        statistic += (rare_observed - rare_expected) ** 2 / rare_expected
        classes += 1
    return statistic / (classes - 1)


@pytest.mark.parametrize("exponent", [0.01, 0.5, 0.99, 1.0, 1.5, 3.0])
def test_zipf_keys_have_their_exact_probabilities(exponent: float) -> None:
    keys, count = 1000, 100_000
    observed = Counter(drawn(Synthetic(keys=keys, distribution=Zipf(exponent)), count))
    assert set(observed) <= set(range(keys))
    # with 300 to 1000 classes the statistic has a deviation of 0.05 to 0.08 around 1; 3.0 leaves some 40 classes: 0.22
    weights = [rank**-exponent for rank in range(1, keys + 1)]
    assert chi_square(observed, weights, count) < (1.3 if exponent < 2 else 1.8)


@pytest.mark.parametrize("exponent", [0.1, 0.5, 0.99, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("keys", [1, 2, 100, 1000])
def test_each_rank_owns_a_share_of_the_numbers_that_is_its_probability(exponent: float, keys: int) -> None:
    # numbers evenly laid out, not drawn: how many fall to a rank is its probability, to within one at each of its two ends
    count = 50_000
    observed = Counter(ZipfTable(keys, exponent).ranks([(number + 0.5) / count for number in range(count)]))
    total = sum(rank**-exponent for rank in range(1, keys + 1))
    assert all(abs(observed[rank] - (rank + 1) ** -exponent / total * count) <= 2 for rank in range(keys))
    assert max(observed) < keys


def test_chi_square_here_would_notice_an_exponent_that_is_off_by_a_twentieth() -> None:
    observed = Counter(drawn(Synthetic(keys=1000, distribution=Zipf(1.04)), 100_000))
    assert chi_square(observed, [rank**-0.99 for rank in range(1, 1001)], 100_000) > 1.8


@settings(max_examples=60, deadline=None)
@given(
    keys=st.integers(1, 3000),
    exponent=st.floats(0.01, 50),
    grown=st.integers(0, 20),
    numbers=st.lists(st.floats(0, 1, exclude_max=True), max_size=50),
    steps=st.lists(st.integers(0, 65535), max_size=20),
)
def test_the_guide_changes_no_rank(
    keys: int, exponent: float, grown: int, numbers: list[float], steps: list[int]
) -> None:
    table = ZipfTable(keys, exponent)
    for _ in range(grown):
        table.grow()
    sums = cumulated_weights(keys + grown, exponent)
    numbers = [*numbers, *(step / 65536 for step in steps), 1 - 2**-53]
    assert table.ranks(numbers) == [bisect(sums, number * sums[-1], 0, len(sums) - 1) for number in numbers]


def test_cumulated_weights_are_the_partial_sums() -> None:
    assert list(cumulated_weights(3, 1.0)) == pytest.approx([1, 1.5, 1.5 + 1 / 3])


def test_uniform_keys_are_equally_likely() -> None:
    assert chi_square(Counter(drawn(Synthetic(keys=500, distribution=Uniform()), 100_000)), [1.0] * 500, 100_000) < 1.3


def test_latest_without_inserts_is_zipf_from_the_newest_key_down() -> None:
    observed = Counter(999 - key for key in drawn(Synthetic(keys=1000, distribution=Latest(0.99)), 100_000))
    assert chi_square(observed, [rank**-0.99 for rank in range(1, 1001)], 100_000) < 1.3


def test_latest_gives_the_ranks_to_inserted_keys_as_they_come() -> None:
    draw = Latest(0.99).drawer(100, Random(1), Synthetic().part)
    assert [draw.insert() for _ in range(50)] == list(range(100, 150))
    observed = Counter(149 - key for key in draw(100_000, 0))
    assert chi_square(observed, [rank**-0.99 for rank in range(1, 151)], 100_000) < 1.5


def test_a_hot_set_gets_its_share_and_keys_within_each_part_are_equally_likely() -> None:
    observed = Counter(drawn(Synthetic(keys=200, distribution=HotSet(hot_keys=0.1, hot_share=0.8)), 100_000))
    assert chi_square(observed, [0.8 / 20] * 20 + [0.2 / 180] * 180, 100_000) < 1.5


@pytest.mark.parametrize(("hot_keys", "hot_share"), [(1.0, 0.5), (0.001, 1.0), (0.5, 0.0)])
def test_a_hot_set_of_all_keys_of_one_or_without_requests_is_no_special_case(hot_keys: float, hot_share: float) -> None:
    seen = set(drawn(Synthetic(keys=10, distribution=HotSet(hot_keys=hot_keys, hot_share=hot_share)), 1000))
    assert seen == {1.0: set(range(10)), 0.001: {0}, 0.5: set(range(5, 10))}[hot_keys]


def test_a_hot_set_shifts_at_the_second_by_which_that_many_requests_were_due() -> None:
    hot_set = HotSet(hot_keys=0.1, hot_share=1.0, shift_s=(2.0, 3.5), rate=1000.0)
    keys = drawn(Synthetic(keys=100, distribution=hot_set), 5000)
    assert [min(keys[:2000]), max(keys[:2000])] == [0, 9]
    assert [min(keys[2000:3500]), max(keys[2000:3500])] == [10, 19]
    assert [min(keys[3500:]), max(keys[3500:])] == [20, 29]


def test_each_of_several_workers_shifts_at_the_same_second() -> None:
    hot_set = HotSet(hot_keys=0.1, hot_share=1.0, shift_s=(2.0,), rate=1000.0)
    keys = drawn(Synthetic(keys=100, distribution=hot_set).for_worker(1, 4), 1000)  # 250 requests a second
    assert max(keys[:500]) == 9
    assert min(keys[500:]) == 10


def test_a_hot_set_without_a_rate_shifts_every_so_many_requests_and_round_again() -> None:
    keys = drawn(Synthetic(keys=30, distribution=HotSet(hot_keys=1 / 3, hot_share=1.0, shift_every=300)), 1200)
    assert [min(keys[start : start + 300]) for start in range(0, 1200, 300)] == [0, 10, 20, 0]


def test_workers_share_the_requests_after_which_a_hot_set_shifts() -> None:
    workload = Synthetic(keys=30, distribution=HotSet(hot_keys=1 / 3, hot_share=1.0, shift_every=300))
    keys = drawn(workload.for_worker(2, 3), 400)
    assert [min(keys[start : start + 100]) for start in range(0, 400, 100)] == [0, 10, 20, 0]


def test_sequential_keys_go_round_and_workers_take_turns() -> None:
    assert drawn(Synthetic(keys=3, distribution=Sequential()), 7) == [0, 1, 2, 0, 1, 2, 0]
    workers = [drawn(Synthetic(keys=6, distribution=Sequential()).for_worker(index, 2), 3) for index in range(2)]
    assert workers == [[0, 2, 4], [1, 3, 5]]


@settings(max_examples=40, deadline=None)
@given(
    distribution=st.sampled_from(DISTRIBUTIONS),
    keys=st.integers(1, 200),
    seed=st.integers(),
    worker=st.integers(0, 4),
)
def test_only_keys_that_exist_are_drawn(distribution: Distribution, keys: int, seed: int, worker: int) -> None:
    workload = Synthetic(keys=keys, distribution=distribution, seed=seed).for_worker(worker, 5)
    assert set(drawn(workload, 600)) <= set(range(keys))


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (Zipf(0.0), "exponent: a finite number above 0"),
        (Latest(float("inf")), "exponent: a finite number above 0"),
        (HotSet(hot_keys=0.0), "hot keys"),
        (HotSet(hot_share=1.5), "hot share"),
        (HotSet(shift_s=(1.0,)), "only with the rate of an open loop"),
        (HotSet(shift_s=(0.0,), rate=1.0), "seconds above 0"),
        (HotSet(shift_s=(1.0,), rate=1.0, shift_every=5), "not both"),
        (HotSet(shift_every=0), "every 1 request or more"),
        (HotSet(shift_s=(1.0,), rate=0.0), "rate: a finite number above 0"),
    ],
)
def test_parameters_outside_their_range_are_refused(distribution: Distribution, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Synthetic(distribution=distribution)


def test_a_table_larger_than_memory_should_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 20000000"):
        Synthetic(keys=20_000_001, distribution=Zipf())
