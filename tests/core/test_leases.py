"""The table of leases: whose token opens something, and for how long."""

from __future__ import annotations

from itertools import count

from zmcache.core.leases import Leases


def leases() -> Leases[str]:
    return Leases(count(1).__next__)


def test_the_first_of_several_holders_to_bring_a_value_ends_the_lease_of_all() -> None:
    table = leases()
    slow, slower, last = [table.grant("k", until_s) for until_s in (1.0, 2.0, 3.0)]
    assert table.of("k", 2.5) is not None
    assert table.end("k", slower)
    for token in (slow, slower, last):
        assert not table.end("k", token)
    assert "k" not in table


def test_a_holder_whose_time_is_over_still_brings_its_value_where_nobody_has_come_after_it() -> None:
    table = leases()
    token = table.grant("k", 1.0)
    assert table.of("k", 5.0) is None
    assert table.end("k", token)


def test_a_lease_that_has_been_dropped_is_nobodys_and_nor_are_those_before_it() -> None:
    table = leases()
    tokens = [table.grant("k", 1.0), table.grant("k", 2.0)]
    table.drop("k")
    later = table.grant("k", 3.0)
    assert not any(table.end("k", token) for token in tokens)
    assert table.end("k", later)


def test_who_gives_its_lease_back_leaves_the_slow_ones_theirs() -> None:
    table = leases()
    slow, last = table.grant("k", 1.0), table.grant("k", 9.0)
    assert table.give_back("k", last), "the next may be granted one"
    assert table.of("k", 2.0) is None
    assert not table.give_back("k", last)
    assert table.end("k", slow)
    first, second = table.grant("k", 1.0), table.grant("k", 9.0)
    assert not table.give_back("k", first), "another has it"
    assert not table.end("k", first)
    assert table.end("k", second)


def test_of_slow_holders_a_bounded_number_is_remembered() -> None:
    table = leases()
    tokens = [table.grant("k", float(n)) for n in range(1000)]
    assert not table.end("k", tokens[0])
    assert table.end("k", tokens[-2])


def test_when_slow_holders_are_dropped_those_that_run_keep_theirs() -> None:
    table = leases()
    slow, runs, over = table.grant("k", 1.0), table.grant("k", 9.0), table.grant("other", 1.0)
    table.drop_slow(2.0)
    assert not table.end("k", slow)
    assert not table.end("other", over)
    assert table.end("k", runs)


def test_no_token_opens_nothing() -> None:
    table = leases()
    slow, last = table.grant("k", 1.0), table.grant("k", 2.0)
    table.give_back("k", last)
    assert not table.end("k", 0)
    assert not table.give_back("k", 0)
    assert table.end("k", slow)
