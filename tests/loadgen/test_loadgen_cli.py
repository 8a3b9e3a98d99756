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
from typing import Any

import pytest
from click.testing import CliRunner, Result
from zmcache_loadgen.cli import main
from zmcache_loadgen.errors import TargetUnavailable
from zmcache_loadgen.memory import MemoryTarget

Opener = Callable[..., AbstractAsyncContextManager[MemoryTarget]]


def opening(target: MemoryTarget, seen: dict[str, Any] | None = None) -> Opener:
    @asynccontextmanager
    async def open_it(nodes: str, group: str, **options: Any) -> AsyncIterator[MemoryTarget]:
        if seen is not None:
            seen.update(nodes=nodes, group=group, **options)
        yield target

    return open_it


def invoke(arguments: Sequence[str], opener: Opener | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), obj=opener or opening(MemoryTarget()))


NODES = ("--nodes", "127.0.0.1:1")


def test_run_prints_the_table_keeps_the_json_and_exits_0(tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    seen: dict[str, Any] = {}
    done = invoke(
        ["run", *NODES, "--group", "g", "--keys", "50", "--distribution", "zipf", "--exponent", "1.2", "--writes", "0.1",
         "--value-size", "4-8", "--requests", "300", "--callers", "3", "--seed", "9", "--route", "any", "--timeout", "250ms",
         "--json", str(report)],
        opening(MemoryTarget(), seen),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "closed loop, 3 callers, seed 9: zipf, exponent 1.2, keys 50, writes 0.1, value bytes 4-8" in done.stdout
    assert seen == {"nodes": "127.0.0.1:1", "group": "g", "route": "any", "timeout_s": 0.25}
    shown = json.loads(report.read_text())
    assert (shown["requests"], shown["callers"], shown["seed"], shown["partial"]) == (300, 3, 9, None)
    assert f"{shown['tiers']['owner']:,}" in done.stdout
    assert f"{shown['latency_us']['all']['p99']:,.1f}" in done.stdout


def test_run_with_a_duration_ends_by_itself() -> None:
    done = invoke(["run", *NODES, "--duration", "50ms"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("packed", [False, True])
def test_replay_asks_for_the_integers_in_decimal(tmp_path: Path, packed: bool) -> None:
    content = struct.pack(">4I", 7, 8, 7, 4_000_000_000)
    trace = tmp_path / "t.trace"
    trace.write_bytes(lzma.compress(content) if packed else content)
    target = MemoryTarget()
    done = invoke(["replay", str(trace), *NODES, "--callers", "1", "--prefix", "k"], opening(target))
    assert done.exit_code == 0, done.output
    assert [key for key, _ in target.asked] == ["k7", "k8", "k7", "k4000000000"]
    assert "loads: 3 keys loaded by the nodes, 3 distinct keys read" in done.stdout


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
        ["run", *NODES, "--duration", "1h", "--callers", "2", "--json", str(report)],
        opening(MemoryTarget(before=before)),
    )
    assert done.exit_code == 130, done.output
    assert "PARTIAL: interrupted" in done.stdout
    shown = json.loads(report.read_text())
    assert shown["partial"] == "interrupted"
    assert shown["requests"] >= 200
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_failed_requests_exit_1_unless_they_are_allowed() -> None:
    async def before(number: int, key: str) -> None:
        if number == 3:
            raise ValueError("no")

    arguments = ["run", *NODES, "--requests", "20"]
    done = invoke(arguments, opening(MemoryTarget(before=before)))
    assert done.exit_code == 1
    assert "ValueError: 1, the first: no" in done.stdout
    assert invoke([*arguments, "--allow-errors"], opening(MemoryTarget(before=before))).exit_code == 0


def test_nobody_there_is_one_line_and_exit_code_2() -> None:
    @asynccontextmanager
    async def refuse(*arguments: object, **options: object) -> AsyncIterator[MemoryTarget]:
        if arguments:
            raise TargetUnavailable("no node answers at 127.0.0.1:1")
        yield MemoryTarget()

    done = invoke(["run", *NODES, "--requests", "1"], refuse)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["Error: no node answers at 127.0.0.1:1"]


def test_a_report_that_cannot_be_kept_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    target = MemoryTarget()
    done = invoke(["run", *NODES, "--json", str(tmp_path / "no" / "x.json")], opening(target))
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr
    assert target.asked == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run"], "Missing option '--nodes'"),
        (["run", *NODES, "--duration", "0s"], "not a duration above zero"),
        (["run", *NODES, "--duration", "soon"], "not a duration above zero"),
        (["run", *NODES, "--timeout", "-1s"], "not a duration above zero"),
        (["run", *NODES, "--requests", "0"], "--requests"),
        (["run", *NODES, "--callers", "0"], "--callers"),
        (["run", *NODES, "--keys", "0"], "--keys"),
        (["run", *NODES, "--keys", "4000000000", "--distribution", "zipf"], "keys: at most"),
        (["run", *NODES, "--distribution", "pareto"], "'uniform', 'zipf'"),
        (["run", *NODES, "--exponent", "0"], "not a number above 0"),
        (["run", *NODES, "--exponent", "nan"], "not a number above 0"),
        (["run", *NODES, "--exponent", "steep"], "not a number above 0"),
        (["run", *NODES, "--value-size", "9-3"], "not a number of bytes"),
        (["run", *NODES, "--value-size", "big"], "not a number of bytes"),
        (["run", *NODES, "--writes", "1.1"], "--writes"),
        (["run", *NODES, "--writes", "nan"], "writes: a share"),
        (["run", *NODES, "--route", "scenic"], "'owner', 'any'"),
        (["replay", *NODES], "Missing argument 'FILE'"),
        (["replay", "no/such/file", *NODES], "does not exist"),
        (["replay", ".", *NODES], "is a directory"),
    ],
)
def test_a_wrong_option_is_one_clear_line_and_nothing_is_asked(arguments: list[str], complaint: str) -> None:
    target = MemoryTarget()
    done = invoke(arguments, opening(target))
    assert done.exit_code == 2
    assert complaint in done.stderr.splitlines()[-1]
    assert target.asked == []
