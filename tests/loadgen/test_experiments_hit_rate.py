"""``hit-rate``: the page says what the record has, and the experiment runs on drawn streams, a trace and a node."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest
from zmcache_loadgen.errors import TraceError
from zmcache_loadgen.experiments.base import Setting
from zmcache_loadgen.experiments.hit_rate import Effort, measured
from zmcache_loadgen.experiments.hit_rate_section import section


def record(live: float = 0.61, *, trace: bool = True) -> dict[str, Any]:
    points = [
        {"items": 10, "hit_ratio": 0.2, "best": 0.4},
        {"items": 100, "hit_ratio": 0.6, "best": 0.8},
        {"items": 1000, "hit_ratio": 0.9, "best": 0.9},
    ]
    streams = [{"name": "Zipf 0.99", "reads": 10_000, "distinct": 1000, "points": points}]
    if trace:
        streams.append({"name": "web", "reads": 10_000, "distinct": 1000, "points": points})
    check = {"name": "Zipf 0.99", "items": 100, "reads": 5000, "failed": 0, "hit_ratio": live, "simulated": 0.608}
    return {"policy": "lru", "streams": streams, "live": check}


def test_the_page_tells_the_ratio_at_a_tenth_of_the_keys_and_the_best() -> None:
    shown = section(record())
    assert "60 % of Zipf 0.99 (of at most 80 %)" in shown.says
    assert "A real node had 61 % where the simulation says 60.8 %" in shown.says
    assert list(shown.notices) == []
    assert len(shown.pictures) == 2
    assert list(shown.tables[0].headings) == ["", "keys", "1 %", "10 %", "100 %"]
    assert list(shown.tables[0].rows[1]) == ["web", "1,000", "20 % of 40 %", "60 % of 80 %", "90 % of 90 %"]


def test_a_node_that_differs_from_the_simulation_is_a_notice_in_red() -> None:
    (notice,) = section(record(live=0.5)).notices
    assert notice.kind == "bad"


def test_without_a_trace_the_page_says_how_to_give_one() -> None:
    (notice,) = section(record(trace=False)).notices
    assert "--trace" in notice.text


TINY = Effort(exponents=(0.8, 1.2), keys=500, reads=5000, trace_reads=1000, live_reads=4000)


@pytest.mark.slow
def test_drawn_streams_a_trace_and_a_node(tmp_path: Path) -> None:
    trace = tmp_path / "web.trace"
    trace.write_bytes(struct.pack(">2000I", *(number * number % 211 for number in range(2000))))
    found = asyncio.run(measured(Setting(folder=tmp_path, traces=(trace,)), TINY))
    assert [stream["name"] for stream in found["streams"]] == ["Zipf 0.8", "Zipf 1.2", "web"]
    assert found["streams"][2]["reads"] == 1000
    for stream in found["streams"]:
        ratios = [point["hit_ratio"] for point in stream["points"]]
        assert ratios == sorted(ratios)
        assert all(point["hit_ratio"] <= point["best"] for point in stream["points"])
        assert stream["points"][-1]["best"] == pytest.approx(1 - stream["distinct"] / stream["reads"], abs=1e-6)
    live = found["live"]
    assert live["failed"] == 0
    assert live["hit_ratio"] == pytest.approx(live["simulated"], abs=0.01)
    assert section({**found, "envelope": {}}).pictures


def test_a_trace_that_ends_inside_a_record_is_one_line(tmp_path: Path) -> None:
    trace = tmp_path / "broken.trace"
    trace.write_bytes(b"\0\0\0\1\0")
    with pytest.raises(TraceError, match="ends inside a record"):
        asyncio.run(measured(Setting(folder=tmp_path, traces=(trace,)), TINY))
