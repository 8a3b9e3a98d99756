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
from zmcache_loadgen.experiments.scaling import Effort, measured, of_rounds
from zmcache_loadgen.experiments.scaling_live import connections_at, cpu_s
from zmcache_loadgen.experiments.scaling_section import section


def live(nodes: int, **other: Any) -> dict[str, Any]:
    return {
        "nodes": nodes, "callers": 64, "requests_per_s": 50_000.0, "failed": 0, "hit_ratio": 0.5 + nodes / 20, "p50_us": 900.0, "p99_us": 2000.0,
        "fullest": 1.0 + nodes / 10, "node_cpu_us": 8.0 + nodes, "generator_cpu_us": 15.0, "connections": nodes, "valid": True,
        "bottlenecks": [], "costs_us": [7.0 + nodes, 9.0 + nodes], "rates": [40_000.0, 60_000.0], **other,
    }  # fmt: skip


def ring(nodes: int) -> dict[str, Any]:
    return {
        "nodes": nodes, "fullest": 1.12, "fullest_asked": 1.4, "joined": 1.05 / (nodes + 1), "left": 1 / nodes, "build_s": 0.01,
        "join_s": 0.001, "connections": nodes - 1,
    }  # fmt: skip


def record(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "cores": 2, "callers": 64, "keys": 1000, "node_share": 0.1, "exponent": 0.99, "rounds": 2, "seconds_each": 5.0, "ring_keys": 1000,
        "live": list(rows), "crowd": live(rows[-1]["nodes"], callers=256, node_cpu_us=9.5), "rings": [ring(10), ring(1000)],
    }  # fmt: skip


def test_the_page_tells_hits_cost_and_keys_moved_against_the_ideal() -> None:
    shown = section(record(live(1), live(4)))
    assert "from 55 % to 70 %" in shown.says
    assert (
        "9 µs of processor time with 1 node and 12 µs with 4 nodes, asked by 64 callers; asked by as many for each node, 9.5 µs"
        in shown.says
    )
    assert [row[0] for row in shown.tables[0].rows] == [
        "1 node, 64 callers",
        "4 nodes, 64 callers",
        "4 nodes, 256 callers",
    ]
    assert "moves 0.105 % of the keys, where 0.0999 % is ideal" in shown.says
    assert len(shown.pictures) == 5
    assert "8 µs to 10 µs" in shown.tables[0].rows[0]
    assert [notice.word for notice in shown.notices] == ["One machine"]


def test_failures_and_the_generators_limit_are_not_hidden() -> None:
    shown = section(record(live(1, failed=3), live(4, valid=False, bottlenecks=["it was late"])))
    assert [notice.word for notice in shown.notices][1:] == ["Not all were answered", "The generator's own limit"]
    assert shown.tables[0].rows[1][1].endswith("*")


def test_the_round_with_the_median_cost_counts_and_no_rounds_failure_is_lost() -> None:
    rows = [
        live(2, node_cpu_us=30.0, requests_per_s=9.0, failed=2),
        live(2, node_cpu_us=10.0, requests_per_s=7.0, valid=False, bottlenecks=["late"]),
        live(2, node_cpu_us=20.0, requests_per_s=8.0),
    ]
    seen = of_rounds(rows)
    assert (seen["node_cpu_us"], seen["requests_per_s"]) == (20.0, 8.0)
    assert (seen["costs_us"], seen["rates"]) == ([10.0, 20.0, 30.0], [7.0, 8.0, 9.0])
    assert (seen["failed"], seen["valid"], seen["bottlenecks"]) == (2, False, ["late"])


def test_processor_time_and_connections_are_the_systems_own_count() -> None:
    before_s, start_s = cpu_s(os.getpid()), time.process_time()
    while time.process_time() < start_s + 0.1:
        pass
    assert cpu_s(os.getpid()) - before_s == pytest.approx(time.process_time() - start_s, abs=0.06)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connections_at([port]) == 0
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            assert connections_at([port]) == 1


@pytest.mark.slow
def test_two_sizes_of_cluster_and_two_rings(tmp_path: Path) -> None:
    effort = Effort(
        live=(1, 3), rounds=2, keys=2000, node_share=0.2, callers=8, seconds=1.0, warmup_s=0.5, simulated=(5, 50), ring_keys=5000, asked=5000
    )  # fmt: skip
    found = asyncio.run(measured(Setting(folder=tmp_path), effort))
    one, three = found["live"]
    assert one["failed"] == three["failed"] == found["crowd"]["failed"] == 0
    assert (found["crowd"]["nodes"], found["crowd"]["callers"]) == (3, 24)
    assert one["fullest"] == 1.0 <= three["fullest"]
    # All keys were written before, so three nodes hold three times as many from the first request on.
    assert one["hit_ratio"] < three["hit_ratio"] < 1.0
    assert one["node_cpu_us"] > 0
    assert len(one["costs_us"]) == len(three["rates"]) == 2
    assert three["connections"] >= 3  # of the client to each; nodes that ask each other nothing have none
    assert [each["nodes"] for each in found["rings"]] == [5, 50]
    assert section({**found, "envelope": {}}).pictures
