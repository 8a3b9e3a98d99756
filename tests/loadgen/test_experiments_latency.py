"""The experiment ``latency``: what its page says of a record, and what must hold when it is really run."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import uvloop
from zmcache_loadgen.experiments.base import Setting
from zmcache_loadgen.experiments.latency import Effort, measured
from zmcache_loadgen.experiments.latency_section import section
from zmcache_loadgen.reporting import page


def tier(p50: float, count: int = 1000, p99: float | None = None) -> dict[str, Any]:
    points = [[0.0, p50 / 2], [50.0, p50], [99.0, p99 or p50 * 3]]
    return {"count": count, "mean": p50 * 1.2, "p50": p50, "p99": p99, "p99.9": None, "max": p50 * 5, "points": points}


def run_of(tiers: dict[str, Any], p50: float, hit_ratio: float, p99: float | None = None) -> dict[str, Any]:
    return {
        "requests": 1000, "requests_per_s": 100.0, "seconds": 10.0, "errors": {"total": 0, "by_class": {}}, "skipped": 0,
        "partial": None, "valid": True, "bottlenecks": [], "hit_ratio": hit_ratio, "queries": 400, "tiers": tiers,
        "response_us": {"mean": p50 * 1.2, "p50": p50, "p99": p99, "p99.9": None},
    }  # fmt: skip


RECORD: dict[str, Any] = {
    "database": {"name": "PostgreSQL 15.14", "why": None, "query": "a query", "counted_by": "PostgreSQL itself"},
    "bears": {"rate": 100, "query_ms": 3.0, "busy_share": 0.3},
    "rate": 100, "keys": 500, "exponent": 0.99, "rounds": 2, "seconds_each": 5.0,
    "runs": {
        "database": run_of({"load": tier(3000.0, p99=9000.0)}, 4000.0, 0.0, 9000.0),
        "owner": run_of({"owner": tier(500.0, p99=1500.0), "load": tier(4500.0, 400)}, 2000.0, 0.6, 18000.0),
        "any": run_of({"hot": tier(400.0, 100), "owner": tier(900.0, 500), "load": tier(5000.0, 400)}, 2500.0, 0.6),
    },
}  # fmt: skip


def test_the_page_says_what_a_hit_and_a_miss_took_and_how_that_compares() -> None:
    shown = section(RECORD)
    assert "3 ms from the database alone; 500 µs when the cache had it (6 times as fast)" in shown.says
    assert "4.5 ms when the cache had to load it first (1.5 times as slow)" in shown.says
    assert "had 60 % of the pages" in shown.says
    assert (
        "was at its p50 4 ms without it and 2 ms with it (2 times as fast), at its p99 9 ms without it and 18 ms with it (2 times as slow)."
        in shown.says
    )
    assert ("database alone / hit", "6") in shown.key
    assert shown.notices == []
    assert "hit in a hot copy" in page("x", [shown])


def test_a_cache_that_does_not_help_is_said_to_be_slower() -> None:
    record = deepcopy(RECORD)
    record["runs"]["owner"]["tiers"]["owner"] = tier(6000.0)
    record["runs"]["owner"]["response_us"]["p50"] = 8000.0
    says = section(record).says
    assert "6 ms when the cache had it (2 times as slow)" in says
    assert "8 ms with it (2 times as slow)" in says


def test_what_was_too_seldom_is_not_told() -> None:
    record = deepcopy(RECORD)
    del record["runs"]["any"]["tiers"]["hot"]
    record["runs"]["owner"]["tiers"]["owner"]["p50"] = None
    shown = section(record)
    assert "when the cache had it too seldom to tell" in shown.says
    assert not any("hot" in what for what, _ in shown.key)
    assert "hot copy" not in page("x", [shown])


def test_sqlite_failures_and_runs_of_the_generators_own_are_not_hidden() -> None:
    record = deepcopy(RECORD)
    record["database"] |= {"name": "SQLite 3.40.1", "why": "PostgreSQL is not installed: apt-get install postgresql"}
    record["runs"]["owner"] |= {"valid": False, "bottlenecks": ["one left 41 ms late"]}
    record["runs"]["any"]["errors"] = {"total": 3, "by_class": {"WrongItem": {"count": 3, "first": "7"}}}
    texts = [f"{each.word} {each.text}" for each in section(record).notices]
    assert texts == [
        "SQLite 3.40.1. PostgreSQL is not installed: apt-get install postgresql.",
        "Not valid. with the cache: the generator was the bottleneck: one left 41 ms late.",
        "Errors. with the cache by way of one node: 3 of 1,000 requests failed: 3 WrongItem.",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("database", ["auto", "sqlite"])
def test_it_runs_and_every_page_shows_the_right_item(database: Any) -> None:
    async def run() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="zmcache-test-") as folder:
            setting = Setting(folder=Path(folder), database=database)
            return await measured(setting, Effort(keys=60, rounds=2, seconds=1.0, rate=80))

    record = uvloop.run(run())
    runs = record["runs"]
    assert all(each["errors"]["total"] == 0 for each in runs.values())
    assert len({each["requests"] for each in runs.values()}) == 1  # the same traffic for all
    assert runs["database"]["queries"] == runs["database"]["requests"]
    for name in ("owner", "any"):
        loaded = runs[name]["tiers"]["load"]["count"]
        assert runs[name]["tiers"]["owner"]["count"] > loaded
        assert 0 < runs[name]["queries"] <= loaded <= 60
    assert "times as" in section(record).says
