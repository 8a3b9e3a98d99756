"""Sets, deletes, moving rings and lost leases in the middle of loads, fetches and other writes."""

from __future__ import annotations

import asyncio
import math

import pytest
from eventually import eventually
from scripted_loader import value_of
from test_group import Bench, bench_test

from zmcache.core.flight import Outcome, failure
from zmcache.core.wire import DELETE, DONE, FROM_OWNER, NO_SUCH_KEY, SET, Change
from zmcache.errors import Busy, DeadlineExceeded, OutcomeUnknown, PeerUnavailable, ZmcacheError

GONE = failure(PeerUnavailable("gone"))
STORED = Outcome(None, DONE, 0.0)


def write(bench: Bench, key: str, value: bytes = b"", *, kind: int = SET) -> list[Outcome]:
    done: list[Outcome] = []
    bench.group.change(Change(kind, key, value), bench.clock() + 3, done.append, forwarded=False)
    return done


# -- loads in place of an owner ------------------------------------------------------------------------------------


def test_a_load_in_place_of_the_owner_is_cancelled_when_its_last_caller_leaves() -> None:
    async def test(bench: Bench) -> None:
        bench.loader.gate.clear()
        waiters = [lambda outcome: None, lambda outcome: None]
        flights = [bench.group.begin("theirs", waiter, bench.clock() + 3, forwarded=False) for waiter in waiters]
        bench.peers.asked[0][1](GONE)
        await eventually(lambda: bool(bench.loader.calls))
        flights[0].leave(waiters[0])
        await asyncio.sleep(0)
        assert bench.loader.cancelled == 0
        flights[1].leave(waiters[1])
        await eventually(lambda: bench.loader.cancelled == 1)
        assert bench.group.statistics().loading == 0

    bench_test(test, load_timeout_s=60.0)


def test_a_callers_leaving_ends_its_own_fallback_and_not_a_peers_load_of_the_same_key() -> None:
    async def test(bench: Bench) -> None:
        bench.loader.gate.clear()
        waiter = lambda outcome: None  # noqa: E731 - to leave with
        flight = bench.group.begin("theirs", waiter, bench.clock() + 3, forwarded=False)
        _, for_a_peer = bench.begin("theirs", forwarded=True)
        bench.peers.asked[0][1](GONE)
        flight.leave(waiter)
        bench.loader.gate.set()
        await eventually(lambda: bool(for_a_peer))
        assert for_a_peer[0].value == value_of("theirs")

    bench_test(test)


def test_a_set_during_a_stand_ins_load_is_what_everyone_reads_from_then_on() -> None:
    async def test(bench: Bench) -> None:
        bench.peers.standing_in = True
        bench.loader.gate.clear()
        _, early = bench.begin("theirs")
        bench.peers.asked[0][1](GONE)
        await eventually(lambda: bool(bench.loader.calls))
        done = write(bench, "theirs", b"new")
        bench.peers.written[0][3](GONE)
        assert done[0].status == DONE
        bench.loader.gate.set()
        await eventually(lambda: bool(early))
        assert bench.held("theirs") == b"new"
        assert (await bench.get("theirs", forwarded=True)).value == b"new"

    bench_test(test)


def test_a_value_that_is_set_here_while_a_fallback_waits_for_its_turn_spares_the_load() -> None:
    async def test(bench: Bench) -> None:
        results = {key: bench.begin(key)[1] for key in ("theirs-1", "theirs-2")}
        for _, answer in bench.peers.asked:
            answer(GONE)
        bench.group.change(Change(SET, "theirs-2", b"new"), bench.clock() + 3, lambda outcome: None, forwarded=True)
        await eventually(lambda: all(results.values()))
        assert results["theirs-2"][0].value == b"new"
        assert bench.loader.loaded == {"theirs-1": 1}

    bench_test(test, max_loads=1)


@pytest.mark.parametrize("forwarded", [True, False])
def test_without_a_loader_a_stand_in_misses_where_the_owner_is_out_of_reach_and_does_not_remember_it(
    forwarded: bool,
) -> None:
    async def test(bench: Bench) -> None:
        bench.peers.standing_in = True
        _, outcomes = bench.begin("theirs", forwarded=forwarded)
        for _, answer in bench.peers.asked:
            answer(GONE)
        assert (outcomes[0].status, outcomes[0].error) == (NO_SUCH_KEY, None)
        assert outcomes[0].expires_at_s <= bench.clock()
        assert bench.held("theirs") is None
        assert bench.group.statistics().fallback_loads == 0

    bench_test(test, loads=False)


# -- writes at another node ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SET, DELETE])
def test_after_a_write_at_the_owner_what_was_loaded_here_in_its_place_is_not_read_any_more(kind: int) -> None:
    async def test(bench: Bench) -> None:
        await bench.get("theirs", forwarded=True)
        assert bench.held("theirs") == value_of("theirs")
        write(bench, "theirs", b"new", kind=kind)
        bench.peers.written[0][3](STORED)
        assert bench.held("theirs") is None

    bench_test(test)


def test_after_a_write_at_the_new_owner_what_is_left_from_the_old_ring_is_not_read_any_more() -> None:
    async def test(bench: Bench) -> None:
        await bench.get("mine")
        bench.move_ring("elsewhere")
        write(bench, "mine", b"new")
        bench.peers.written[0][3](STORED)
        assert bench.held("mine") is None

    bench_test(test)


@pytest.mark.parametrize("error", [Busy("refused"), OutcomeUnknown("perhaps")])
def test_a_write_that_failed_leaves_what_a_stand_in_holds(error: ZmcacheError) -> None:
    async def test(bench: Bench) -> None:
        bench.group.change(Change(SET, "theirs", b"held for its owner"), 0.0, lambda outcome: None, forwarded=True)
        done = write(bench, "theirs", b"new")
        bench.peers.written[0][3](failure(error))
        assert done[0].error is error
        assert bench.held("theirs") == b"held for its owner"

    bench_test(test)


@pytest.mark.parametrize(("kind", "value"), [(SET, b"new"), (DELETE, None)])
def test_a_write_during_which_the_ring_gives_the_key_to_this_node_is_done_here_too(
    kind: int, value: bytes | None
) -> None:
    async def test(bench: Bench) -> None:
        await bench.get("theirs", forwarded=True)
        done = write(bench, "theirs", b"new", kind=kind)
        bench.move_ring("")
        bench.peers.written[0][3](STORED)
        assert done[0].status == DONE
        assert bench.held("theirs") == value
        bench.ahead_s = 3600.0
        assert bench.held("theirs") == value  # for good: it is the owner now

    bench_test(test)


@pytest.mark.parametrize("kind", [SET, DELETE])
def test_a_write_during_the_fetch_of_a_popular_key_leaves_no_copy_of_the_old_value(kind: int) -> None:
    async def test(bench: Bench) -> None:
        await bench.get("theirs")
        _, early = bench.begin("theirs")
        _, fetch = bench.peers.asked.pop()
        write(bench, "theirs", b"new", kind=kind)
        fetch(Outcome(b"old", FROM_OWNER, math.inf))
        assert early[0].value == b"old"  # it was asked for before the write
        bench.peers.written[0][3](STORED)
        assert bench.held("theirs") is None

    bench_test(test, hot_ttl_s=60.0)


# -- rings that move and leases that are lost ----------------------------------------------------------------------


def test_a_load_during_which_the_key_went_away_and_came_back_is_kept_for_a_short_time_only() -> None:
    async def test(bench: Bench) -> None:
        bench.loader.gate.clear()
        _, outcomes = bench.begin("mine")
        await eventually(lambda: bool(bench.loader.calls))
        bench.move_ring("elsewhere")
        bench.move_ring("mine")
        bench.loader.gate.set()
        await eventually(lambda: bool(outcomes))
        assert bench.held("mine") == value_of("mine")
        bench.ahead_s = 11.0
        assert bench.held("mine") is None

    bench_test(test, moved_ttl_s=10.0)


def test_a_load_that_outlasts_a_lost_lease_is_kept_for_a_short_time_only_and_is_still_the_only_one() -> None:
    async def test(bench: Bench) -> None:
        bench.loader.gate.clear()
        results = [bench.begin("mine")[1]]
        await eventually(lambda: bool(bench.loader.calls))
        bench.group.ring_changed(lease_lost=True)
        results.append(bench.begin("mine")[1])
        bench.loader.gate.set()
        await eventually(lambda: all(results))
        assert bench.loader.loaded == {"mine": 1}
        assert bench.held("mine") == value_of("mine")
        bench.ahead_s = 11.0
        assert bench.held("mine") is None
        await bench.get("mine")  # one that began after it is kept as ever
        bench.ahead_s = 3600.0
        assert bench.held("mine") == value_of("mine")

    bench_test(test, moved_ttl_s=10.0)


def test_a_fetch_during_which_the_ring_gives_the_key_to_this_node_becomes_a_load_at_once_that_is_kept() -> None:
    async def test(bench: Bench) -> None:
        _, outcomes = bench.begin("theirs")
        bench.move_ring("")
        bench.peers.asked[0][1](GONE)
        await eventually(lambda: bool(outcomes))
        bench.ahead_s = 3600.0
        assert bench.held("theirs") == value_of("theirs")

    bench_test(test)


def test_what_the_ring_moves_away_is_there_for_a_moment_and_what_stays_for_as_long_as_before() -> None:
    async def test(bench: Bench) -> None:
        for key in ("mine-1", "mine-2"):
            bench.set(key, b"v", -1)
        bench.move_ring("mine-2")
        await asyncio.sleep(0)
        assert bench.held("mine-1") == b"v"
        await eventually(lambda: bench.held("mine-1") is None)
        assert bench.held("mine-2") == b"v"

    bench_test(test, moved_ttl_s=0.05)


def test_what_the_ring_gives_back_in_time_is_as_it_was() -> None:
    async def test(bench: Bench) -> None:
        for key in ("mine-1", "mine-2"):
            bench.set(key, b"v", -1)
        bench.move_ring("mine-2")
        await asyncio.sleep(0)
        bench.move_ring("mine")
        bench.set("other", b"v", -1)  # what is nobody's to hold goes, which tells that all have been looked at
        await eventually(lambda: bench.held("other") is None)
        assert (bench.held("mine-1"), bench.held("mine-2")) == (b"v", b"v")

    bench_test(test, moved_ttl_s=0.05)


# -- questions whose time is over ----------------------------------------------------------------------------------


def test_who_joins_a_question_late_is_asked_for_anew_when_its_time_is_over() -> None:
    async def test(bench: Bench) -> None:
        first: list[Outcome] = []
        hurried = first.append
        flight = bench.group.begin("theirs", hurried, bench.loop.time(), forwarded=False)
        _, second = bench.begin("theirs")
        (_, answer), (until_s,) = bench.peers.asked.pop(), bench.peers.until_s
        await asyncio.sleep(max(0.0, until_s - bench.loop.time()))
        answer(failure(DeadlineExceeded("no answer within the deadline")))
        flight.leave(hurried)  # whose time it was
        await eventually(lambda: bool(bench.peers.asked))
        assert (first, second) == ([], [])
        bench.peers.asked.pop()[1](Outcome(b"theirs", FROM_OWNER, math.inf))
        assert [outcome.value for outcome in second] == [b"theirs"]
        assert first == []

    bench_test(test, load_timeout_s=0.02)


def test_a_question_that_nobody_waits_for_any_more_is_not_asked_anew() -> None:
    async def test(bench: Bench) -> None:
        outcomes: list[Outcome] = []
        waiter = outcomes.append
        flight = bench.group.begin("theirs", waiter, bench.loop.time(), forwarded=False)
        (_, answer), (until_s,) = bench.peers.asked.pop(), bench.peers.until_s
        await asyncio.sleep(max(0.0, until_s - bench.loop.time()))
        answer(failure(DeadlineExceeded("no answer within the deadline")))
        flight.leave(waiter)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (bench.peers.asked, outcomes) == ([], [])

    bench_test(test, load_timeout_s=0.02)
