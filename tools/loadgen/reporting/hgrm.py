"""The percentile distribution as text, in the form of HdrHistogram's ``outputPercentileDistribution``.

Other tools plot and compare files of this form. Values are milliseconds, as wrk2 writes them: the form itself names no
unit. The layout is that of the Java original; hdrhistogram for Python writes a total with decimals and leaves the
deviation unscaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from hdrh.histogram import HdrHistogram

from ..files import write_whole

NS_PER_MS: Final = 1_000_000
_TICKS_PER_HALF: Final = 5  # the default of all ports


def write_hgrm(
    result: Mapping[str, Any], path: Path, *, of: Literal["all", "hits", "misses", "writes"] = "all"
) -> None:
    """Write one of the histograms of ``result`` (as JSON, schema 2). Raises `CannotWrite`."""
    write_whole(path, hgrm(HdrHistogram.decode(result["histograms"][of])))


def hgrm(histogram: Any) -> str:
    """The text for a histogram of nanoseconds."""
    digits = histogram.significant_figures
    rows = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    for step in histogram.get_percentile_iterator(_TICKS_PER_HALF):
        level = step.percentile_level_iterated_to / 100
        row = f"{step.value_iterated_to / NS_PER_MS:12.{digits}f} {level:2.12f} {step.total_count_to_this_value:10d}"
        rows.append(row if level >= 1 else f"{row} {1 / (1 - level):14.2f}")
    count = histogram.get_total_count()
    mean, deviation, longest = (
        (histogram.get_mean_value(), histogram.get_stddev(), histogram.get_max_value()) if count else (0.0, 0.0, 0.0)
    )
    rows += [
        f"#[Mean    = {mean / NS_PER_MS:12.{digits}f}, StdDeviation   = {deviation / NS_PER_MS:12.{digits}f}]",
        f"#[Max     = {longest / NS_PER_MS:12.{digits}f}, Total count    = {count:12d}]",
        f"#[Buckets = {histogram.bucket_count:12d}, SubBuckets     = {histogram.sub_bucket_count:12d}]",
    ]
    return "\n".join(rows) + "\n"
