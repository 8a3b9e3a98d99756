"""The table and the JSON say the same, and what is not exact is said to be so."""

from __future__ import annotations

import asyncio
import io
import json
import re
from typing import Any

import pytest
from filling_target import FillingTarget, plan_of, run
from hdrh.histogram import HdrHistogram
from rich.console import Console
from zmcache_loadgen.load.figures import SCHEMA
from zmcache_loadgen.load.plan import Closed, Open
from zmcache_loadgen.table import print_table
from zmcache_loadgen.workloads import Synthetic, Zipf


def measured(loop: Closed | Open) -> dict[str, Any]:
    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0)
        if number == 7:
            raise ValueError("the [bold]backend[/bold] said no")

    target = FillingTarget(nodes=("a", "b"), absent=("0",), before=before)
    workload = Synthetic(keys=50, distribution=Zipf(0.99), writes=0.1, prefix="")
    return json.loads(json.dumps(asyncio.run(run(target, plan_of(workload, loop, requests=2000)))))


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    return measured(Closed(callers=4))


def table(shown: dict[str, Any]) -> str:
    out = io.StringIO()
    print_table(shown, Console(file=out, width=120))
    return out.getvalue()


def row(text: str, first: str) -> list[str]:
    found = re.search(rf"^{re.escape(first)} +(.*)$", text, re.MULTILINE)
    assert found, f"no row {first!r} in\n{text}"
    return found[1].replace(",", "").replace("%", "").split()


def test_the_table_shows_the_figures_of_the_json(shown: dict[str, Any]) -> None:
    text = table(shown)
    for name, latency in shown["latency_us"].items():
        assert [float(cell) for cell in row(text, name)] == list(latency.values())
    for tier in ("owner", "load", "absent"):
        cells = row(text, tier)
        assert int(cells[0]) == shown["tiers"][tier]
        assert float(cells[1]) == pytest.approx(100 * shown["tiers"][tier] / shown["reads"], abs=0.006)
    assert float(row(text, "hit ratio")[0]) == pytest.approx(100 * shown["hit_ratio"], abs=0.006)
    for node_id, node in shown["nodes"].items():
        cells = row(text, node_id)
        assert [int(cells[0]), int(cells[2])] == [node["requests"], node["loads"]]
    assert "closed loop, 4 callers, seed 1: " in text
    assert "exponent 0.99" in text
    assert f"{shown['requests']:,} requests in {shown['seconds']:.2f} s" in text
    assert f"loads: {shown['loads']['loaded']} keys loaded by the nodes" in text
    assert f"{shown['loads']['distinct_keys']} distinct keys read" in text
    assert "ValueError: 1, the first: the [bold]backend[/bold] said no" in text


def test_an_open_loop_shows_response_and_service_time_apart() -> None:
    shown = measured(Open(rate=5000))
    text = table(shown)
    assert "open loop, 5,000 requests/s, constant arrivals" in text
    response, service = text.split("service time in us")
    assert [float(cell) for cell in row(response, "all")] == list(shown["latency_us"]["all"].values())
    assert [float(cell) for cell in row(service, "all")] == list(shown["service_us"]["all"].values())


def test_the_figures_of_the_json_add_up(shown: dict[str, Any]) -> None:
    latency, tiers = shown["latency_us"], shown["tiers"]
    assert shown["schema"] == SCHEMA
    assert shown["requests"] == latency["all"]["count"] == 2000
    assert shown["reads"] == sum(tiers.values()) == latency["hits"]["count"] + latency["misses"]["count"]
    assert shown["requests"] == shown["reads"] + latency["writes"]["count"] + shown["errors"]["total"]
    assert latency["hits"]["count"] == tiers["hot"] + tiers["owner"] + tiers["found"]
    assert latency["misses"]["count"] == tiers["load"] + tiers["absent"]
    assert shown["errors"]["by_class"] == {"ValueError": {"count": 1, "first": "the [bold]backend[/bold] said no"}}


def test_percentiles_ascend_to_the_maximum_and_histograms_hold_all_requests(shown: dict[str, Any]) -> None:
    points = shown["percentiles"]["all"]
    assert points == sorted(points)
    assert points[0][0] == 0.0
    assert points[-1] == [100.0, shown["latency_us"]["all"]["max"]]
    values = [value for _, value in points]
    assert values == sorted(values)
    histogram = HdrHistogram.decode(shown["histograms"]["all"])
    assert histogram.get_total_count() == 2000
    p99_us = histogram.get_value_at_percentile(99.0) / 1000
    assert p99_us == pytest.approx(shown["latency_us"]["all"]["p99"], rel=0.002, abs=0.2)


def test_what_is_partial_a_floor_or_the_generators_own_limit_says_so(shown: dict[str, Any]) -> None:
    shaky = shown | {
        "partial": "trace [x] ends inside a record",
        "valid": False,
        "bottlenecks": ["the generator's loop was [slow]"],
        "loads": {"loaded": 2, "loaded_exact": False, "distinct_keys": 3, "distinct_exact": False},
        "nodes": {"a": {"requests": 5, "loads": 2, "state": "left"}},
        "skipped": 17,
        "verify": {
            "checked": 5,
            "wrong": 1,
            "stale": 0,
            "torn": 0,
            "unverified": 0,
            "first": ["key 1: [red] is wrong"],
        },
    }
    text = table(shaky)
    assert "PARTIAL: trace [x] ends inside a record" in text
    assert "INVALID: the generator's loop was [slow]" in text
    assert "loads: at least 2 keys loaded by the nodes, at least 3" in text
    assert "17 skipped" in text
    assert "5 values, 1 wrong, 0 stale, 0 torn" in text
    assert "key 1: [red] is wrong" in text
    assert row(text, "a")[-1] == "left"


def test_a_run_without_a_single_request_can_be_shown() -> None:
    workload = Synthetic(keys=5, distribution=Zipf(0.99))
    empty = asyncio.run(run(FillingTarget(), plan_of(workload, duration_s=1e-9)))
    assert (empty["requests"], empty["requests_per_s"], empty["hit_ratio"]) == (0, 0.0, None)
    assert "errors: none" in table(json.loads(json.dumps(empty)))
