"""What an event cost follows from the seconds around it; the page says it whichever way it went; and no request fails in earnest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import uvloop
from zmcache_loadgen.experiments import elasticity
from zmcache_loadgen.experiments.base import Record, Setting
from zmcache_loadgen.experiments.elasticity_findings import findings, queries_at
from zmcache_loadgen.experiments.elasticity_section import section
from zmcache_loadgen.reporting import Section, page

JOIN = {"at_s": 4.0, "what": "start node-4", "ok": True, "detail": "serves"}
KILL = {"at_s": 10.0, "what": "kill node-2", "ok": True, "detail": "was ended by SIGKILL"}
JOINED = {"at_s": 5.2, "members": ["node-1", "node-2", "node-3", "node-4"], "moved": 260, "ideal": 0.25}
GONE = {"at_s": 13.0, "members": ["node-1", "node-3", "node-4"], "moved": 240, "ideal": 0.25}


def seconds(count: int, **at: dict[int, Any]) -> list[dict[str, Any]]:
    """A calm run of so many seconds, but for ``at``: field, second, what it was."""
    calm = {"requests": 100, "reads": 100, "hits": 100, "errors": 0, "skipped": 0, "p50_us": 900.0, "p99_us": 5_000.0}
    rows = [{"second": second, **calm} for second in range(count)]
    for field, values in at.items():
        for second, value in values.items():
            rows[second][field] = value
    return rows


def found(rows: list[dict[str, Any]], counts: list[tuple[float, int]] | None = None) -> dict[str, Any]:
    counts = counts or [(0.0, 0), (float(len(rows)), 0)]
    return findings(rows, [JOIN, KILL], counts, [JOINED, GONE], keys=1000)


def record(rows: list[dict[str, Any]], counts: list[tuple[float, int]] | None = None, **run: Any) -> Record:
    counts = counts or [(0.0, 0), (float(len(rows)), 0)]
    figures = {
        "valid": True, "bottlenecks": [], "partial": None, "requests": 2000, "skipped": 0,
        "errors": {"total": 0, "by_class": {}}, "latency_us": {"all": {"p99": 6_000.0}}, **run,
    }  # fmt: skip
    return {
        "database": {"name": "PostgreSQL 15", "why": None, "query": "an item", "counted_by": "PostgreSQL itself"},
        "nodes": ["node-1", "node-2", "node-3"], "joins": "node-4", "killed": "node-2", "lease_s": 10.0, "rows": 1000,
        "zipf": 0.99, "rate": 1000.0, "seconds": float(len(rows)), "run": figures, "events": [JOIN, KILL], "series": rows,
        "queries": counts, "changes": [JOINED, GONE], **found(rows, counts),
    }  # fmt: skip


def row(shown: Section, first: str) -> list[str]:
    return next(list(each) for each in shown.tables[0].rows if each[0] == first)


def test_the_hit_ratio_is_back_after_the_last_second_that_was_too_low() -> None:
    joined, killed = found(seconds(20, hits={5: 80, 6: 99, 7: 98, 12: 50, 19: 90}))["phases"]
    assert (joined["lowest_hit_ratio"], joined["hits_back_s"]) == (0.8, 4.0)  # a point below is still the calm
    assert (killed["lowest_hit_ratio"], killed["hits_back_s"]) == (0.5, None)  # the last second still is too low


def test_p99_is_back_only_after_the_ring_knew_of_the_join_and_a_lone_good_second_is_no_end() -> None:
    slow = 50_000.0
    joined, killed = found(seconds(20, p99_us={5: slow, 10: slow, 12: slow, 13: slow}))["phases"]
    assert joined["p99_back_s"] == 2.0
    assert killed["p99_back_s"] == 4.0
    assert joined["worst_p99_us"] == slow


def test_a_lone_slow_second_of_a_noisy_machine_does_not_undo_the_recovery() -> None:
    joined, _ = found(seconds(20, p99_us={5: 50_000.0, 7: 50_000.0}))["phases"]
    assert joined["p99_back_s"] == 2.0


def test_what_happened_at_the_end_of_a_second_shows_in_the_next() -> None:
    late = {**JOINED, "at_s": 5.97}
    joined, _ = findings(seconds(20, p99_us={6: 50_000.0}), [JOIN, KILL], [(0.0, 0), (20.0, 0)], [late], keys=1000)[
        "phases"
    ]
    assert joined["p99_back_s"] == 3.0


def test_p99_that_never_rose_was_back_at_once() -> None:
    assert [phase["p99_back_s"] for phase in found(seconds(20))["phases"]] == [0.0, 0.0]


def test_queries_are_those_beyond_the_calm() -> None:
    counts = [(0.0, 0), (4.0, 8), (10.0, 70), (20.0, 100)]  # 2 a second before anything happened
    shown = found(seconds(20), counts)
    assert shown["calm"]["queries_per_s"] == 2.0
    assert [phase["extra_queries"] for phase in shown["phases"]] == [62 - 12, 30 - 20]
    assert queries_at(counts, 7.0) == 39.0


def test_keys_moved_are_held_against_what_had_to_move() -> None:
    joined, killed = found(seconds(20))["phases"]
    assert (joined["moved_share"], joined["ideal_share"], joined["ring_s"]) == (0.26, 0.25, 1.2)
    assert (killed["moved_share"], killed["ring_s"]) == (0.24, 3.0)


def test_a_ring_that_did_not_change_in_time_is_not_made_up() -> None:
    _, killed = findings(seconds(20), [JOIN, KILL], [(0.0, 0), (20.0, 0)], [JOINED], keys=1000)["phases"]
    assert (killed["moved_share"], killed["ring_s"]) == (None, None)


def test_the_page_says_what_it_cost_and_that_nothing_failed() -> None:
    shown = section(
        record(seconds(20, hits={5: 80}, p99_us={5: 50_000.0}), [(0.0, 0), (4.0, 0), (10.0, 30), (20.0, 75)])
    )
    assert "no request failed" in shown.says
    assert "26 % of the keys moved (ideal: 25 %)" in shown.says
    assert "fell by at most 20 points" in shown.says
    assert "30 queries more" in shown.says
    assert ("failed requests", "0") in shown.key
    assert row(shown, "p99, worst second") == ["p99, worst second", "5 ms", "50 ms", "5 ms"]
    assert len(shown.pictures) == 3
    assert all("kill node-2" in picture and "ring of 4" in picture for picture in shown.pictures)
    assert not shown.notices
    assert page("t", [shown])


def test_the_page_says_it_too_when_requests_failed_and_it_did_not_recover() -> None:
    errors = {"total": 7, "by_class": {"PeerUnavailable": {"count": 7, "first": "nobody answers"}}}
    rows = seconds(20, hits=dict.fromkeys(range(10, 20), 70), errors={10: 7})
    shown = section(record(rows, errors=errors, valid=False, bottlenecks=["it was 60 ms late"]))
    assert "7 of 2,000 requests failed" in shown.says
    assert "not recovered within 10 s" in shown.says
    assert row(shown, "failed requests")[1:] == ["0", "0", "7"]
    assert [(notice.kind, notice.word) for notice in shown.notices] == [
        ("bad", "Failed"), ("warn", "The generator's own limit"),
    ]  # fmt: skip
    assert "nobody answers" in shown.notices[0].text


def test_another_database_than_was_wanted_and_an_event_that_did_not_happen_are_told() -> None:
    told = record(seconds(20))
    told["database"] = {**told["database"], "name": "SQLite 3.40", "why": "PostgreSQL is not installed"}
    told["phases"][0].update(ok=False, detail="node-4 exited with code 1")
    texts = [f"{notice.word} {notice.text}" for notice in section(told).notices]
    assert texts == [
        "SQLite 3.40 PostgreSQL is not installed",
        "Did not happen start node-4: node-4 exited with code 1",
    ]


@pytest.mark.slow
def test_a_node_joins_and_one_is_killed_and_no_request_fails(tmp_path: Path) -> None:
    effort = elasticity.Effort(rows=200, rate=200.0, warmup_s=0.2, join_s=2.0, kill_s=6.0, seconds=10.0)
    measured = uvloop.run(elasticity.measured(Setting(folder=tmp_path, database="sqlite"), effort))
    joined, killed = measured["phases"]
    assert (joined["ok"], killed["ok"]) == (True, True)
    assert measured["run"]["errors"]["total"] == 0
    assert measured["calm"]["hit_ratio"] == 1.0
    # Not one query: but what came just after the join is spread over the time since the count before it.
    assert measured["calm"]["queries_per_s"] * effort.join_s < 1
    assert measured["changes"][0]["members"] == ["node-1", "node-2", "node-3", "node-4"]
    assert 0.1 < joined["moved_share"] < 0.45
    # Who joins is handed what moves to it: none of it is loaded again.
    assert joined["extra_queries"] <= effort.rows * 0.02
    assert killed["extra_queries"] > effort.rows * 0.02
    assert "no request failed" in section(measured).says
