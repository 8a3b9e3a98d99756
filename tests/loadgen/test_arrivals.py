"""Arrivals come at the rate that was asked for, evenly or as strangers come, and workers split it."""

from __future__ import annotations

from heapq import merge
from itertools import islice, pairwise
from statistics import mean, stdev
from typing import Any

import pytest
from zmcache_loadgen.arrivals import arrivals


def test_constant_arrivals_are_evenly_spaced_and_nothing_adds_up() -> None:
    due = list(islice(arrivals(300.0, "constant", 1), 300_001))
    assert due[:3] == [0.0, 1 / 300, 2 / 300]
    assert due[300_000] == 1000.0  # exactly


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_workers_together_are_the_even_row_of_one(workers: int) -> None:
    parts = [islice(arrivals(1000.0, "constant", 1, worker=worker, workers=workers), 100) for worker in range(workers)]
    assert list(merge(*parts)) == list(islice(arrivals(1000.0, "constant", 1), 100 * workers))


def gaps(due: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(due)]


@pytest.mark.parametrize("workers", [1, 4])
def test_poisson_gaps_are_exponential_of_one_worker_and_of_all_together(workers: int) -> None:
    each = 40_000 // workers
    parts = [
        list(islice(arrivals(500.0, "poisson", 1, worker=worker, workers=workers), each)) for worker in range(workers)
    ]
    until = min(part[-1] for part in parts)  # beyond it not all workers are there
    between = gaps([second for second in merge(*parts) if second <= until])
    assert min(between) >= 0
    assert mean(between) == pytest.approx(1 / 500, rel=0.03)
    assert stdev(between) == pytest.approx(1 / 500, rel=0.04)  # as large as the mean: the exponential's mark
    # 1/e of them are longer than the mean, 1/e**3 longer than three of it
    assert sum(gap > 1 / 500 for gap in between) / len(between) == pytest.approx(0.368, abs=0.01)
    assert sum(gap > 3 / 500 for gap in between) / len(between) == pytest.approx(0.0498, abs=0.005)


def test_the_seed_decides_poisson_arrivals_and_each_worker_draws_its_own() -> None:
    def due(**given: Any) -> tuple[float, ...]:
        return tuple(islice(arrivals(100.0, "poisson", **given), 100))

    assert due(seed=1) == due(seed=1)
    assert due(seed=None) == due(seed=None)  # a trace has none, and its arrivals can be repeated all the same
    different = {due(seed=1), due(seed=2), due(seed=1, workers=2), due(seed=1, worker=1, workers=2)}
    assert len(different) == 4


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("kind", ["constant", "poisson"])
def test_a_rate_that_is_none_is_refused(rate: float, kind: Any) -> None:
    with pytest.raises(ValueError, match="rate: a finite number above 0"):
        arrivals(rate, kind, 1)


def test_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="constant or poisson, not 'gusts'"):
        arrivals(1.0, "gusts", 1)  # type: ignore[arg-type]  # wrong on purpose
