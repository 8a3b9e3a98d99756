"""The experiment ``database-load``: what its page says of a record, and what must hold when it is really run."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import uvloop
from zmcache_loadgen.experiments.base import Setting
from zmcache_loadgen.experiments.database_load import Effort, measured
from zmcache_loadgen.experiments.database_load_section import section
from zmcache_loadgen.reporting import page


def run_of(rate: float, queries: int) -> dict[str, Any]:
    requests = int(rate * 10)
    return {
        "requests": requests, "requests_per_s": rate, "seconds": 10.0, "errors": {"total": 0, "by_class": {}}, "skipped": 0,
        "partial": None, "valid": True, "bottlenecks": [], "hit_ratio": 1 - queries / requests, "rate": rate,
        "queries": queries, "queries_per_s": queries / 10, "over_time": [[0.5, queries / 5], [1.5, queries / 10]],
    }  # fmt: skip


def stampede(queries: int, seconds: float) -> dict[str, Any]:
    return {"queries": queries, "seconds": seconds, "failed": 0, "first_failure": None, "ways": 12}


RECORD: dict[str, Any] = {
    "database": {"name": "PostgreSQL 15.14", "why": None, "query": "a query", "counted_by": "PostgreSQL itself"},
    "bears": {"rate": 100, "query_ms": 3.0, "busy_share": 0.3},
    "rate": 100, "more": 5, "keys": 500, "exponent": 0.99, "ttl_s": 4.0, "seconds_each": 10.0,
    "runs": {"alone": run_of(100, 1000), "cached": run_of(100, 200), "more": run_of(500, 300)},
    "stampede": {"callers": 1000, "cached": stampede(1, 0.04), "aside": stampede(1000, 1.2)},
}  # fmt: skip


def test_the_page_says_how_many_queries_reach_the_database() -> None:
    shown = section(RECORD)
    assert "100 requests a second made 100 queries a second at the database alone" in shown.says
    assert "20 with the cache before it (20 % of that); 5 times the traffic with the cache made 30 (30 %" in shown.says
    assert "it took 1 query and 40 ms with the cache, and 1,000 queries and 1.2 s without coalescing" in shown.says
    assert shown.notices == []
    assert "Queries that reach the database" in page("x", [shown])


def test_a_cache_that_spares_nothing_is_said_to_spare_nothing() -> None:
    record = deepcopy(RECORD)
    record["runs"]["cached"] = run_of(100, 1500)
    record["stampede"]["cached"]["queries"] = 12
    says = section(record).says
    assert "150 with the cache before it (150 % of that)" in says
    assert "it took 12 queries and" in says


def test_failed_callers_of_the_stampede_are_not_hidden() -> None:
    record = deepcopy(RECORD)
    record["stampede"]["aside"] |= {"failed": 4, "first_failure": "TimeoutError: no connection"}
    (notice,) = section(record).notices
    assert notice.text == ("stampede without coalescing: 4 callers failed, the first with TimeoutError: no connection.")


def test_a_database_that_was_not_asked_at_all_is_no_division_by_nothing() -> None:
    record = deepcopy(RECORD)
    for each in record["runs"].values():
        each |= {"queries": 0, "queries_per_s": 0.0, "over_time": []}
    assert "where there was none" in section(record).says


@pytest.mark.slow
@pytest.mark.parametrize("database", ["auto", "sqlite"])
def test_the_cache_spares_queries_and_a_stampede_is_one_load(database: Any) -> None:
    effort = Effort(keys=40, seconds=2.5, ttl_s=60.0, more=2, callers=300, rate=60)

    async def run() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="zmcache-test-") as folder:
            return await measured(Setting(folder=Path(folder), database=database), effort)

    record = uvloop.run(run())
    runs = record["runs"]
    assert all(each["errors"]["total"] == 0 for each in runs.values())
    assert runs["alone"]["queries"] == runs["alone"]["requests"]
    assert runs["cached"]["requests"] == runs["alone"]["requests"]
    for name in ("cached", "more"):
        assert 0 < runs[name]["queries"] <= effort.keys
        assert runs[name]["over_time"]
    assert record["stampede"]["cached"]["queries"] == 1
    assert record["stampede"]["cached"]["failed"] == 0
    assert record["stampede"]["aside"]["queries"] == effort.callers
    assert record["stampede"]["aside"]["failed"] == 0
