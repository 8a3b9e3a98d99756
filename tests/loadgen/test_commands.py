"""The commands: what is written on the command line, what is printed, and the exit code."""

from __future__ import annotations

import json
import lzma
import os
import signal
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filling_target import FillingTarget
from zmcache_loadgen.cli import main
from zmcache_loadgen.errors import TargetUnavailable
from zmcache_loadgen.load.plan import Closed, Open, Plan
from zmcache_loadgen.workloads import HotSet, Latest, Synthetic

Opener = Callable[[Plan], AbstractAsyncContextManager[FillingTarget]]


def opening(target: FillingTarget, seen: list[Plan] | None = None) -> Opener:
    @asynccontextmanager
    async def open_it(plan: Plan) -> AsyncIterator[FillingTarget]:
        if seen is not None:
            seen.append(plan)
        yield target

    return open_it


@pytest.fixture(autouse=True)
def _machine_to_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a run is invalid, and exits with 4, whenever the machine had no processor for it; `test_load_selfcheck` is about that."""
    monkeypatch.setattr("zmcache_loadgen.load.figures.bottlenecks", lambda *_, **__: [])


def invoke(arguments: Sequence[str], opener: Opener | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), obj=opener or opening(FillingTarget()))


NODES = ("--nodes", "127.0.0.1:1")


def planned(*arguments: str) -> Plan:
    """What the command makes of its options."""
    seen: list[Plan] = []
    done = invoke(["run", *NODES, "--requests", "1", *arguments], opening(FillingTarget(), seen))
    assert seen, done.output
    return seen[0]


def test_run_prints_the_table_keeps_the_json_and_exits_0(tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    seen: list[Plan] = []
    done = invoke(
        ["run", *NODES, "--group", "g", "--keys", "50", "--distribution", "zipf", "--exponent", "1.2", "--writes", "0.1",
         "--value-size", "4-8", "--requests", "300", "--callers", "3", "--seed", "9", "--route", "any", "--timeout", "250ms",
         "--json", str(report)],
        opening(FillingTarget(), seen),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "closed loop, 3 callers, seed 9: " in done.stdout
    destination = seen[0].destination
    assert (destination.target, destination.group, destination.route) == ("zmcache:127.0.0.1:1", "g", "any")
    assert destination.timeout_s == 0.25
    shown = json.loads(report.read_text())
    assert (shown["requests"], shown["loop"]["callers"], shown["seed"], shown["partial"]) == (300, 3, 9, None)
    assert f"{shown['tiers']['owner']:,}" in done.stdout
    assert f"{shown['latency_us']['all']['p99']:,.1f}" in done.stdout


def test_a_rate_makes_the_loop_open_and_callers_make_it_closed() -> None:
    assert planned("--callers", "7").loop == Closed(callers=7)
    assert planned("--rate", "500").loop == Open(rate=500.0)
    opened = planned("--rate", "500", "--arrivals", "poisson", "--max-in-flight", "9").loop
    assert opened == Open(rate=500.0, arrivals="poisson", max_in_flight=9)


def test_every_workload_can_be_named() -> None:
    for kind in ("uniform", "zipf", "latest", "hotset", "sequential", *(f"ycsb-{letter}" for letter in "abcdf")):
        assert planned("--workload", kind, "--keys", "100").workload.description["kind"]
    hot = planned(
        "--workload", "hotset", "--hot-keys", "0.2", "--hot-share", "0.8", "--hot-shift", "2s", "--rate", "9"
    ).workload
    assert isinstance(hot, Synthetic)
    assert hot.distribution == HotSet(0.2, 0.8, (2.0,), 9.0, None)
    latest = planned("--workload", "latest", "--exponent", "0.5").workload
    assert isinstance(latest, Synthetic)
    assert latest.distribution == Latest(0.5)


def test_run_with_a_duration_ends_by_itself() -> None:
    done = invoke(["run", *NODES, "--duration", "50ms"])
    assert done.exit_code in (0, 4), done.output  # a target that never waits is the generator's own limit


@pytest.mark.parametrize("packed", [False, True])
def test_replay_asks_for_the_integers_in_decimal(tmp_path: Path, packed: bool) -> None:
    content = struct.pack(">4I", 7, 8, 7, 4_000_000_000)
    trace = tmp_path / "t.trace"
    trace.write_bytes(lzma.compress(content) if packed else content)
    target = FillingTarget()
    done = invoke(["replay", str(trace), *NODES, "--callers", "1", "--prefix", "k"], opening(target))
    assert done.exit_code == 0, done.output
    assert [key for key, _ in target.asked] == ["k7", "k8", "k7", "k4000000000"]
    assert "loads: 3 keys loaded by the nodes, 3 distinct keys read" in done.stdout


def test_replay_of_csv_takes_its_columns_and_its_pace(tmp_path: Path) -> None:
    trace = tmp_path / "t.csv"
    trace.write_text("ts,obj,bytes,cmd\n0,a,10,get\n20,b,20,set\n40,a,10,get\n")
    target = FillingTarget()
    columns = ["--csv-columns", "time=ts,key=obj,size=bytes,op=cmd", "--csv-time-unit", "ms"]
    done = invoke(["replay", str(trace), *NODES, *columns, "--pace", "2x"], opening(target))
    assert done.exit_code == 0, done.output
    assert [(key, value is not None and len(value)) for key, value in target.asked] == [
        ("a", False),
        ("b", 20),
        ("a", False),
    ]
    assert "open loop, at the recorded pace" in done.stdout


def test_replay_of_a_trace_that_breaks_off_keeps_what_was_measured_and_exits_1(tmp_path: Path) -> None:
    trace, report = tmp_path / "t.trace", tmp_path / "out.json"
    trace.write_bytes(struct.pack(">3I", 1, 2, 3) + b"\0")
    done = invoke(["replay", str(trace), *NODES, "--json", str(report)])
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [f"Error: {trace}: ends inside a record, 1 of 4 bytes after record 3"]
    shown = json.loads(report.read_text())
    assert shown["requests"] == 3
    assert "ends inside a record" in shown["partial"]
    assert "PARTIAL" in done.stdout


def test_an_empty_trace_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    trace = tmp_path / "t.trace"
    trace.touch()
    done = invoke(["replay", str(trace), *NODES])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"Error: {trace}: empty, there is nothing to replay"]


def test_ctrl_c_prints_what_was_measured_as_partial_and_exits_130(tmp_path: Path) -> None:
    async def before(number: int, key: str) -> None:
        if number == 200:
            os.kill(os.getpid(), signal.SIGINT)

    report = tmp_path / "out.json"
    done = invoke(
        ["run", *NODES, "--duration", "1h", "--callers", "2", "--runs", "5", "--json", str(report)],
        opening(FillingTarget(before=before)),
    )
    assert done.exit_code == 130, done.output
    assert "PARTIAL: interrupted" in done.stdout
    shown = json.loads(report.read_text())  # and the other four runs were not begun
    assert shown["partial"] == "interrupted"
    assert shown["requests"] >= 200
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_failed_requests_exit_1_unless_they_are_allowed() -> None:
    async def before(number: int, key: str) -> None:
        if number == 3:
            raise ValueError("no")

    arguments = ["run", *NODES, "--requests", "20"]
    done = invoke(arguments, opening(FillingTarget(before=before)))
    assert done.exit_code == 1
    assert "ValueError: 1, the first: no" in done.stdout
    assert invoke([*arguments, "--allow-errors"], opening(FillingTarget(before=before))).exit_code == 0


def test_thresholds_are_ticked_or_crossed_and_a_crossed_one_exits_5(tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    arguments = ["run", *NODES, "--requests", "100", "--keys", "100", "--workload", "sequential", "--json", str(report)]
    done = invoke([*arguments, "--expect", "errors==0", "--expect", "hit_ratio>0.9"])
    assert done.exit_code == 5, done.output
    verdicts = json.loads(report.read_text())["expectations"]
    assert [(each["text"], each["holds"]) for each in verdicts] == [("errors==0", True), ("hit_ratio>0.9", False)]
    assert invoke([*arguments, "--expect", "errors==0", "--expect", "p99<60s"]).exit_code == 0


def test_a_generator_that_was_the_bottleneck_says_so_and_exits_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zmcache_loadgen.load.figures.bottlenecks", lambda *_, **__: ["it was starved"])
    report = tmp_path / "out.json"
    done = invoke(["run", *NODES, "--requests", "100", "--json", str(report)])
    assert done.exit_code == 4, done.output
    assert "INVALID: it was starved" in done.stdout
    kept = json.loads(report.read_text())
    assert (kept["valid"], kept["bottlenecks"], kept["requests"]) == (False, ["it was starved"], 100)


def test_runs_are_done_one_after_the_other_and_kept_together(tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    done = invoke(["run", *NODES, "--requests", "10", "--runs", "3", "--json", str(report)])
    assert done.exit_code == 0, done.output
    kept = json.loads(report.read_text())
    assert [run["requests"] for run in kept["runs"]] == [10, 10, 10]


@pytest.mark.parametrize(("tampered", "finding"), [("its end", "torn"), ("all of it", "unverified")])
def test_verify_counts_a_value_that_was_tampered_with(tmp_path: Path, tampered: str, finding: str) -> None:
    """Somebody else changes the run's values in the middle of it; what has no stamp at all may be a loader's."""
    report = tmp_path / "out.json"

    async def before(number: int, key: str) -> None:
        if number == 500:
            for known, value in target.values.items():
                target.values[known] = value[:-1] + bytes([value[-1] ^ 1]) if tampered == "its end" else b"another's"

    target = FillingTarget(before=before)
    arguments = ["run", *NODES, "--keys", "20", "--load", "--requests", "1000", "--verify", "--json", str(report)]
    done = invoke([*arguments, "--expect", f"{finding}==0"], opening(target))
    assert done.exit_code == 5, done.output
    verified = json.loads(report.read_text())["verify"]
    assert {name for name in ("wrong", "stale", "torn", "unverified") if verified[name]} == {finding}
    assert verified[finding] == pytest.approx(520, abs=40)
    assert f"{verified[finding]:,} {'not written by this run' if finding == 'unverified' else finding}" in done.stdout


def test_verify_has_nothing_to_say_of_a_cache_that_gives_back_what_was_written(tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    arguments = ["run", *NODES, "--keys", "20", "--load", "--writes", "0.2", "--requests", "1000", "--verify"]
    done = invoke([*arguments, "--json", str(report)])
    assert done.exit_code == 0, done.output
    verified = json.loads(report.read_text())["verify"]
    assert verified["checked"] > 700
    assert verified["wrong"] == verified["torn"] == verified["stale"] == verified["unverified"] == 0


def test_nobody_there_is_one_line_and_exit_code_2() -> None:
    @asynccontextmanager
    async def refuse(plan: Plan) -> AsyncIterator[FillingTarget]:
        if plan:
            raise TargetUnavailable("no node answers at 127.0.0.1:1")
        yield FillingTarget()

    done = invoke(["run", *NODES, "--requests", "1"], refuse)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["Error: no node answers at 127.0.0.1:1"]


def test_a_result_that_cannot_be_kept_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    target = FillingTarget()
    done = invoke(["run", *NODES, "--json", str(tmp_path / "no" / "x.json")], opening(target))
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr
    assert target.asked == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run"], "one of --nodes, --target and --cluster"),
        (["run", *NODES, "--target", "noop"], "one of --nodes, --target and --cluster"),
        (["run", *NODES, "--script", "pyproject.toml"], "--script needs --cluster"),
        (["run", *NODES, "--cluster", "pyproject.toml"], "neither --nodes nor --target"),
        (["run", *NODES, "--callers", "3", "--rate", "5"], "--callers is of the closed loop"),
        (["run", *NODES, "--verify-loader", "a:b"], "--verify-loader belongs to --verify"),
        (["run", *NODES, "--expect", "p99<<5"], "p99<<5"),
        (["run", *NODES, "--expect", "p101<5ms"], "p101"),
        (["run", *NODES, "--rate", "0"], "--rate"),
        (["run", *NODES, "--workers", "0"], "--workers"),
        (["run", *NODES, "--workload", "ycsb-e"], "'ycsb-f'"),
        (["run", *NODES, "--workload", "ycsb-a", "--writes", "0.5"], "no --writes, --deletes or --batch"),
        (["run", *NODES, "--workload", "hotset", "--hot-shift", "2s"], "rate"),
        (["run", *NODES, "--duration", "0s"], "not a duration above zero"),
        (["run", *NODES, "--duration", "soon"], "not a duration above zero"),
        (["run", *NODES, "--timeout", "-1s"], "not a duration above zero"),
        (["run", *NODES, "--expiry", "never"], "never"),
        (["run", *NODES, "--requests", "0"], "--requests"),
        (["run", *NODES, "--callers", "0"], "--callers"),
        (["run", *NODES, "--keys", "0"], "--keys"),
        (["run", *NODES, "--distribution", "pareto"], "'uniform', 'zipf'"),
        (["run", *NODES, "--exponent", "0"], "not a number above 0"),
        (["run", *NODES, "--exponent", "nan"], "not a number above 0"),
        (["run", *NODES, "--exponent", "steep"], "not a number above 0"),
        (["run", *NODES, "--value-size", "9-3"], "9-3"),
        (["run", *NODES, "--value-size", "big"], "is no size of values"),
        (["run", *NODES, "--writes", "1.1"], "--writes"),
        (["run", *NODES, "--writes", "0.7", "--deletes", "0.7"], "deletes"),
        (["run", *NODES, "--route", "scenic"], "'owner', 'any'"),
        (["run", "--target", "mongo:127.0.0.1:1", "--requests", "1"], "mongo"),
        (["replay", *NODES], "Missing argument 'FILE'"),
        (["replay", "no/such/file", *NODES], "does not exist"),
        (["replay", ".", *NODES], "is a directory"),
        (["replay", "pyproject.toml", *NODES, "--pace", "fast"], "--pace: recorded, or a multiple"),
        (["replay", "pyproject.toml", *NODES, "--csv-columns", "time=t"], "key"),
    ],
)
def test_a_wrong_option_is_one_clear_line_and_nothing_is_asked(arguments: list[str], complaint: str) -> None:
    target = FillingTarget()
    done = CliRunner().invoke(main, arguments, obj=None if "mongo:127.0.0.1:1" in arguments else opening(target))
    assert done.exit_code == 2, done.output
    assert complaint in done.stderr.splitlines()[-1]
    assert target.asked == []
