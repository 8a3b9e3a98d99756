"""The keys are drawn with exactly the probabilities that are promised, and by the seed alone."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from zmcache_loadgen.workload import Synthetic, cumulated_weights


def drawn(workload: Synthetic, count: int) -> list[tuple[int | str, str, bytes | None]]:
    return list(islice(workload.requests(), count))


def chi_square(observed: Counter[int | str], probabilities: list[float], count: int) -> float:
    """Per degree of freedom: near 1 for the right distribution; keys that are expected less than 5 times are put together."""
    statistic, classes, rare_expected, rare_observed = 0.0, 0, 0.0, 0
    for key, probability in enumerate(probabilities):
        expected = probability * count
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


@pytest.mark.parametrize("exponent", [0.01, 0.5, 0.99, 1.0, 1.2, 3.0])
def test_zipf_keys_have_their_exact_probabilities(exponent: float) -> None:
    keys, count = 1000, 100_000
    weights = [rank**-exponent for rank in range(1, keys + 1)]
    observed = Counter(
        token for token, _, _ in drawn(Synthetic(keys=keys, distribution="zipf", exponent=exponent), count)
    )
    assert set(observed) <= set(range(keys))
    # with 300 to 1000 classes the statistic has a deviation of 0.05 to 0.08 around 1; 3.0 leaves some 40 classes: 0.22
    assert chi_square(observed, [weight / sum(weights) for weight in weights], count) < (1.3 if exponent < 2 else 1.8)


def test_chi_square_here_would_notice_an_exponent_that_is_off_by_a_twentieth() -> None:
    weights = [rank**-0.99 for rank in range(1, 1001)]
    observed = Counter(
        token for token, _, _ in drawn(Synthetic(keys=1000, distribution="zipf", exponent=1.04), 100_000)
    )
    assert chi_square(observed, [weight / sum(weights) for weight in weights], 100_000) > 1.8


def test_uniform_keys_are_equally_likely() -> None:
    observed = Counter(token for token, _, _ in drawn(Synthetic(keys=500, distribution="uniform"), 100_000))
    assert chi_square(observed, [1 / 500] * 500, 100_000) < 1.3


def test_cumulated_weights_are_the_partial_sums() -> None:
    assert list(cumulated_weights(3, 1.0)) == pytest.approx([1, 1.5, 1.5 + 1 / 3])


@pytest.mark.parametrize("distribution", ["uniform", "zipf"])
def test_a_single_key_is_always_drawn(distribution: str) -> None:
    workload = Synthetic(keys=1, distribution=distribution, exponent=50.0)  # type: ignore[arg-type]  # from a list of names
    assert {key for _, key, _ in drawn(workload, 100)} == {"0"}


def test_the_same_seed_asks_for_the_same_and_another_for_something_else() -> None:
    workload = Synthetic(keys=1000, distribution="zipf", value_bytes=(1, 50), writes=0.3, seed=7)
    assert drawn(workload, 2000) == drawn(workload, 2000)
    assert drawn(workload, 2000) != drawn(
        Synthetic(keys=1000, distribution="zipf", value_bytes=(1, 50), writes=0.3, seed=8), 2000
    )


def test_more_writes_leave_the_keys_as_they_were() -> None:
    def keys(writes: float) -> list[str]:
        return [key for _, key, _ in drawn(Synthetic(keys=1000, writes=writes, value_bytes=(1, 50)), 1000)]

    assert keys(0.0) == keys(0.05) == keys(1.0)


@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_the_share_of_writes_is_kept(share: float) -> None:
    written = sum(value is not None for _, _, value in drawn(Synthetic(writes=share), 20_000))
    assert written / 20_000 == pytest.approx(share, abs=0.01)


def test_values_fill_their_range_of_sizes_and_keys_carry_their_prefix() -> None:
    requests = drawn(Synthetic(keys=10, value_bytes=(3, 6), writes=1.0, prefix="user:"), 500)
    assert {len(value or b"") for _, _, value in requests} == {3, 4, 5, 6}
    assert {key for _, key, _ in requests} == {f"user:{number}" for number in range(10)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": 0},
        {"distribution": "pareto"},
        {"exponent": 0.0},
        {"exponent": float("nan")},
        {"exponent": float("inf")},
        {"writes": 1.5},
        {"value_bytes": (5, 4)},
        {"value_bytes": (-1, 4)},
        {"distribution": "zipf", "keys": 10**9},
    ],
)
def test_parameters_outside_their_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=":"):
        Synthetic(**wrong)  # type: ignore[arg-type]  # wrong on purpose
