"""The algorithm of a group with peers that a test plays, and a clock that it moves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from eventually import eventually
from mesh_fixture import took_less_than
from scripted_loader import ScriptedLoader, value_of

from zmcache.copying import NOBODY, Receivers
from zmcache.core.flight import Flight, Outcome, Waiter, failure
from zmcache.core.marks import ABSENT
from zmcache.core.settings import GroupSettings
from zmcache.core.tokens import token_of
from zmcache.core.wire import (
    ADD,
    CAS,
    DELETE,
    DONE,
    FROM_HOT,
    FROM_LOADER,
    FROM_OWNER,
    INCR,
    NO_SUCH_KEY,
    NOT_THERE,
    SET,
    TOUCH,
    Change,
    Limits,
)
from zmcache.errors import LoaderFailed, PeerUnavailable, ValueTooLarge
from zmcache.group import LocalGroup


class Peers:
    """Owns what starts with ``mine``, until a test moves the ring; everything else is asked of a test."""

    def __init__(self) -> None:
        self.ring_token: object = object()
        self.ours = "mine"
        self.asked: list[tuple[str, Waiter]] = []
        self.until_s: list[float] = []
        self.written: list[tuple[int, str, bytes | None, Waiter]] = []
        self.standing_in = False
        self.knows = True
        self.given_up: list[object] = []

    def is_ours(self, key: str) -> bool:
        return key.startswith(self.ours)

    is_settled = True

    def stands_in(self, key: str) -> bool:
        return self.standing_in

    def holds(self, key: str, copies: int) -> bool:
        return self.is_ours(key)

    def holder(self, copies: int) -> Callable[[str], bool]:
        ours = self.ours
        return lambda key: key.startswith(ours)

    def is_in_charge(self, key: str, copies: int) -> bool:
        return self.is_ours(key) or self.standing_in

    def reaches_holder(self, key: str, copies: int) -> bool:
        return True

    def would_know(self, key: str, copies: int) -> bool:
        return self.knows

    def sees_all(self, key: str, copies: int) -> bool:
        return self.is_ours(key)

    def receivers(self, key: str, copies: int) -> Receivers:
        return NOBODY

    def copy(
        self,
        receiver: object,
        group: str,
        copy: Change,
        deadline_s: float,
        on_answer: Waiter,
        *,
        background: bool = False,
    ) -> None:
        raise AssertionError("nobody was to be sent a copy")

    def ask_former(
        self, group: str, key: str, copies: int, window_s: float, deadline_s: float, on_answer: Waiter
    ) -> bool:
        return False

    def ask(
        self, group: str, key: str, deadline_s: float, on_answer: Waiter, trace: str | None, *, keeps: bool = False
    ) -> object:
        self.asked.append((key, on_answer))
        self.until_s.append(deadline_s)
        return key

    def change(self, group: str, change: Change, deadline_s: float, on_answer: Waiter, trace: str | None) -> object:
        self.written.append((change.kind, change.key, change.value, on_answer))
        return change.key

    def give_up(self, asked: object) -> None:
        self.given_up.append(asked)


class Bench:
    """A group, and what came of what it was asked."""

    def __init__(self, *, loads: bool = True, **settings: Any) -> None:
        self.ahead_s = 0.0
        self.loop = asyncio.get_running_loop()
        self.peers = Peers()
        self.loader = ScriptedLoader()
        self.group = LocalGroup(
            "items", GroupSettings(**({"ttl_jitter": 0.0} | settings)), Limits(), self.peers,
            loader=self.loader if loads else None, random=lambda: 1.0, clock=self.clock,
        )  # fmt: skip

    def clock(self) -> float:
        return self.loop.time() + self.ahead_s

    def begin(self, key: str, *, forwarded: bool = False) -> tuple[Flight, list[Outcome]]:
        outcomes: list[Outcome] = []
        flight = self.group.begin(key, lambda outcome: outcomes.append(outcome), self.clock() + 3, forwarded=forwarded)
        return flight, outcomes

    def move_ring(self, ours: str) -> None:
        """From now on this node owns what starts with ``ours``."""
        self.peers.ours = ours
        self.peers.ring_token = object()
        self.group.ring_changed()
        self.group.let_go()

    def set(self, key: str, value: bytes, ttl_ms: int = 0) -> Outcome:
        return self.group._writing.change_local(Change(SET, key, value, ttl_ms))

    def delete(self, key: str) -> Outcome:
        return self.group._writing.change_local(Change(DELETE, key))

    def held(self, key: str) -> bytes | str | None:
        """What the group has of ``key`` in memory."""
        return self.group.get_local([key], self.clock())[0][0]

    async def get(self, key: str, *, forwarded: bool = False) -> Outcome:
        values, expiries, hot = self.group.get_local([key], self.clock())
        value = values[0]
        if value is not None:
            found = self.group.found(key, value, expiries[0], self.clock(), hot=bool(hot))
            assert found is not None
            return found
        _, outcomes = self.begin(key, forwarded=forwarded)
        if self.peers.asked and not outcomes:
            _, answer = self.peers.asked.pop()
            answer(Outcome(b"theirs", FROM_OWNER, math.inf))
        await eventually(lambda: bool(outcomes))
        return outcomes[0]


def bench_test(test: Callable[[Bench], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def main() -> None:
        bench = Bench(**settings)
        await test(bench)
        await bench.group.aclose()

    asyncio.run(main())


def test_what_is_loaded_lives_for_the_groups_ttl_and_is_then_loaded_again() -> None:
    async def test(bench: Bench) -> None:
        assert (await bench.get("mine")).status == FROM_LOADER
        bench.ahead_s = 59.0
        assert (await bench.get("mine")).status == FROM_OWNER
        bench.ahead_s = 60.5
        assert (await bench.get("mine")).status == FROM_LOADER

    bench_test(test, ttl_s=60.0)


def test_jitter_only_ever_shortens_a_life() -> None:
    async def test(bench: Bench) -> None:
        outcome = await bench.get("mine")
        assert 89.9 < outcome.expires_at_s - bench.clock() <= 90.0

    bench_test(test, ttl_s=100.0, ttl_jitter=0.1)


def test_no_such_key_is_remembered_for_its_own_time() -> None:
    async def test(bench: Bench) -> None:
        bench.loader.known = lambda key: False
        for _ in range(3):
            assert (await bench.get("mine")).status == NO_SUCH_KEY
        assert bench.loader.loaded == {"mine": 1}
        bench.ahead_s = 2.5
        bench.loader.known = lambda key: True
        assert (await bench.get("mine")).value == value_of("mine")

    bench_test(test, negative_ttl_s=2.0, ttl_s=60.0)


def test_with_a_negative_ttl_of_zero_no_such_key_is_asked_for_each_time() -> None:
    async def test(bench: Bench) -> None:
        bench.loader.known = lambda key: False
        for _ in range(3):
            assert (await bench.get("mine")).status == NO_SUCH_KEY
        assert bench.loader.loaded == {"mine": 3}

    bench_test(test, negative_ttl_s=0.0)


def test_a_value_with_the_same_bytes_as_the_mark_of_absence_is_a_value() -> None:
    async def test(bench: Bench) -> None:
        lookalike = ABSENT.encode()
        bench.loader.answer = lambda keys: dict.fromkeys(keys, lookalike)
        assert (await bench.get("mine")).value == lookalike
        assert (await bench.get("mine")) == Outcome(lookalike, FROM_OWNER, math.inf)

    bench_test(test)


def test_a_failed_load_is_not_remembered() -> None:
    async def test(bench: Bench) -> None:
        def fails(keys: list[str]) -> dict[str, bytes]:
            raise RuntimeError("once")

        bench.loader.answer = fails
        assert isinstance((await bench.get("mine")).error, LoaderFailed)
        bench.loader.answer = None
        assert (await bench.get("mine")).value == value_of("mine")

    bench_test(test)


def test_a_forwarded_request_does_not_wait_for_what_this_node_asks_of_another() -> None:
    async def test(bench: Bench) -> None:
        bench.begin("theirs")
        assert len(bench.peers.asked) == 1
        assert (await bench.get("theirs", forwarded=True)).value in (b"theirs", value_of("theirs"))
        _, outcomes = bench.begin("theirs too", forwarded=True)
        await eventually(lambda: bool(outcomes))
        assert outcomes[0].value == value_of("theirs too")
        assert not any(key == "theirs too" for key, _ in bench.peers.asked)

    bench_test(test)


def test_a_local_request_joins_what_is_being_loaded_here_for_a_peer() -> None:
    async def test(bench: Bench) -> None:
        bench.loader.gate.clear()
        _, first = bench.begin("theirs", forwarded=True)
        _, second = bench.begin("theirs")
        bench.loader.gate.set()
        await eventually(lambda: bool(first and second))
        assert bench.peers.asked == []
        assert bench.loader.loaded == {"theirs": 1}

    bench_test(test)


def test_who_waits_for_a_turn_to_load_in_place_of_others_gets_it() -> None:
    async def test(bench: Bench) -> None:
        results = [bench.begin(f"theirs-{n}")[1] for n in range(4)]
        for _, answer in bench.peers.asked:
            answer(failure(PeerUnavailable("gone")))
        with took_less_than(1.2):
            await eventually(lambda: all(results))
        assert [outcomes[0].status for outcomes in results] == [FROM_LOADER] * 4
        assert bench.group.statistics().fallback_loads == 4

    bench_test(test, max_loads=1)


def test_who_leaves_while_waiting_for_that_turn_causes_no_load() -> None:
    async def test(bench: Bench) -> None:
        flights = []
        for n in range(3):
            waiter: Waiter = lambda outcome, n=n: None  # noqa: E731 - each waiter is a callable of its own
            flights.append((bench.group.begin(f"theirs-{n}", waiter, bench.clock() + 3, forwarded=False), waiter))
        for _, answer in bench.peers.asked:
            answer(failure(PeerUnavailable("gone")))
        for flight, waiter in flights[1:]:
            flight.leave(waiter)
        await eventually(lambda: bool(bench.loader.calls))
        _, outcomes = bench.begin("mine")
        await eventually(lambda: bool(outcomes))
        await asyncio.sleep(0.6)  # longer than the wait for two turns
        assert bench.loader.loaded == {"theirs-0": 1, "mine": 1}

    bench_test(test, max_loads=1)


def test_a_stand_in_loads_at_once_without_taking_turns() -> None:
    async def test(bench: Bench) -> None:
        bench.peers.standing_in = True
        results = [bench.begin(f"theirs-{n}")[1] for n in range(50)]
        for _, answer in bench.peers.asked:
            answer(failure(PeerUnavailable("gone")))
        with took_less_than(0.5):
            await eventually(lambda: all(results))

    bench_test(test, max_loads=1)


@pytest.mark.parametrize("loads", [False, True])
@pytest.mark.parametrize("forwarded", [False, True])
def test_where_no_holder_of_a_copy_is_in_reach_only_who_has_nobody_else_to_ask_has_it_loaded(
    loads: bool, forwarded: bool
) -> None:
    async def test(bench: Bench) -> None:
        bench.peers.knows, bench.peers.standing_in = False, True
        for last in (False, True):
            outcomes: list[Outcome] = []
            until_s = bench.clock() + 3
            bench.group.begin("theirs", outcomes.append, until_s, forwarded=forwarded, last=last)
            if not forwarded:
                bench.peers.asked.pop()[1](failure(PeerUnavailable("nobody is there")))
            await eventually(lambda outcomes=outcomes: bool(outcomes))  # type: ignore[misc]
            if last:
                assert outcomes[0].status == (FROM_LOADER if loads else NO_SUCH_KEY)
            else:
                assert isinstance(outcomes[0].error, PeerUnavailable)
            assert bench.loader.loaded == ({"theirs": 1} if last and loads else {})

    bench_test(test, loads=loads, copies=2)


def test_without_a_loader_an_owner_out_of_reach_is_an_error_and_not_an_absence() -> None:
    async def test(bench: Bench) -> None:
        _, outcomes = bench.begin("theirs")
        bench.peers.asked[0][1](failure(PeerUnavailable("gone")))
        assert isinstance(outcomes[0].error, PeerUnavailable)

    bench_test(test, loads=False)


def test_a_write_at_another_node_drops_the_copy_before_and_after() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(3):
            await bench.get("theirs")
        assert (await bench.get("theirs")).status == FROM_HOT
        done: list[Outcome] = []
        bench.group.change(Change(SET, "theirs", b"new"), bench.clock() + 3, done.append, forwarded=False)
        assert bench.group.get_local(["theirs"], bench.clock())[0] == [None]
        await bench.get("theirs")  # meets the old value at the owner, and is popular
        _, _, _, answer = bench.peers.written[0]
        answer(Outcome(None, DONE, 0.0))
        assert done[0].status == DONE
        assert bench.group.get_local(["theirs"], bench.clock())[0] == [None]

    bench_test(test, hot_ttl_s=60.0)


def test_a_share_of_zero_keeps_no_copies_and_one_that_is_full_evicts_only_copies() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(5):
            assert (await bench.get("theirs")).status != FROM_HOT
        assert bench.group.statistics().hot_entries == 0

    bench_test(test, hot_share=0.0)

    async def full(bench: Bench) -> None:
        await bench.get("mine")
        for n in range(200):
            for _ in range(2):
                await bench.get(f"theirs-{n}")
        statistics = bench.group.statistics()
        assert 0 < statistics.hot_bytes <= 100_000 * 0.1
        assert statistics.used_bytes + statistics.hot_bytes <= statistics.budget_bytes == 100_000
        assert (await bench.get("mine")).status == FROM_OWNER

    bench_test(full, budget_bytes=100_000, hot_share=0.1, hot_ttl_s=60.0)


def test_a_value_larger_than_the_group_is_refused_with_its_size() -> None:
    async def test(bench: Bench) -> None:
        outcome = bench.set("mine", b"v" * 50_000)
        assert isinstance(outcome.error, ValueTooLarge)
        assert outcome.error.size == 50_000
        assert bench.delete("mine").status == NOT_THERE

    bench_test(test, budget_bytes=40_000)


def test_deleting_what_is_remembered_as_absent_says_that_it_was_not_there() -> None:
    async def test(bench: Bench) -> None:
        bench.loader.known = lambda key: False
        await bench.get("mine")
        assert bench.delete("mine").status == NOT_THERE
        bench.loader.known = lambda key: True
        assert (await bench.get("mine")).value == value_of("mine")
        assert bench.delete("mine").status == DONE

    bench_test(test)


def test_a_change_of_what_is_there_is_no_hit() -> None:
    async def test(bench: Bench) -> None:
        bench.set("mine", b"1")
        for kind in (SET, ADD, INCR, TOUCH, CAS, DELETE, DELETE):
            bench.group._writing.change_local(Change(kind, "mine", b"2", token=token_of(b"3")))
        statistics = bench.group.statistics()
        assert (statistics.hits, statistics.misses) == (0, 0)
        bench.set("mine", b"1")
        await bench.get("mine")
        assert bench.group.statistics().hits == 1

    bench_test(test)


def test_expired_entries_are_freed_in_slices() -> None:
    async def test(bench: Bench) -> None:
        for n in range(250):
            bench.set(f"mine-{n}", b"v", 1000)
        bench.ahead_s = 5.0
        assert bench.group.tidy(until_s=0.0), "no time, nothing done"
        assert bench.group.statistics().entries == 250
        assert not bench.group.tidy(until_s=bench.clock() + 60.0)
        assert bench.group.statistics().entries == 0
        assert bench.group.statistics().used_bytes == 0

    bench_test(test)


@pytest.mark.parametrize("count", [1, 1000])
def test_one_load_serves_every_caller_of_its_moment(count: int) -> None:
    async def test(bench: Bench) -> None:
        results = [bench.begin("mine")[1] for _ in range(count)]
        await eventually(lambda: all(results))
        assert {outcomes[0].value for outcomes in results} == {value_of("mine")}
        assert bench.loader.loaded == {"mine": 1}
        statistics = bench.group.statistics()
        assert (statistics.loads, statistics.misses, statistics.loading) == (1, 1, 0)

    bench_test(test)
