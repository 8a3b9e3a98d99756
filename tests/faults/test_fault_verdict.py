"""From a record to a row: what counts as a run, what is told of it, and what the command's exit code says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from rich.console import Console

from faults.__main__ import exit_code
from faults.catalogue import FAULTS, Fault
from faults.checking.promises import Violation
from faults.record import ABSENT, CRASH, FAILED, GET, OK, SET, Op, Outage, Record
from faults.report import print_result, print_table, summary
from faults.verdict import FLOOR_OPS_S, Result, Times, judge

BY_NAME = {fault.name: fault for fault in FAULTS}
TIMES = Times(load_s=0.0, fault_s=5.0, over_s=6.0, rest_s=8.0, end_s=10.0)


def judged(fault: Fault, ops: list[Op], *, copies: int = 2, seen: list[Violation] | None = None) -> Result:
    result = Result(fault=fault.name, what=fault.what, copies=copies, acks=copies, seed=1)
    record = Record(ops, outages=[Outage("a", CRASH, 5.0)], last_look_s=10.0)
    judge(result, fault, record, TIMES, reloads_max=None, seen=seen or [])
    return result


def gets(count: int, **more: Any) -> list[Op]:
    """Of a key that nobody ever wrote, over ten seconds."""
    return [
        Op(**{
            "worker": 1, "kind": GET, "key": "k", "began_s": 10.0 * i / count, "ended_s": 10.0 * i / count + 0.001, "timeout_s": 2.0,
            "outcome": ABSENT, **more,
        })
        for i in range(count)
    ]  # fmt: skip


ENOUGH = gets(int(FLOOR_OPS_S * 10))


def test_a_run_with_too_few_operations_is_no_run() -> None:
    result = judged(BY_NAME["kill"], gets(1000))
    assert not result.holds
    assert "operations a second" in result.problems[0]
    assert exit_code([result]) == 1


def test_a_quiet_run_holds_and_its_figures_are_those_of_the_record() -> None:
    result = judged(BY_NAME["kill"], ENOUGH)
    assert result.holds
    assert (result.operations, result.failed, result.lost, result.recover_s, result.rest_s) == (1500, 0, 0, 0.0, 2.0)
    assert exit_code([result]) == 0


def test_what_is_broken_is_told_with_its_time_since_the_fault() -> None:
    written = Op(1, SET, "k", 0.5, 0.6, 2.0, OK, 7)
    result = judged(BY_NAME["kill"], [*ENOUGH, written])
    assert result.broken["P8"] > 0
    assert result.lost == 0, "nobody looked at the end"
    assert result.violations[0].startswith("P8 k at -2.9")
    assert exit_code([result]) == 1


def test_a_read_that_notices_the_fault_when_the_node_has_to_be_out_of_use_breaks_p7() -> None:
    slow = gets(1, began_s=7.1, ended_s=7.8)
    assert judged(BY_NAME["kill"], ENOUGH + slow).broken == {"P7": 1}
    assert judged(BY_NAME["kill"], ENOUGH + gets(1, began_s=6.9, ended_s=7.6)).broken == {}
    assert judged(BY_NAME["flutter"], ENOUGH + slow).broken == {}
    assert judged(BY_NAME["kill"], ENOUGH + slow).recover_s == pytest.approx(2.8)


def test_of_the_reads_that_begin_when_a_slow_node_has_to_be_avoided_one_in_a_hundred_may_notice_it() -> None:
    slow = gets(1, began_s=7.1, ended_s=7.8)
    few, more = judged(BY_NAME["slow-reader"], ENOUGH + 3 * slow), judged(BY_NAME["slow-reader"], ENOUGH + 4 * slow)
    assert few.broken == {}
    assert few.notes == ["3 of 303 reads that began 2 s later noticed it"]
    assert more.broken == {"P7": 4}


def test_reads_may_fail_when_every_copy_died_at_once_and_not_when_one_is_left() -> None:
    failed = gets(1, began_s=5.1, ended_s=5.2, outcome=FAILED, note="PeerUnavailable: b")
    assert judged(BY_NAME["kill-two"], ENOUGH + failed, copies=2).broken == {}
    result = judged(BY_NAME["kill-two"], ENOUGH + failed, copies=3)
    assert result.broken == {"P7": 1}
    assert result.errors == {"get: PeerUnavailable": 1}


def test_what_was_seen_besides_counts_too() -> None:
    result = judged(BY_NAME["kill"], ENOUGH, seen=[Violation("P5", "", 9.0, "a takes 900 MiB")])
    assert result.broken == {"P5": 1}


def test_what_cannot_be_measured_here_is_told_by_name_and_by_its_exit_code() -> None:
    missing = Result(fault="full-disk", what="", copies=2, acks=2, seed=1, not_here="no tmpfs")
    holds = judged(BY_NAME["kill"], ENOUGH)
    broken = judged(BY_NAME["kill"], gets(10))
    assert [exit_code(results) for results in ([missing, holds], [missing, broken], [holds])] == [3, 1, 0]
    console = Console(record=True, width=140)
    print_result(missing, console)
    print_table([missing, holds, broken], console)
    told = console.export_text()
    assert "full-disk: not measured" in told
    assert "no tmpfs" in told
    assert "no run" in told


def test_the_table_is_kept_whole() -> None:
    result = judged(BY_NAME["kill"], ENOUGH)
    kept = msgspec.json.decode(msgspec.json.encode(summary([result])))
    assert msgspec.convert(kept["faults"][0], Result) == result
    assert kept["floor_ops_s"] == FLOOR_OPS_S
