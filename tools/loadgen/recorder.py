"""Latencies: cheap to take while the run lasts, exact enough to be read when it is over.

To take one is to append an integer, in steps of 100 ns, to an array of its outcome. A full array is cut to the
resolution of the histogram (3 significant digits, as hdrhistogram has it: 11 bits and a power of two) and counted by
value, in C. So there are never more counts than the histogram has places, however long the run, and no fold holds the
loop up for more than a millisecond. Only when somebody asks do the counts go into an hdrhistogram, whose own
`record_value` takes 2 us. Means and maxima are kept beside the counts and are exact to the step.

An outcome is where a read was answered from, or ``written``, or ``failed``. Groups of outcomes are merged when they are
asked for.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from hdrh.histogram import HdrHistogram

from .result import Latency
from .target import Source

Outcome = Source | Literal["written", "failed"]

OUTCOMES: tuple[Outcome, ...] = ("hot", "owner", "load", "absent", "written", "failed")
HITS: tuple[Outcome, ...] = ("hot", "owner")
MISSES: tuple[Outcome, ...] = ("load", "absent")

STEP_NS = 100  # a dict answers in fractions of a microsecond, and is a target too one day
_STEPS_PER_US = 1000 // STEP_NS
_LONGEST_STEPS = 3600 * 1_000_000 * _STEPS_PER_US  # an hour; what took longer counts as an hour in the percentiles
_ARRAY_LENGTH = 4096
_SIGNIFICANT_BITS = 11  # what hdrhistogram keeps for 3 digits: a value is cut here as it would be there, and not twice
_PERCENTILES = (50.0, 90.0, 99.0, 99.9)


class _Series:
    """The latencies of one outcome, on their way from array to counts."""

    __slots__ = ("counts", "folded", "longest", "samples", "total")

    def __init__(self) -> None:
        self.samples: array[int] = array("Q")
        self.counts: Counter[int] = Counter()
        self.folded = 0
        self.total = 0
        self.longest = 0

    def fold(self) -> None:
        samples = self.samples
        if not samples:
            return
        self.counts.update(
            [
                steps >> over << over if (over := steps.bit_length() - _SIGNIFICANT_BITS) > 0 else steps
                for steps in samples
            ]
        )
        self.folded += len(samples)
        self.total += sum(samples)
        self.longest = max(self.longest, *samples)
        del samples[:]


class Recorder:
    """All latencies of one run."""

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
        return sum(self._series[outcome].folded + len(self._series[outcome].samples) for outcome in outcomes)

    def latency(self, outcomes: Iterable[Outcome] = OUTCOMES) -> Latency:
        """The latencies of these outcomes together. Takes some milliseconds."""
        merged, total, longest = HdrHistogram(1, _LONGEST_STEPS, 3), 0, 0
        for outcome in outcomes:
            series = self._series[outcome]
            series.fold()
            for steps, count in series.counts.items():
                merged.record_value(min(steps, _LONGEST_STEPS), count)
            total, longest = total + series.total, max(longest, series.longest)
        if not merged.total_count:
            return Latency(0)
        at: dict[float, int] = merged.get_percentile_to_value_dict(list(_PERCENTILES))
        # a percentile is the upper end of its bucket, which may lie above the longest that was seen
        p50, p90, p99, p999 = (min(at[percentile], longest) / _STEPS_PER_US for percentile in _PERCENTILES)
        count = merged.total_count
        return Latency(count, total / count / _STEPS_PER_US, p50, p90, p99, p999, longest / _STEPS_PER_US)
