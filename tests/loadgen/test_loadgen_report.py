"""The table and the JSON say the same, and what is not exact is said to be so."""

from __future__ import annotations

import asyncio
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from zmcache_loadgen.memory import MemoryTarget
from zmcache_loadgen.report import SCHEMA, ReportError, check_writable, figures, print_table, write_json
from zmcache_loadgen.result import NodeShare, Result
from zmcache_loadgen.runner import run
from zmcache_loadgen.workload import Synthetic


@pytest.fixture(scope="module")
def result() -> Result:
    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0)
        if number == 7:
            raise ValueError("the [bold]backend[/bold] said no")

    target = MemoryTarget(nodes=("a", "b"), absent=("0",), before=before)
    return asyncio.run(run(target, Synthetic(keys=50, distribution="zipf", writes=0.1), callers=4, requests=2000))


def table(shown: dict[str, Any]) -> str:
    out = io.StringIO()
    print_table(shown, Console(file=out, width=120))
    return out.getvalue()


def row(text: str, first: str) -> list[str]:
    found = re.search(rf"^{re.escape(first)} +(.*)$", text, re.MULTILINE)
    assert found, f"no row {first!r} in\n{text}"
    return found[1].replace(",", "").replace("%", "").split()


def test_the_table_shows_the_figures_of_the_json(result: Result) -> None:
    shown = json.loads(json.dumps(figures(result)))
    text = table(shown)
    for name, latency in shown["latency_us"].items():
        assert [float(cell) for cell in row(text, name)] == list(latency.values())
    for tier, count in shown["tiers"].items():
        cells = row(text, tier)
        assert int(cells[0]) == count
        assert float(cells[1]) == pytest.approx(100 * count / shown["reads"], abs=0.006)
    assert float(row(text, "hit ratio")[0]) == pytest.approx(100 * shown["hit_ratio"], abs=0.006)
    for node_id, node in shown["nodes"].items():
        cells = row(text, node_id)
        assert [int(cells[0]), int(cells[2])] == [node["requests"], node["loads"]]
    assert "closed loop, 4 callers, seed 1: zipf, exponent 0.99, keys 50" in text
    assert f"{shown['requests']:,} requests in {shown['seconds']:.2f} s" in text
    assert f"loads: {shown['loads']['loaded']} keys loaded by the nodes" in text
    assert f"{shown['loads']['distinct_keys']} distinct keys read" in text
    assert "ValueError: 1, the first: the [bold]backend[/bold] said no" in text


def test_the_figures_of_the_json_add_up(result: Result) -> None:
    shown = figures(result)
    latency, tiers = shown["latency_us"], shown["tiers"]
    assert shown["schema"] == SCHEMA
    assert shown["requests"] == latency["all"]["count"] == 2000
    assert shown["reads"] == sum(tiers.values()) == latency["hits"]["count"] + latency["misses"]["count"]
    assert shown["requests"] == shown["reads"] + latency["writes"]["count"] + shown["errors"]["total"]
    assert latency["hits"]["count"] == tiers["hot"] + tiers["owner"]
    assert latency["misses"]["count"] == tiers["load"] + tiers["absent"]
    assert shown["errors"]["by_class"] == {"ValueError": {"count": 1, "first": "the [bold]backend[/bold] said no"}}


def test_the_json_has_the_documented_keys_and_no_other(result: Result) -> None:
    from zmcache_loadgen import report

    shown = figures(result)
    for key in shown:
        assert re.search(rf"\b{key}\b", report.__doc__ or ""), key
    assert list(shown["latency_us"]["all"]) == ["count", "mean", "p50", "p90", "p99", "p99.9", "max"]


def test_what_is_partial_or_a_floor_says_so(result: Result) -> None:
    shaky = replace(
        result,
        partial="trace [x] ends inside a record",
        loads_exact=False,
        distinct_exact=False,
        nodes={"a": NodeShare(5, 2, "left")},
    )
    text = table(figures(shaky))
    assert "PARTIAL: trace [x] ends inside a record" in text
    assert "loads: at least 2 keys loaded by the nodes, at least" in text
    assert row(text, "a")[-1] == "left"


def test_a_run_without_a_single_request_can_be_shown(result: Result) -> None:
    empty = asyncio.run(run(MemoryTarget(), Synthetic(), duration_s=1e-9))
    shown = figures(empty)
    assert (shown["requests"], shown["requests_per_s"], shown["hit_ratio"]) == (0, 0.0, None)
    assert "errors: none" in table(json.loads(json.dumps(shown)))


def test_a_report_that_cannot_be_kept_is_known_before(tmp_path: Path, result: Result) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "x.json"):
        with pytest.raises(ReportError, match="cannot be written"):
            check_writable(path)
        with pytest.raises(ReportError, match="cannot be written"):
            write_json(path, figures(result))


def test_looking_whether_a_report_can_be_kept_changes_nothing(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("kept")
    check_writable(old)
    check_writable(tmp_path / "new.json")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old.json": "kept"}
