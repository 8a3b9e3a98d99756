"""Latencies: cheap to take while the run lasts, exact enough to be read when it is over.

To take one is to append an integer, in steps of 100 ns, to an array of its outcome. A full array is cut to the
resolution of the histogram (3 significant digits, as hdrhistogram has it: 11 bits and a power of two) and counted by
value, in C. So there are never more counts than the histogram has places, however long the run, and no fold holds the
loop up for more than a millisecond. Once a second the second's counts are cut off and added to the total. Only when
somebody asks do the counts go into an hdrhistogram, whose own `record_value` takes 2 us. Means and maxima are kept
beside the counts and are exact to the step.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from hdrh.histogram import HdrHistogram

from ..targets.base import Source

Outcome = Source | Literal["written", "deleted", "failed"]

OUTCOMES: Final[tuple[Outcome, ...]] = ("hot", "owner", "load", "found", "absent", "written", "deleted", "failed")
HITS: Final[tuple[Outcome, ...]] = ("hot", "owner", "found")
MISSES: Final[tuple[Outcome, ...]] = ("load", "absent")
READS: Final[tuple[Outcome, ...]] = HITS + MISSES
WRITES: Final[tuple[Outcome, ...]] = ("written", "deleted")
CLASSES: Final[Mapping[str, tuple[Outcome, ...]]] = {"all": OUTCOMES, "hits": HITS, "misses": MISSES, "writes": WRITES}

STEP_NS: Final = 100  # a dict answers in fractions of a microsecond, and is a target too
STEPS_PER_US: Final = 1000 // STEP_NS
_LONGEST_STEPS: Final = (
    3600 * 1_000_000 * STEPS_PER_US
)  # an hour; what took longer counts as an hour in the percentiles
_ARRAY_LENGTH: Final = 4096
_SIGNIFICANT_BITS: Final = 11  # what hdrhistogram keeps for 3 digits: cut here as it would be there, and not twice


class Counted(NamedTuple):
    """Latencies of one outcome as counts by value in steps; plain data, so that another process can send it."""

    counts: dict[int, int]
    number: int
    total: int
    longest: int


class _Series:
    """The latencies of one outcome, on their way from array to this second's counts and on to all of them."""

    __slots__ = ("all", "count", "longest", "samples", "second", "second_count", "second_longest", "total")

    def __init__(self) -> None:
        self.samples: array[int] = array("Q")
        self.second: Counter[int] = Counter()
        self.second_count = self.second_longest = 0
        self.all: Counter[int] = Counter()
        self.count = self.total = self.longest = 0

    def fold(self) -> None:
        samples = self.samples
        if not samples:
            return
        self.second.update(
            [
                steps >> over << over if (over := steps.bit_length() - _SIGNIFICANT_BITS) > 0 else steps
                for steps in samples
            ]
        )
        self.second_count += len(samples)
        self.total += sum(samples)
        self.second_longest = max(self.second_longest, *samples)
        del samples[:]

    def cut(self) -> tuple[Counter[int], int, int]:
        """The second's counts, how many they are, and the longest; they are added to all."""
        self.fold()
        cut = self.second, self.second_count, self.second_longest
        self.all.update(self.second)
        self.count += self.second_count
        self.longest = max(self.longest, self.second_longest)
        self.second, self.second_count, self.second_longest = Counter(), 0, 0
        return cut


class Second(NamedTuple):
    """What one second brought. Latencies in microseconds, of all that was answered in it; None where nothing was."""

    counts: dict[Outcome, int]
    p50_us: float | None
    p99_us: float | None
    max_us: float | None


class Recorder:
    """All latencies of one run in one process."""

    def __init__(self) -> None:
        self._series = {outcome: _Series() for outcome in OUTCOMES}

    def record(self, outcome: Outcome, elapsed_ns: int) -> None:
        """Take one latency, in nanoseconds, not negative. About 0.5 us, its part of the folds included."""
        series = self._series[outcome]
        series.samples.append(elapsed_ns // STEP_NS)
        if len(series.samples) >= _ARRAY_LENGTH:
            series.fold()

    def count(self, outcomes: Iterable[Outcome] = OUTCOMES) -> int:
        """How many were taken."""
        found = [self._series[outcome] for outcome in outcomes]
        return sum(series.count + series.second_count + len(series.samples) for series in found)

    def cut_second(self) -> Second:
        """What was taken since the last cut. About a millisecond."""
        counts: dict[Outcome, int] = {}
        merged: Counter[int] = Counter()
        longest = 0
        for outcome, series in self._series.items():
            second, count, second_longest = series.cut()
            counts[outcome] = count
            if count:
                merged.update(second)
                longest = max(longest, second_longest)
        if not merged:
            return Second(counts, None, None, None)
        p50, p99 = _percentiles(merged, (50.0, 99.0))
        return Second(counts, p50 / STEPS_PER_US, p99 / STEPS_PER_US, longest / STEPS_PER_US)

    def counted(self) -> dict[Outcome, Counted]:
        """Everything, as plain data."""
        self.cut_second()
        return {
            outcome: Counted(dict(series.all), series.count, series.total, series.longest)
            for outcome, series in self._series.items()
        }


def _percentiles(counts: Mapping[int, int], wanted: Iterable[float]) -> list[int]:
    """The values at these percentiles, ascending, of values with their counts."""
    found: list[int] = []
    ordered = sorted(counts.items())
    every = sum(counts.values())
    at, passed = 0, ordered[0][1]
    for percentile in wanted:
        needed = percentile / 100 * every
        while passed < needed and at + 1 < len(ordered):
            at += 1
            passed += ordered[at][1]
        found.append(ordered[at][0])
    return found


def merged(parts: Iterable[Counted]) -> Counted:
    """Latencies of several outcomes, or processes, together."""
    counts: Counter[int] = Counter()
    count = total = longest = 0
    for part in parts:
        counts.update(part.counts)
        count, total, longest = count + part.number, total + part.total, max(longest, part.longest)
    return Counted(dict(counts), count, total, longest)


def histogram(counted: Counted) -> Any:
    """As an `HdrHistogram` of nanoseconds, up to an hour. Takes some milliseconds."""
    filled = HdrHistogram(1, _LONGEST_STEPS * STEP_NS, 3)
    for steps, count in counted.counts.items():
        filled.record_value(min(steps, _LONGEST_STEPS) * STEP_NS, count)
    return filled
