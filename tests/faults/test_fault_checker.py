"""The checker finds what is planted, and nothing in what is well: a suite whose checker is blind proves nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from faults.checking import Promises, check, lost_keys, slowest_excess
from faults.checking.promises import ANY, NONE
from faults.record import (
    ABSENT,
    ALIEN,
    CANCELLED,
    CRASH,
    CUT,
    DELETE,
    FAILED,
    GET,
    GONE,
    OK,
    PAUSE,
    SET,
    TORN,
    Load,
    Op,
    Outage,
    Record,
    Stall,
)


def promises(**more: Any) -> Promises:
    return Promises(**{"stale_s": 1.0, "absent_s": 1.0, "brief_s": 3.0, **more})


def op(kind: str, began_s: float, version: int = 0, *, outcome: str | None = None, **more: Any) -> Op:
    """Of key k, a tenth of a second long."""
    outcome = outcome or (ABSENT if kind == GET and not version else OK)
    return Op(**{
        "worker": 1, "kind": kind, "key": "k", "began_s": began_s, "ended_s": began_s + 0.1, "timeout_s": 2.0,
        "outcome": outcome, "version": version, **more,
    })  # fmt: skip


def load(
    began_s: float, version: int = 900, *, node: str = "a", pid: int = 1, key: str = "k", took_s: float = 0.1
) -> Load:
    return Load(node, pid, key, began_s, began_s + took_s, version)


def broken(record: Record, **more: Any) -> list[str]:
    return [violation.promise for violation in check(record, promises(**more))]


A_CRASH = Outage("a", CRASH, 5.0)


def test_a_quiet_run_breaks_nothing() -> None:
    record = Record(
        ops=[op(GET, 0), op(SET, 1, 1), op(GET, 2, 1), op(SET, 3, 2), op(GET, 4, 2), op(DELETE, 5, 3), op(GET, 6), op(SET, 7, 4), op(GET, 8, 4)],
        loads=[load(0, key="other")],
        calm=[(0.0, 10.0)],
    )  # fmt: skip
    assert check(record, promises()) == []
    assert lost_keys(record) == set()


@pytest.mark.parametrize("outcome", [TORN, ALIEN])
def test_a_torn_or_an_alien_value_breaks_p1(outcome: str) -> None:
    assert broken(Record([op(GET, 1, outcome=outcome)])) == ["P1"]


def test_a_value_that_was_never_written_breaks_p1() -> None:
    assert broken(Record([op(SET, 1, 1), op(GET, 2, 77)])) == ["P1"]


def test_a_value_of_another_key_breaks_p1() -> None:
    assert broken(Record([op(SET, 1, 1, key="other"), op(GET, 2, 1)])) == ["P1"]
    assert broken(Record([op(GET, 2, 900)], loads=[load(1, key="other")])) == ["P1"]


def test_a_value_from_the_future_breaks_p1() -> None:
    assert broken(Record([op(GET, 1, 1), op(SET, 2, 1)])) == ["P1"]


def test_a_write_under_way_may_be_seen_or_not() -> None:
    written = [op(SET, 1, 1), op(SET, 4, 2, ended_s=5.9)]
    assert broken(Record([*written, op(GET, 5, 1), op(GET, 5, 2), op(GET, 5.8, 1)])) == []


def test_of_two_writes_at_once_either_may_be_the_last() -> None:
    written = [op(SET, 1, 1, ended_s=3.0), op(SET, 2, 2, ended_s=4.0)]
    assert broken(Record([*written, op(GET, 50, 1), op(GET, 50, 2)])) == []


def test_an_old_value_breaks_p9_once_its_time_is_over() -> None:
    written = [op(SET, 1, 1), op(SET, 2, 2)]
    assert broken(Record([*written, op(GET, 2.9, 1)])) == []
    assert broken(Record([*written, op(GET, 3.2, 1)])) == ["P9"]


def test_a_deleted_value_that_is_back_breaks_p9() -> None:
    assert broken(Record([op(SET, 1, 1), op(DELETE, 2, 2), op(GET, 4, 1)])) == ["P9"]


def test_a_write_that_failed_may_be_done_at_any_time() -> None:
    written = [op(SET, 1, 1, outcome=FAILED), op(SET, 2, 2)]
    assert broken(Record([*written, op(GET, 40, 1), op(GET, 50, 2)])) == []
    deleted = [op(SET, 1, 1), op(DELETE, 2, 2, outcome=FAILED)]
    assert broken(Record([*deleted, op(GET, 40), op(GET, 50, 1)])) == []


def test_an_acknowledged_set_that_is_gone_breaks_p8() -> None:
    record = Record([op(SET, 1, 1), op(GET, 4)], last_look_s=4.0)
    assert broken(record) == ["P8"]
    assert lost_keys(record) == {"k"}


def test_an_acknowledged_set_that_had_to_be_loaded_breaks_p8() -> None:
    assert broken(Record([op(SET, 1, 1), op(GET, 4, 900)], loads=[load(4)])) == ["P8"]


def test_a_delete_from_before_the_set_explains_nothing() -> None:
    assert broken(Record([op(DELETE, 1, 1), op(SET, 2, 2), op(GET, 4)])) == ["P8"]
    assert broken(Record([op(SET, 2, 2), op(GET, 4), op(DELETE, 5, 3)])) == ["P8"]


def test_a_delete_under_way_with_the_set_explains_that_it_is_gone() -> None:
    assert broken(Record([op(SET, 2, 2, ended_s=3.0), op(DELETE, 1, 1, ended_s=2.5), op(GET, 5)])) == []


def test_one_crash_may_take_what_one_node_acknowledged_and_not_what_two_did() -> None:
    record = Record([op(SET, 1, 1), op(GET, 7)], outages=[A_CRASH], last_look_s=7.0)
    assert broken(record, acks=1) == []
    assert broken(record, copies=2, acks=2) == ["P8"]
    assert lost_keys(record) == {"k"}


def test_a_set_from_after_the_crash_is_not_excused_by_it() -> None:
    assert broken(Record([op(SET, 6, 1), op(GET, 9)], outages=[A_CRASH]), acks=1) == ["P8"]


def test_with_one_copy_who_stands_in_for_a_dead_node_may_forget_and_with_two_it_may_not() -> None:
    stood_in = Record([op(SET, 6, 1), op(GET, 9)], outages=[A_CRASH, Outage("a", GONE, 5.0, 8.0)])
    assert broken(stood_in, acks=1) == []
    assert broken(stood_in, copies=2, acks=2) == ["P8"]


def test_two_crashes_at_once_may_take_what_two_nodes_acknowledged_and_after_a_repair_they_may_not() -> None:
    ops = [op(SET, 1, 1), op(GET, 12)]
    at_once = [A_CRASH, Outage("b", CRASH, 8.0)]
    assert broken(Record(ops, outages=at_once), acks=2) == []
    assert broken(Record(ops, outages=at_once), acks=3) == ["P8"]
    repaired = [Outage("a", CRASH, 5.0, 7.0), Outage("b", CRASH, 8.0)]
    assert broken(Record(ops, outages=repaired), acks=2) == ["P8"]


def test_a_value_that_a_lost_write_had_replaced_may_be_back_and_one_that_a_safe_write_had_may_not() -> None:
    ops = [op(SET, 1, 1), op(SET, 2, 2), op(GET, 9, 1)]
    assert broken(Record(ops, outages=[A_CRASH]), acks=1) == []
    assert broken(Record(ops, outages=[A_CRASH]), acks=2) == ["P9"]


def test_a_node_that_stood_still_may_be_behind_for_a_moment_after_it_goes_on() -> None:
    def found(at_s: float) -> list[str]:
        record = Record([op(SET, 1, 1), op(SET, 6, 2), op(GET, at_s, 1)], outages=[Outage("a", PAUSE, 5.0, 15.0)])
        return broken(record, copies=2, acks=2)

    assert found(10.0) == ["P9"]
    assert found(15.5) == []
    assert found(16.5) == ["P9"]


def test_what_was_replaced_before_the_node_stood_still_may_not_come_back_with_it() -> None:
    ops = [op(SET, 1, 1), op(SET, 2, 2), op(GET, 15.5, 1)]
    assert broken(Record(ops, outages=[Outage("a", PAUSE, 5.0, 15.0)]), copies=2, acks=2) == ["P9"]


def test_a_node_that_is_cut_off_may_be_behind_all_the_while() -> None:
    def found(at_s: float) -> list[str]:
        record = Record([op(SET, 1, 1), op(SET, 6, 2), op(GET, at_s, 1)], outages=[Outage("a", CUT, 5.0, 15.0)])
        return broken(record, copies=2, acks=2)

    assert [found(at_s) for at_s in (10.0, 15.5, 16.5)] == [[], [], ["P9"]]


def test_the_last_look_tells_an_older_value_from_the_last_one() -> None:
    ops = [op(SET, 1, 1), op(SET, 2, 2), op(GET, 9, 1)]
    assert lost_keys(Record(ops, last_look_s=9.0)) == {"k"}
    assert lost_keys(Record([*ops[:2], op(GET, 9, 2)], last_look_s=9.0)) == set()
    assert lost_keys(Record([*ops[:2], op(DELETE, 3, 3), op(GET, 9)], last_look_s=9.0)) == set()


def test_a_call_past_its_deadline_breaks_p2_by_more_than_fifty_milliseconds() -> None:
    assert broken(Record([op(GET, 1, ended_s=3.04)])) == []
    late = Record([op(GET, 1, ended_s=3.2)])
    assert broken(late) == ["P2"]
    assert slowest_excess(late) == pytest.approx(0.2)


def test_time_in_which_the_callers_own_loop_did_not_run_is_not_counted() -> None:
    late = op(GET, 1, ended_s=3.2)
    assert broken(Record([late], stalls=[Stall(1, 2.9, 3.18)])) == []
    assert broken(Record([late], stalls=[Stall(2, 2.9, 3.18)])) == ["P2"], "another's loop"
    assert broken(Record([late], stalls=[Stall(1, 1.5, 2.9)])) == ["P2"], "before the deadline"


def test_who_may_fail_depends_on_the_fault() -> None:
    failed = [op(GET, 1, outcome=FAILED), op(SET, 2, 1, outcome=FAILED)]
    assert broken(Record(failed)) == ["P7"]
    assert broken(Record(failed), may_fail=NONE, failing="P6") == ["P6", "P6"]
    assert broken(Record(failed), may_fail=ANY) == []
    assert broken(Record([op(GET, 1, outcome=CANCELLED)]), may_fail=NONE) == []


def test_a_key_loaded_twice_in_calm_breaks_p3() -> None:
    twice = [load(1, 900), load(9, 901, node="b", pid=2)]
    assert broken(Record(loads=twice, calm=[(0.0, 10.0)])) == ["P3"]
    assert broken(Record(loads=twice, calm=[(0.0, 5.0), (8.0, 10.0)])) == []
    assert broken(Record(loads=twice)) == []


def test_a_node_that_loads_a_key_again_too_soon_breaks_p3_whatever_happens() -> None:
    assert broken(Record(loads=[load(1, 900), load(4.0, 901)])) == ["P3"]
    assert broken(Record(loads=[load(1, 900, took_s=1.0), load(1.5, 901)])) == ["P3"]
    assert broken(Record(loads=[load(1, 900), load(4.2, 901)])) == []
    assert broken(Record(loads=[load(1, 900), load(2, 901, pid=2)])) == []


def test_loads_of_keys_that_are_written_are_not_counted() -> None:
    record = Record([op(SET, 1, 1), op(DELETE, 2, 2)], loads=[load(3, 900), load(3.5, 901)], calm=[(0.0, 9.0)])
    assert broken(record) == []


def test_what_a_dead_node_costs_the_backend_is_bounded() -> None:
    loads = [load(1, i, key=str(i)) for i in range(10)] + [load(6, 100 + i, pid=2, key=str(i)) for i in range(4)]
    record = Record(loads=loads)
    assert broken(record, reloads_max=4, reloads_from_s=5.0) == []
    assert broken(record, reloads_max=3, reloads_from_s=5.0) == ["P7"]


def test_what_a_run_is_exempt_from_is_not_told() -> None:
    assert broken(Record([op(SET, 1, 1), op(GET, 4)]), exempt={"P8": "two rings"}) == []


def test_what_never_ended_is_never_over() -> None:
    record = Record([op(SET, 1, 1)], loads=[Load("a", 1, "other", 1.0, math.inf, 900)])
    assert broken(record) == []
