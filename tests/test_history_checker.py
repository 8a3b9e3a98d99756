"""The checker finds what breaks a promise, and lets pass what none forbids."""

from __future__ import annotations

import itertools
import math

import pytest
from history_checker import check
from history_record import (
    CANCELLED,
    CUT,
    DONE,
    FAILED,
    JOINED,
    KILLED,
    LEFT,
    MISS,
    OPEN,
    SLOW,
    VALUE,
    Disturbance,
    History,
    Load,
    Operation,
    Promise,
)

ALWAYS = [(0.0, math.inf)]


class Record:
    """A history of one group, ``g``, written by hand. Times are seconds; a call takes a hundredth unless it is told otherwise."""

    def __init__(self, *, calm: list[tuple[float, float]] | None = None, **promise: object) -> None:
        self.history = History(
            groups={"g": Promise(moved_ttl_s=1.0, hot_ttl_s=0.5, **promise)}, calm=calm or list(ALWAYS)
        )  # type: ignore[arg-type]
        self._numbers = itertools.count()

    def call(
        self, kind: str, at_s: float, key: str = "k", *, took_s: float = 0.01, timeout_s: float = 3.0, **rest: object
    ) -> Operation:
        operation = Operation(next(self._numbers), kind, "g", key, "client", at_s, timeout_s)
        operation.ended_s, operation.outcome = at_s + took_s, DONE
        for name, value in rest.items():
            setattr(operation, name, value)
        self.history.operations.append(operation)
        return operation

    def set(self, value: str, at_s: float, **rest: object) -> Operation:
        return self.call("set", at_s, value=value.encode(), **rest)  # type: ignore[arg-type]

    def delete(self, at_s: float, **rest: object) -> Operation:
        return self.call("delete", at_s, **rest)  # type: ignore[arg-type]

    def get(self, value: str | None, at_s: float, **rest: object) -> Operation:
        found = None if value is None else value.encode()
        return self.call("get", at_s, **({"outcome": MISS if value is None else VALUE, "result": found} | rest))  # type: ignore[arg-type]

    def load(self, value: str | None, from_s: float, to_s: float, node: str = "a.1", **rest: object) -> None:
        load = Load("g", "k", node, from_s, to_s, None if value is None else value.encode())
        for name, held in rest.items():
            setattr(load, name, held)
        self.history.loads.append(load)

    def wrong(self, kind: str, at_s: float, node: str = "") -> None:
        self.history.disturbances.append(Disturbance(kind, at_s, node))

    @property
    def broken(self) -> list[str]:
        return [violation.rule for violation in check(self.history)]


# -- each call by itself -----------------------------------------------------------------------------------------------


def test_a_quiet_history_breaks_nothing() -> None:
    record = Record()
    record.get(None, 1.0)
    record.set("one", 2.0)
    record.get("one", 3.0)
    record.set("two", 4.0)
    record.get("two", 6.0)
    record.delete(7.0)
    record.get(None, 9.0)
    assert record.broken == []


@pytest.mark.parametrize("value", ["never written", "on"], ids=["foreign", "torn"])
def test_a_value_that_nobody_has_brought_is_wrong(value: str) -> None:
    record = Record()
    record.set("one", 1.0)
    record.get(value, 2.0)
    assert record.broken == ["wrong value"]


def test_the_value_of_another_key_is_wrong() -> None:
    record = Record()
    record.set("one", 1.0, key="other")
    record.get("one", 2.0)
    assert record.broken == ["wrong value"]


def test_a_value_from_the_future_is_wrong() -> None:
    record = Record()
    record.get("one", 1.0)
    record.set("one", 2.0)
    assert "wrong value" in record.broken


def test_a_call_may_end_50_ms_after_its_deadline_and_no_later() -> None:
    record = Record()
    record.get(None, 1.0, took_s=1.04, timeout_s=1.0)
    assert record.broken == []
    record.get(None, 3.0, took_s=1.06, timeout_s=1.0)
    assert record.broken == ["late"]


def test_time_in_which_the_caller_did_not_run_is_not_counted() -> None:
    record = Record()
    record.get(None, 1.0, took_s=5.0, timeout_s=1.0, stood_s=4.0)
    assert record.broken == []


def test_a_call_that_does_not_end_is_told_unless_its_process_was_killed() -> None:
    record = Record()
    record.get(None, 1.0, outcome=OPEN, ended_s=math.inf, lost_caller=True)
    assert record.broken == []
    record.get(None, 1.0, outcome=OPEN, ended_s=math.inf)
    assert record.broken == ["never ended"]


def test_only_who_was_cancelled_ends_cancelled() -> None:
    record = Record()
    record.get(None, 1.0, outcome=CANCELLED, cancelled_s=1.005)
    assert record.broken == []
    record.get(None, 1.0, outcome=CANCELLED)
    assert record.broken == ["cut short"]


def test_who_fails_for_want_of_time_has_none_left() -> None:
    record = Record(calm=[(50.0, 60.0)])
    record.get(None, 1.0, took_s=2.99, outcome=FAILED, error="DeadlineExceeded: late")
    assert record.broken == []
    record.get(None, 1.0, took_s=2.0, outcome=FAILED, error="DeadlineExceeded: late")
    assert record.broken == ["cut short"]


@pytest.mark.parametrize("error", ["unexpected KeyError('k')", "ProtocolError: what is this"])
def test_a_failure_of_no_known_side_is_told(error: str) -> None:
    record = Record(calm=[(50.0, 60.0)])
    record.get(None, 1.0, outcome=FAILED, error=error)
    assert record.broken == ["unexpected"]


def test_the_loader_is_to_blame_only_where_it_has_failed() -> None:
    record = Record(loads=True)
    record.get(None, 1.0, took_s=0.1, outcome=FAILED, error="LoaderFailed: a bad day")
    assert record.broken == ["unexpected"]
    record.load(None, 1.0, 1.1, failed=True)
    assert record.broken == []


def test_in_calm_no_call_fails() -> None:
    record = Record(calm=[(0.0, 2.0)])
    record.get(None, 3.0, outcome=FAILED, error="PeerUnavailable: gone")
    assert record.broken == []
    record.get(None, 1.0, outcome=FAILED, error="PeerUnavailable: gone")
    assert record.broken == ["failed in calm"]


def test_one_node_that_was_killed_fails_no_get() -> None:
    record = Record(calm=[(0.0, 10.0)])
    record.wrong(KILLED, 10.0, "a")
    record.get(None, 10.1, outcome=FAILED, error="PeerUnavailable: gone")
    assert record.broken == ["failed read"]
    record.wrong(CUT, 9.9, "b")
    assert record.broken == []


# -- loads -------------------------------------------------------------------------------------------------------------


def test_a_key_is_loaded_once_in_a_calm_cluster() -> None:
    record = Record(loads=True)
    record.load("one", 1.0, 1.2)
    record.load("two", 1.1, 1.3, node="b.1")
    assert record.broken == ["loaded twice"]


def test_two_nodes_may_load_when_their_rings_differ_but_one_node_never_twice_at_once() -> None:
    record = Record(loads=True, calm=[(50.0, 60.0)])
    record.load("one", 1.0, 1.2)
    record.load("two", 1.1, 1.3, node="b.1")
    assert record.broken == []
    record.load("three", 1.1, 1.3)
    assert record.broken == ["loaded beside itself"]


def test_a_change_between_two_loads_explains_the_second() -> None:
    record = Record(loads=True)
    record.load("one", 1.0, 1.2)
    record.delete(1.05)
    record.load("two", 1.1, 1.3)
    assert record.broken == []


def test_what_was_loaded_is_not_loaded_again_while_it_lives() -> None:
    record = Record(loads=True, ttl_s=2.0)
    record.load("one", 1.0, 1.2)
    record.load("two", 3.3, 3.4)
    assert record.broken == []
    record.load("three", 4.0, 4.1)
    assert record.broken == ["loaded twice"]


def test_a_load_that_failed_may_be_tried_again_at_once() -> None:
    record = Record(loads=True)
    record.load(None, 1.0, 1.2, failed=True)
    record.load("two", 1.3, 1.4)
    assert record.broken == []


# -- what a get may find -------------------------------------------------------------------------------------------------


def test_an_acknowledged_set_that_is_not_there_is_lost() -> None:
    record = Record()
    record.set("one", 2.0)
    record.get(None, 5.0)
    assert record.broken == ["lost"]


def test_an_older_value_after_a_newer_one_was_acknowledged_is_stale() -> None:
    record = Record()
    record.set("one", 2.0)
    record.set("two", 3.0)
    record.get("one", 5.0)
    assert record.broken == ["stale"]


def test_a_value_that_was_deleted_is_stale() -> None:
    record = Record()
    record.set("one", 2.0)
    record.delete(3.0)
    record.get("one", 5.0)
    assert record.broken == ["stale"]


def test_a_load_after_a_set_means_that_the_set_was_lost() -> None:
    record = Record(loads=True)
    record.set("one", 2.0)
    record.load("two", 5.0, 5.1)
    record.get("two", 5.0, took_s=0.2)
    assert record.broken == ["lost"]


def test_what_was_loaded_before_a_set_is_stale_after_it() -> None:
    record = Record(loads=True)
    record.load("one", 2.0, 2.5)
    record.set("two", 2.2)
    record.get("one", 2.0, took_s=0.5)  # who waited for it gets it
    assert record.broken == []
    record.get("one", 5.0)
    assert record.broken == ["stale"]


def test_changes_at_the_same_time_may_come_in_either_order() -> None:
    record = Record()
    record.set("one", 2.0, took_s=0.5)
    record.set("two", 2.1, took_s=0.1)
    record.get("one", 4.0)
    record.get("two", 6.0)
    assert record.broken == []


def test_a_set_that_failed_may_come_to_pass_or_not_and_overtakes_nothing() -> None:
    record = Record(calm=[(0.0, 1.9), (6.0, math.inf)])
    record.set("one", 1.0)
    record.set("two", 2.0, outcome=FAILED, error="DeadlineExceeded: late", took_s=3.0)
    record.get("one", 8.0)
    record.get("two", 10.0)
    assert record.broken == []


def test_a_set_that_failed_long_ago_is_overtaken_as_well() -> None:
    record = Record()
    record.set("one", 1.0, outcome=CANCELLED, cancelled_s=1.01)
    record.set("two", 5.0)
    record.get("one", 8.0)
    assert record.broken == ["stale"]


def test_a_hot_copy_may_be_as_old_as_its_life() -> None:
    record = Record()
    record.set("one", 2.0)
    record.get("one", 2.9)
    record.set("two", 3.0)
    record.get("one", 3.3)
    assert record.broken == []
    record.get("one", 5.0)
    assert record.broken == ["stale"]


def test_who_joins_a_question_gets_its_answer() -> None:
    record = Record(loads=True)
    record.load("one", 2.0, 4.0)
    record.get("one", 2.0, took_s=2.0)
    record.set("two", 2.5)
    record.get("one", 3.5, took_s=0.5)
    assert record.broken == []


def test_a_value_past_its_life_is_not_given() -> None:
    record = Record()
    record.set("one", 2.0, life_s=1.0)
    record.get("one", 2.9)
    record.get(None, 3.1)
    assert record.broken == []
    record.get("one", 5.0)
    assert record.broken == ["expired"]


def test_a_set_that_was_evicted_is_no_loss() -> None:
    record = Record(evictions=1)
    record.set("one", 2.0)
    record.get(None, 5.0)
    assert record.broken == []


def test_one_copy_may_be_lost_when_a_node_is_killed() -> None:
    record = Record(calm=[(0.0, 3.0), (4.0, math.inf)])
    record.set("one", 2.0)
    record.wrong(KILLED, 3.0, "a")
    record.get(None, 9.0)
    assert record.broken == []


# -- copies ----------------------------------------------------------------------------------------------------------------


def _killed(*nodes: str, acks: int, calm: list[tuple[float, float]]) -> Record:
    """A set with three copies, then one node after the other is killed, and then it is not there."""
    record = Record(copies=3, acks=acks, calm=calm)
    record.set("one", 2.0)
    for at, node in enumerate(nodes):
        record.wrong(KILLED, 5.0 + 10.0 * at, node)
    record.get(None, 40.0)
    return record


def test_a_set_that_two_hold_survives_one_that_is_killed() -> None:
    assert _killed("a", acks=2, calm=[(0.0, 5.0), (6.0, math.inf)]).broken == ["lost"]


def test_a_set_that_two_hold_need_not_survive_two_at_once() -> None:
    assert _killed("a", "b", acks=2, calm=[(0.0, 5.0), (16.0, math.inf)]).broken == []


def test_a_set_that_three_hold_survives_two_at_once() -> None:
    assert _killed("a", "b", acks=3, calm=[(0.0, 5.0), (16.0, math.inf)]).broken == ["lost"]


def test_copies_that_were_made_again_in_calm_survive_the_next_kill() -> None:
    assert _killed("a", "b", acks=2, calm=[(0.0, 5.0), (6.0, 15.0), (16.0, math.inf)]).broken == ["lost"]


def test_with_copies_the_last_writer_wins_after_a_partition() -> None:
    record = Record(copies=2, acks=2, calm=[(0.0, 3.0), (6.0, math.inf)])
    record.set("one", 1.0)
    record.wrong(CUT, 3.0, "a")
    record.set("two", 4.0)
    record.wrong(CUT, 5.0)
    record.get("one", 6.5)  # copies are still being compared
    assert record.broken == []
    record.get("one", 12.0)
    assert record.broken == ["stale"]


def test_two_sides_of_a_partition_have_no_order() -> None:
    record = Record(copies=2, acks=2, calm=[(0.0, 3.0), (6.0, math.inf)])
    record.wrong(CUT, 3.0, "a")
    record.set("one", 4.0)
    record.set("two", 4.5)
    record.get("one", 12.0)
    assert record.broken == []


def test_where_the_ring_hands_over_a_join_and_a_leave_lose_nothing() -> None:
    for hands_over in (False, True):
        record = Record(hands_over=hands_over, calm=[(0.0, 3.0), (6.0, math.inf)])
        record.set("one", 2.0)
        record.wrong(JOINED, 3.0, "c")
        record.wrong(LEFT, 4.0, "a")
        record.get(None, 12.0)
        assert record.broken == (["lost"] if hands_over else [])


def test_in_a_storm_nothing_is_judged_that_calm_has_not_settled() -> None:
    record = Record(calm=[(50.0, 60.0)])
    record.wrong(SLOW, 1.0)
    record.set("one", 2.0)
    record.set("two", 3.0)
    record.get("one", 5.0)
    record.get(None, 6.0)
    assert record.broken == []
