"""What is recorded comes out again: counts and extremes exactly, percentiles to three digits."""

from __future__ import annotations

from random import Random

import pytest
from zmcache_loadgen.load.recorder import HITS, MISSES, OUTCOMES, Counted, Recorder, histogram, merged

PERCENTS = (50.0, 90.0, 99.0, 99.9)


def percentiles_us(counted: Counted) -> list[float]:
    at = histogram(counted).get_percentile_to_value_dict(list(PERCENTS))
    return [at[percent] / 1000 for percent in PERCENTS]


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.5])
def test_percentiles_are_those_of_the_sorted_list(spread: float) -> None:
    random = Random(3)
    latencies_ns = [int(random.lognormvariate(11.5, spread)) + 2000 for _ in range(50_000)]
    recorder = Recorder()
    for latency_ns in latencies_ns:
        recorder.record("owner", latency_ns)
    seen = recorder.counted()["owner"]
    assert seen.number == len(latencies_ns)
    ordered = sorted(latencies_ns)
    wanted = [ordered[round(percent * len(ordered) / 100) - 1] / 1000 for percent in PERCENTS]
    # a step is 0.1 us, a bucket a thousandth: of 2 us, the shortest here, a step is five hundredths
    assert percentiles_us(seen) == pytest.approx(wanted, rel=0.002, abs=0.15)
    assert seen.longest == max(latencies_ns) // 100
    assert seen.total == sum(latency_ns // 100 for latency_ns in latencies_ns)


def test_outcomes_are_kept_apart_and_can_be_put_together() -> None:
    recorder = Recorder()
    for milliseconds, outcome in enumerate(OUTCOMES, 1):
        for _ in range(5000):  # more than an array holds
            recorder.record(outcome, milliseconds * 1_000_000)
    assert recorder.count() == 5000 * len(OUTCOMES)
    assert recorder.count(HITS) == 15_000
    counted = recorder.counted()
    misses = merged(counted[outcome] for outcome in MISSES)
    assert (misses.number, misses.longest) == (10_000, 50_000)
    assert misses.total == 5000 * (30_000 + 50_000)


def test_a_second_has_what_came_since_the_last_cut_and_nothing_is_lost_between() -> None:
    recorder = Recorder()
    for _ in range(10):
        recorder.record("owner", 1_000_000)
    first = recorder.cut_second()
    recorder.record("load", 9_000_000)
    second, empty = recorder.cut_second(), recorder.cut_second()
    assert (first.counts["owner"], first.p50_us, first.p99_us, first.max_us) == (10, 1000.0, 1000.0, 1000.0)
    assert (second.counts["owner"], second.counts["load"], second.max_us) == (0, 1, 9000.0)
    assert (sum(empty.counts.values()), empty.p50_us) == (0, None)
    assert recorder.count() == 11
    assert sum(counted.number for counted in recorder.counted().values()) == 11


def test_two_processes_together_are_as_one_that_saw_all() -> None:
    random = Random(8)
    one, other, both = Recorder(), Recorder(), Recorder()
    for _ in range(20_000):
        elapsed_ns = random.randrange(1000, 10**8)
        random.choice((one, other)).record("owner", elapsed_ns)
        both.record("owner", elapsed_ns)
    assert merged([one.counted()["owner"], other.counted()["owner"]]) == both.counted()["owner"]


def test_counts_stay_few_however_many_latencies_there_are() -> None:
    """Memory: what is kept grows with the places of the histogram, never with the requests."""
    random = Random(1)
    recorder = Recorder()
    for _ in range(200_000):
        recorder.record("owner", int(random.lognormvariate(12, 1)))
    assert len(recorder.counted()["owner"].counts) < 20_000


def test_a_latency_beyond_the_histogram_is_still_counted_and_is_the_maximum() -> None:
    recorder = Recorder()
    recorder.record("failed", 7200 * 10**9)
    seen = recorder.counted()["failed"]
    assert (seen.number, seen.longest) == (1, 72_000_000_000)
    assert percentiles_us(seen)[0] == pytest.approx(3600e6, rel=0.001)
