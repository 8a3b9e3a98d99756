"""What is recorded comes out again: counts and extremes exactly, percentiles to three digits."""

from __future__ import annotations

from random import Random

import pytest
from zmcache_loadgen.recorder import HITS, MISSES, OUTCOMES, Recorder
from zmcache_loadgen.result import Latency


def percentile_us(latencies_ns: list[int], percent: float) -> float:
    return sorted(latencies_ns)[round(percent * len(latencies_ns) / 100) - 1] / 1000


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.5])
def test_percentiles_are_those_of_the_sorted_list(spread: float) -> None:
    random = Random(3)
    latencies_ns = [int(random.lognormvariate(11.5, spread)) + 2000 for _ in range(50_000)]
    recorder = Recorder()
    for latency_ns in latencies_ns:
        recorder.record("owner", latency_ns)
    seen = recorder.latency()
    assert seen.count == len(latencies_ns)
    # a step is 0.1 us, a bucket a thousandth: of 2 us, the shortest here, a step is five hundredths
    assert seen.p50_us == pytest.approx(percentile_us(latencies_ns, 50), rel=0.002, abs=0.15)
    assert seen.p90_us == pytest.approx(percentile_us(latencies_ns, 90), rel=0.002, abs=0.15)
    assert seen.p99_us == pytest.approx(percentile_us(latencies_ns, 99), rel=0.002, abs=0.15)
    assert seen.p999_us == pytest.approx(percentile_us(latencies_ns, 99.9), rel=0.002, abs=0.15)
    assert seen.max_us == pytest.approx(max(latencies_ns) / 1000, abs=0.1)
    assert seen.mean_us == pytest.approx(sum(latencies_ns) / len(latencies_ns) / 1000, abs=0.1)


def test_groups_of_outcomes_are_measured_together_and_apart() -> None:
    recorder = Recorder()
    for outcome, milliseconds in zip(OUTCOMES, (1, 2, 10, 20, 50, 100), strict=True):
        for _ in range(5000):  # more than an array holds
            recorder.record(outcome, milliseconds * 1_000_000)
    assert recorder.count() == 30_000
    hits, misses = recorder.latency(HITS), recorder.latency(MISSES)
    assert (hits.count, hits.mean_us, hits.max_us) == (10_000, 1500.0, 2000.0)
    assert (misses.count, misses.mean_us, misses.max_us) == (10_000, 15_000.0, 20_000.0)
    assert recorder.latency().max_us == 100_000.0


def test_asking_twice_and_recording_on_gives_the_whole_each_time() -> None:
    recorder = Recorder()
    recorder.record("load", 1_000_000)
    assert recorder.latency() == recorder.latency() == Latency(1, *[1000.0] * 6)
    recorder.record("load", 3_000_000)
    assert recorder.count(MISSES) == 2
    assert (recorder.latency().mean_us, recorder.latency().max_us) == (2000.0, 3000.0)


def test_without_samples_there_is_no_latency_to_tell() -> None:
    assert Recorder().latency(HITS) == Latency(0)


def test_a_latency_beyond_the_histogram_is_still_counted_and_is_the_maximum() -> None:
    recorder = Recorder()
    recorder.record("failed", 7200 * 10**9)
    seen = recorder.latency()
    assert (seen.count, seen.max_us) == (1, 7200e6)
    assert seen.p50_us == pytest.approx(3600e6, rel=0.001)
