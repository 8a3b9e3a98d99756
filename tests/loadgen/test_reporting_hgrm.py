"""The percentile file has the lines that hdrhistogram's own has, and the layout of the original."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from result_samples import measured
from zmcache_loadgen.reporting import CannotWrite, write_hgrm
from zmcache_loadgen.reporting.hgrm import hgrm

HOUR_NS = 3_600_000_000_000


def histogram(*values_ns: int) -> Any:
    filled = HdrHistogram(1, HOUR_NS, 3)
    for value in values_ns:
        filled.record_value(value)
    return filled


def own_output(filled: Any) -> list[str]:
    out = io.BytesIO()
    filled.output_percentile_distribution(out, 1_000_000)
    return out.getvalue().decode().splitlines()


def percentiles(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("count", [1, 2, 199, 20_000])
def test_every_percentile_is_what_hdrhistogram_writes(count: int) -> None:
    drawn = random.Random(count)
    filled = histogram(*(int(drawn.lognormvariate(13, 2)) for _ in range(count)))
    assert percentiles(hgrm(filled).splitlines()) == percentiles(own_output(filled))


def test_the_summary_is_that_of_the_original_in_milliseconds() -> None:
    filled = histogram(1_000_000, 2_000_000, 3_000_000)
    found = dict(re.findall(r"(\w[\w ]*?) +=\s+([\d.]+)", hgrm(filled)))
    assert float(found["Mean"]) == pytest.approx(2.0, abs=0.002)
    assert float(found["StdDeviation"]) == pytest.approx(0.816, abs=0.002)
    assert float(found["Max"]) == pytest.approx(3.0, abs=0.003)
    assert found["Total count"] == "3"


def test_nothing_measured_is_a_file_without_percentiles() -> None:
    text = hgrm(histogram())
    assert "Total count    =            0]" in text
    assert len(percentiles(text.splitlines())) == 2  # the heading and the empty line under it


def test_the_file_of_a_run_ends_with_its_longest_and_counts_every_request(tmp_path: Path) -> None:
    result, path = measured(), tmp_path / "a.hgrm"
    write_hgrm(result, path)
    value_ms, percentile, count = percentiles(path.read_text(encoding="utf-8").splitlines())[-1].split()
    longest_us = result["latency_us"]["all"]["max"]
    rounding_us = 0.5 + 0.05 + longest_us / 1000  # the last digit in the file, the last in the result, a class's width
    assert float(value_ms) * 1000 == pytest.approx(longest_us, abs=rounding_us)
    assert (float(percentile), int(count)) == (1.0, 600)


def test_hits_misses_and_writes_can_be_had_alone(tmp_path: Path) -> None:
    result, path = measured(), tmp_path / "a.hgrm"
    for of in ("hits", "misses", "writes"):
        write_hgrm(result, path, of=of)  # type: ignore[arg-type]  # a loop over its literals
        assert f"Total count    = {result['latency_us'][of]['count']:12d}]" in path.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_kept_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="cannot be written: No such file or directory"):
        write_hgrm(measured(), tmp_path / "none" / "a.hgrm")
