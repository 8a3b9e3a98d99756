"""The page says what the record has, also when it goes the unexpected way; and the experiment finds what it is to find."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import uvloop
from zmcache_loadgen.bench import servers
from zmcache_loadgen.bench.goals import NotMeasurable
from zmcache_loadgen.experiments import throughput
from zmcache_loadgen.experiments.base import Record, Setting
from zmcache_loadgen.experiments.throughput_section import knee, section
from zmcache_loadgen.experiments.throughput_systems import ECHO
from zmcache_loadgen.reporting import Section, page


def cell(system: str, callers: int, rate: float, **given: Any) -> dict[str, Any]:
    return {
        "system": system, "value_bytes": 128, "callers": callers, "rate": rate, "rates": [rate, rate * 1.1],
        "p50_us": None if system == ECHO else 100.0, "p99_us": None if system == ECHO else 900.0,
        "valid": True, "bottlenecks": [], "failed": 0, "absent": 0, **given,
    }  # fmt: skip


def record(*cells: dict[str, Any], missing: dict[str, str] | None = None) -> Record:
    return {
        "value_bytes": [128],
        "callers": sorted({each["callers"] for each in cells}),
        "systems": list(dict.fromkeys(each["system"] for each in cells)),
        "missing": missing or {},
        "rounds": 2,
        "seconds_each": 0.6,
        "keys_max": 20_000,
        "cells": list(cells),
    }


def three(system: str, *rates: float, **given: Any) -> list[dict[str, Any]]:
    return [cell(system, callers, rate, **given) for callers, rate in zip((1, 16, 64), rates, strict=True)]


def row(shown: Section, table: int, first: str) -> list[str]:
    return next(list(each) for each in shown.tables[table].rows if each[0] == first)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([(1, 100.0), (16, 900.0), (64, 950.0)], 16),
        ([(1, 100.0), (16, 900.0), (64, 1000.0)], None),  # more than a tenth is growth
        ([(1, 100.0), (16, 90.0), (64, 400.0)], None),  # a dip on the way is no knee
        ([(1, 100.0), (16, 50.0), (64, 20.0)], 1),
        ([(1, 100.0)], None),  # nobody knows what lies beyond
    ],
)
def test_the_knee_is_where_no_more_callers_bring_a_tenth_more(
    rates: list[tuple[int, float]], expected: int | None
) -> None:
    assert knee(rates) == expected


def test_the_page_says_how_much_more_it_answers_and_where_the_knee_is() -> None:
    shown = section(record(*three("zmcache", 4_000, 50_000, 52_000), *three("redis", 3_000, 9_000, 10_000)))
    assert "at most 52,000 answers a second" in shown.says
    assert "5.2 times redis's best" in shown.says
    assert "Beyond 16 callers its rate grows by less than 10 %" in shown.says
    assert row(shown, 0, "16") == ["16", "50,000", "9,000"]
    assert row(shown, 1, "redis, 128 B")[1] == "over 64"
    assert not shown.notices


def test_the_page_says_so_too_when_the_others_answer_more() -> None:
    shown = section(record(*three("zmcache", 4_000, 5_000, 6_000), *three(ECHO, 3_000, 9_000, 12_000)))
    assert "0.5 times the plain ZeroMQ echo's best" in shown.says
    assert "still grew with the last step, to 64 callers" in shown.says


def test_where_the_generator_was_the_limit_the_table_and_a_notice_say_so() -> None:
    limited = cell("zmcache", 64, 52_000, valid=False, bottlenecks=["its loop was computing 99% of the time"])
    shown = section(record(cell("zmcache", 1, 4_000), limited))
    assert row(shown, 0, "64") == ["64", "52,000 *"]
    assert "in 1 of 2 cells" in shown.notices[0].text
    assert "its loop was computing 99% of the time" in shown.notices[0].text


def test_what_is_not_installed_and_what_failed_is_told() -> None:
    why = "redis-server is not installed: apt-get install redis-server"
    shown = section(record(cell("zmcache", 1, 4_000, failed=3, absent=2), missing={"redis": why}))
    assert [notice.kind for notice in shown.notices] == ["warn", "bad"]
    assert why in shown.notices[0].text
    assert "3 requests failed, 2 did not find" in shown.notices[1].text
    assert "redis's best" not in shown.says


def test_a_picture_for_each_size_has_a_line_for_each_system() -> None:
    shown = section(record(*three("zmcache", 4_000, 50_000, 52_000), *three(ECHO, 3_000, 9_000, 10_000)))
    assert len(shown.pictures) == 1
    assert "zmcache" in shown.pictures[0]
    assert ECHO in shown.pictures[0]
    assert "128 B" in shown.pictures[0]
    assert page("t", [shown])


@pytest.mark.slow
def test_a_server_that_is_not_there_is_left_out_and_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> None:
        raise NotMeasurable("redis-server is not installed: apt-get install redis-server")

    monkeypatch.setattr(servers, "redis", nobody)
    found = uvloop.run(throughput.measured(Setting(folder=tmp_path), effort(systems=("zmcache", "redis"))))
    assert found["systems"] == ["zmcache"]
    assert "apt-get install redis-server" in found["missing"]["redis"]
    assert {each["system"] for each in found["cells"]} == {"zmcache"}


@pytest.mark.slow
def test_everyone_is_asked_in_each_round_and_finds_what_was_written(tmp_path: Path) -> None:
    names = ["zmcache", ECHO]
    names += [
        name for name, program in {"redis": "redis-server", "memcached": "memcached"}.items() if shutil.which(program)
    ]
    told: list[str] = []
    found = uvloop.run(
        throughput.measured(Setting(folder=tmp_path, say=told.append), effort(systems=tuple(names), rounds=2))
    )
    assert found["missing"] == {}
    assert len(found["cells"]) == len(names) * 2 * 2
    for each in found["cells"]:
        assert (each["failed"], each["absent"]) == (0, 0)
        assert len(each["rates"]) == 2
        assert max(each["rates"]) > 0, "a tenth of a second may be all stall, two hardly"
    assert any("round 2 of 2" in line for line in told)
    assert section(found).says


def effort(**given: Any) -> throughput.Effort:
    return throughput.Effort(
        **{
            "callers": (1, 8),
            "value_bytes": (128, 2048),
            "keys_max": 100,
            "rounds": 1,
            "seconds": 0.1,
            "warmup_s": 0.02,
            **given,
        }
    )
