"""Nodes come and go during a run, and what they counted meanwhile is still added up."""

from __future__ import annotations

from zmcache_loadgen.load.tally import Keys, KeyTally, NodeShare, NodeTally
from zmcache_loadgen.targets.base import NodeCounters


def test_a_share_is_what_was_counted_during_the_run() -> None:
    tally = NodeTally({"a": NodeCounters(1000, 100), "b": NodeCounters(0, 0)})
    tally.observe({"a": NodeCounters(1500, 110), "b": NodeCounters(7, 7)})
    tally.observe({"a": NodeCounters(1600, 111), "b": NodeCounters(8, 7)})
    assert tally.shares() == {"a": NodeShare(600, 11, "stayed"), "b": NodeShare(8, 7, "stayed")}
    assert tally.exact


def test_a_node_that_joins_counts_from_zero_and_keeps_the_sum_exact() -> None:
    tally = NodeTally({"a": NodeCounters(10, 1)})
    tally.observe({"a": NodeCounters(20, 2), "new": NodeCounters(5, 5)})
    assert tally.shares()["new"] == NodeShare(5, 5, "joined")
    assert tally.exact


def test_a_node_that_leaves_keeps_what_was_last_seen_of_it_and_the_sum_is_a_floor() -> None:
    tally = NodeTally({"a": NodeCounters(10, 1), "gone": NodeCounters(10, 1)})
    tally.observe({"a": NodeCounters(20, 2), "gone": NodeCounters(15, 4)})
    tally.observe({"a": NodeCounters(30, 3)})
    assert tally.shares()["gone"] == NodeShare(5, 3, "left")
    assert not tally.exact


def test_a_node_that_was_silent_for_a_while_loses_nothing() -> None:
    tally = NodeTally({"a": NodeCounters(10, 1), "slow": NodeCounters(10, 1)})
    tally.observe({"a": NodeCounters(20, 2)})
    tally.observe({"a": NodeCounters(30, 3), "slow": NodeCounters(40, 5)})
    assert tally.shares()["slow"] == NodeShare(30, 4, "stayed")
    assert tally.exact


def test_a_restarted_node_never_counts_below_zero() -> None:
    tally = NodeTally({"a": NodeCounters(1000, 100)})
    tally.observe({"a": NodeCounters(1010, 101)})
    tally.observe({"a": NodeCounters(4, 4)})
    assert tally.shares() == {"a": NodeShare(14, 5, "restarted")}
    assert not tally.exact


def test_counting_begins_anew_after_the_warm_up() -> None:
    tally = NodeTally({"a": NodeCounters(10, 1)})
    tally.observe({"a": NodeCounters(500, 50)})
    tally.restart({"a": NodeCounters(500, 50)})
    tally.observe({"a": NodeCounters(520, 51)})
    assert tally.shares() == {"a": NodeShare(20, 1, "stayed")}


def test_distinct_keys_are_counted_exactly_up_to_the_limit_and_said_to_be_more_beyond() -> None:
    tally = KeyTally(limit=3)
    tally.add_all((1, 2, "1", 2, 1))
    assert tally.keys(to_be_sent=False) == Keys(3, True)
    tally.settle()
    tally.add(1)
    assert tally.keys(to_be_sent=False) == Keys(3, True)
    tally.add(4)
    assert tally.keys(to_be_sent=False) == Keys(3, False)


def test_keys_of_several_processes_are_counted_once() -> None:
    one, other = KeyTally(), KeyTally()
    one.add_all((1, 2, 3))
    other.add_all((3, 4))
    parts = [one.keys(to_be_sent=True), other.keys(to_be_sent=True)]
    assert Keys.together(parts) == Keys(4, True)


def test_where_a_process_could_not_send_its_keys_the_sum_is_a_floor() -> None:
    tally = KeyTally()
    tally.add_all((1, 2, 3, 4, 5))
    assert Keys.together([tally.keys(to_be_sent=False), Keys(2, True, frozenset({8, 9}))]) == Keys(5, False)
