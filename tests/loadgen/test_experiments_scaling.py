"""``scaling``: the page says what the record has, and the experiment runs on small clusters and rings."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from zmcache_loadgen.experiments.base import Setting
from zmcache_loadgen.experiments.scaling import Effort, connections_at, cpu_s, measured
from zmcache_loadgen.experiments.scaling_section import section


def live(nodes: int, **other: Any) -> dict[str, Any]:
    return {
        "nodes": nodes, "requests_per_s": 50_000.0, "failed": 0, "hit_ratio": 0.5 + nodes / 20, "p50_us": 900.0, "p99_us": 2000.0,
        "fullest": 1.0 + nodes / 10, "node_cpu_us": 8.0 + nodes, "generator_cpu_us": 15.0, "connections": nodes, "valid": True,
        "bottlenecks": [], **other,
    }  # fmt: skip


def ring(nodes: int) -> dict[str, Any]:
    return {
        "nodes": nodes, "fullest": 1.12, "fullest_asked": 1.4, "joined": 1.05 / (nodes + 1), "left": 1 / nodes, "build_s": 0.01,
        "join_s": 0.001, "connections": nodes - 1,
    }  # fmt: skip


def record(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "cores": 2, "callers": 64, "keys": 1000, "node_share": 0.1, "exponent": 0.99, "ring_keys": 1000, "live": list(rows),
        "rings": [ring(10), ring(1000)],
    }  # fmt: skip


def test_the_page_tells_hits_cost_and_keys_moved_against_the_ideal() -> None:
    shown = section(record(live(1), live(4)))
    assert "from 55 % to 70 %" in shown.says
    assert "9 µs of processor time with 1 node and 12 µs with 4 nodes" in shown.says
    assert "moves 0.105 % of the keys, where 0.0999 % is ideal" in shown.says
    assert len(shown.pictures) == 4
    assert [notice.word for notice in shown.notices] == ["One machine"]


def test_failures_and_the_generators_limit_are_not_hidden() -> None:
    shown = section(record(live(1, failed=3), live(4, valid=False, bottlenecks=["it was late"])))
    assert [notice.word for notice in shown.notices][1:] == ["Not all were answered", "The generator's own limit"]
    assert shown.tables[0].rows[1][1].endswith("*")


def test_processor_time_and_connections_are_the_systems_own_count() -> None:
    before_s, end_s = cpu_s(os.getpid()), time.process_time() + 0.1
    while time.process_time() < end_s:
        pass
    assert cpu_s(os.getpid()) - before_s == pytest.approx(0.1, abs=0.06)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connections_at([port]) == 0
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert connections_at([port]) == 1


@pytest.mark.slow
def test_two_sizes_of_cluster_and_two_rings(tmp_path: Path) -> None:
    effort = Effort(
        live=(1, 3), keys=2000, node_share=0.2, callers=8, seconds=1.0, warmup_s=0.5, simulated=(5, 50), ring_keys=5000, asked=5000
    )  # fmt: skip
    found = asyncio.run(measured(Setting(folder=tmp_path), effort))
    one, three = found["live"]
    assert one["failed"] == three["failed"] == 0
    assert three["hit_ratio"] > one["hit_ratio"]
    assert one["fullest"] == 1.0 <= three["fullest"]
    assert one["node_cpu_us"] > 0
    assert three["connections"] >= 3  # of the client to each; nodes that ask each other nothing have none
    assert [each["nodes"] for each in found["rings"]] == [5, 50]
    assert section({**found, "envelope": {}}).pictures
