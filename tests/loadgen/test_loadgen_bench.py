"""The benchmark: verdicts, the report, what is missing, and one small row of each kind of process that is always there."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop
from click.testing import CliRunner
from rich.console import Console
from zmcache_loadgen.bench import command, report, sections, servers
from zmcache_loadgen.bench.drive import Asked, Effort, in_turns
from zmcache_loadgen.bench.goals import BY_NAME, GOALS, NotMeasurable, Row, exit_code, judge, unmeasured
from zmcache_loadgen.bench.probe import load
from zmcache_loadgen.bench.sections import SECTIONS, Section, measure
from zmcache_loadgen.cli import main
from zmcache_loadgen.machine import machine

TINY = Effort(
    runs=1, keys=200, requests=500, slow_requests=200, lone_requests=20, batches=5, entries=2_000, million_runs=1
)
MACHINE: dict[str, Any] = {
    "cpu": "a cpu", "cores": 2, "system": "Linux", "python": "3.11", "versions": {"zmcache": "1", "redis": None}, "load_average": 0.0,
}  # fmt: skip


NAMES = """
gets-64-redis gets-64-memcached gets-64-echo gets-256-redis one-caller-echo one-caller-busy-redis get-many-redis get-many-8-redis
cached-hit cached-hit-64 sync-one sync-threads django-get django-set embedded-get embedded-get-nowait
hit-lru hit-lfu hit-arc hit-sieve hit-s3-fifo hit-w-tinylfu million-bytes million-pause expiry-pause longest-set longest-turn
groups-100 nodes-100 nodes-1000 nodes-1000-memory new-ring
set-copies gets-copies handover-rate handover-p99 kill-hits kill-queries near-get near-aiocache near-cached near-zipf sets-followed watch-delivery
tool-rate tool-record tool-memory tool-start
"""


def only(*names: str) -> list[Row]:
    """The rows of these names, measured with the least effort."""
    return uvloop.run(measure(names, TINY))


def test_a_rate_holds_from_its_floor_upwards() -> None:
    assert judge("gets-64-redis", [500.0], [100.0]).holds is True
    assert judge("gets-64-redis", [499.0], [100.0]).holds is False


def test_a_latency_holds_up_to_its_floor() -> None:
    assert judge("one-caller-echo", [170.0], [100.0]).holds is True
    assert judge("one-caller-echo", [171.0], [100.0]).holds is False


def test_the_ratio_is_the_median_of_what_ran_side_by_side() -> None:
    row = judge("gets-64-redis", [100.0, 10.0, 30.0], [10.0, 10.0, 10.0])
    assert (row.ratio, row.runs) == (3.0, (10.0, 1.0, 3.0))
    # A slow minute that both sides felt changes nothing; the ratio of the medians would be 5.
    assert judge("gets-64-redis", [100.0, 10.0, 50.0], [25.0, 2.5, 10.0]).ratio == 4.0


def test_the_pause_is_judged_in_milliseconds_and_not_by_the_idle_loop() -> None:
    row = judge("million-pause", [19.0, 300.0, 8.0], [1.0, 200.0, 1.0])
    assert (row.measured, row.ratio, row.holds) == (19.0, None, True)
    assert judge("million-pause", [21.0], [21.0]).holds is False


def test_runs_that_are_not_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        judge("gets-64-redis", [1.0, 2.0], [1.0])


def test_a_row_that_falls_short_counts_more_than_one_that_could_not_be_measured() -> None:
    good, bad = judge("gets-64-redis", [9.0], [1.0]), judge("gets-64-redis", [1.0], [1.0])
    missing = unmeasured("gets-64-memcached", "not there")
    assert exit_code([good]) == 0
    assert exit_code([good, missing]) == 3
    assert exit_code([missing, bad, good]) == 1


def test_the_rows_are_these() -> None:
    assert [goal.name for goal in GOALS] == NAMES.split()


def test_every_goal_is_measured_by_exactly_one_section() -> None:
    assert sorted(name for section in SECTIONS for name in section.names) == sorted(BY_NAME)


def test_sides_take_turns() -> None:
    order: list[str] = []

    async def side(name: str) -> float:
        order.append(name)
        return float(len(order))

    samples = asyncio.run(in_turns(2, {"a": lambda: side("a"), "b": lambda: side("b")}))
    assert order == ["a", "b", "a", "b"]
    assert samples == {"a": [1.0, 3.0], "b": [2.0, 4.0]}


def test_the_keys_are_asked_for_round_and_round_by_all_callers_together() -> None:
    asked: list[str] = []

    async def get(key: str) -> bytes:
        asked.append(key)
        await asyncio.sleep(0)
        return b"value"

    assert asyncio.run(Asked(get, ["a", "b", "c"]).rate(2, 10)) > 0
    assert asked == (["a", "b", "c"] * 4)[:11]  # one to warm up


def test_a_key_that_is_not_there_is_not_counted_as_fast() -> None:
    async def get(key: str) -> None:
        return None

    with pytest.raises(NotMeasurable, match="not there"):
        asyncio.run(Asked(get, ["a"]).rate(1, 10))
    with pytest.raises(NotMeasurable, match="not there"):
        asyncio.run(Asked(get, ["a"]).p50_us(10))


def test_a_server_that_is_not_installed_gives_a_row_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers.shutil, "which", lambda program: None)
    rows = {row.goal.name: row for row in only("gets-64-redis", "gets-64-memcached", "gets-64-echo")}
    assert rows["gets-64-redis"].note == "redis-server is not installed: apt-get install redis-server"
    assert rows["gets-64-memcached"].note == "memcached is not installed: apt-get install memcached"
    assert rows["gets-64-redis"].holds is None
    assert rows["gets-64-echo"].ratio is not None  # what is there is measured all the same
    assert "not measured: redis-server is not installed" in report.line(rows["gets-64-redis"])


def test_a_section_that_breaks_does_not_keep_the_others_from_being_measured() -> None:
    async def breaks(names: Collection[str], effort: Effort) -> AsyncIterator[Row]:
        yield judge("gets-64-redis", [9.0], [1.0])
        raise ConnectionResetError("gone")

    async def works(names: Collection[str], effort: Effort) -> AsyncIterator[Row]:
        for name in names:
            yield judge(name, [9.0], [1.0])

    told: list[str] = []
    rows = asyncio.run(
        measure(
            ["gets-256-redis", "gets-64-redis", "gets-64-echo"],
            TINY,
            sections=[Section(("gets-64-redis", "gets-64-echo"), breaks), Section(("gets-256-redis",), works)],
            on_row=lambda row: told.append(row.goal.name),
        )
    )
    assert [(row.goal.name, row.holds, row.note) for row in rows] == [
        ("gets-64-redis", True, ""),
        ("gets-64-echo", None, "ConnectionResetError: gone"),
        ("gets-256-redis", True, ""),
    ]
    assert told == [row.goal.name for row in rows]


def test_the_probe_sees_a_loop_that_stands_still() -> None:
    async def stand_still() -> dict[str, float]:
        await load("start:1")
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < 0.05:
            pass
        limit = asyncio.get_running_loop().time() + 5
        while True:
            seen: dict[str, float] = json.loads(await load("read:2"))
            if seen["pause_ms"] or asyncio.get_running_loop().time() > limit:
                return seen
            await asyncio.sleep(0.001)

    seen = uvloop.run(stand_still())
    assert seen["pause_ms"] > 40


def test_the_json_has_one_object_a_row_and_does_not_name_the_machine() -> None:
    rows = [judge("gets-64-redis", [9.0], [2.0]), unmeasured("gets-64-memcached", "not there")]
    shown = json.loads(json.dumps(report.as_json(rows, machine())))
    first, second = shown["rows"]
    assert {key: first[key] for key in ("name", "measured", "yardstick", "ratio", "floor", "wanted", "holds")} == {
        "name": "gets-64-redis", "measured": 9.0, "yardstick": 2.0, "ratio": 4.5, "floor": 5.0, "wanted": 6.0, "holds": False,
    }  # fmt: skip
    assert (second["measured"], second["ratio"], second["holds"], second["note"]) == (None, None, None, "not there")
    assert set(shown["machine"]) == {"cpu", "cores", "system", "python", "versions", "load_average"}


def test_the_table_tells_every_row_and_its_verdict() -> None:
    rows = [
        judge("gets-64-redis", [1.0], [2.0]),
        judge("million-pause", [5.0], [1.0]),
        unmeasured("million-bytes", "why"),
    ]
    out = io.StringIO()
    report.print_table(rows, MACHINE, Console(file=out, width=160))
    text = out.getvalue()
    for words in (
        "64 callers",
        "0.50 x",
        "at least 5 x, wanted 6",
        "NO",
        "at most 20 ms",
        "yes",
        "not measured",
        "million-bytes: why",
    ):
        assert words in text


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The command without its measuring; what it was asked for."""
    asked: list[Sequence[str]] = []

    async def fake(wanted: Sequence[str], effort: Effort, *, on_row: Any) -> list[Row]:
        asked.append(wanted)
        return [judge(name, [100.0], [1.0]) for name in wanted]

    monkeypatch.setattr(command, "measure", fake)
    monkeypatch.setattr(command.gc, "freeze", lambda: None)
    return asked


def test_the_command_measures_all_rows_and_keeps_them(faked: list[Sequence[str]], tmp_path: Path) -> None:
    file = tmp_path / "results" / "bench.json"
    result = CliRunner().invoke(main, ["bench", "--json", str(file)])
    assert faked == [[goal.name for goal in GOALS]]
    assert result.exit_code == 1  # a latency of a hundred times the yardstick
    assert len(json.loads(file.read_text())["rows"]) == len(GOALS)


def test_the_command_measures_the_rows_it_is_asked_for(faked: list[Sequence[str]], tmp_path: Path) -> None:
    rows = "gets-64-redis, gets-256-redis"
    result = CliRunner().invoke(main, ["bench", "--rows", rows, "--json", str(tmp_path / "b.json")])
    assert (faked, result.exit_code) == ([["gets-64-redis", "gets-256-redis"]], 0)


def test_a_row_that_does_not_exist_is_a_wrong_option(faked: list[Sequence[str]]) -> None:
    result = CliRunner().invoke(main, ["bench", "--rows", "nothing"])
    assert (result.exit_code, faked) == (2, [])
    assert "gets-64-redis" in result.output


def test_a_file_that_cannot_be_written_is_one_line(faked: list[Sequence[str]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["bench", "--rows", "gets-64-redis", "--json", str(tmp_path / "file" / "b.json")])
    assert result.exit_code == 1
    assert "cannot be written" in result.output


def test_names_that_are_no_rows_are_told_apart() -> None:
    assert sections.unknown(["gets-64-redis", "x"]) == ["x"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_a_bench_that_is_interrupted_leaves_no_process_behind(signum: signal.Signals, tmp_path: Path) -> None:
    code = "from zmcache_loadgen.cli import main; main()"
    options = ["--rows=gets-64-echo", "--runs=100", f"--json={tmp_path / 'b.json'}"]
    with subprocess.Popen([sys.executable, "-c", code, "bench", *options]) as process:
        children: list[int] = []
        limit_s = time.monotonic() + 20
        while len(children) < 2 and time.monotonic() < limit_s:
            children = [
                int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            ]
            time.sleep(0.01)
        process.send_signal(signum)
        assert process.wait(20) == 130
    assert len(children) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert not (tmp_path / "b.json").exists()
