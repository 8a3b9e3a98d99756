"""A client backs off from a node that is busy: how long, from what, and what waits meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channel_bench import Bench, bench_test
from eventually import eventually
from fake_node import FakeNode
from mesh_fixture import took_less_than

from zmcache.core import wire
from zmcache.errors import Busy, PeerUnavailable
from zmcache.peers import pauses as pausing
from zmcache.peers.pauses import FIRST_S, MOST_S, Pauses

GETS = "items", wire.GET
REFUSED = (Busy.code, "busy")


def test_a_pause_doubles_from_refusal_to_refusal_up_to_its_bound_and_ends_with_what_is_served() -> None:
    pauses, now_s, found = Pauses(lambda: 1.0), 100.0, []
    for _ in range(8):
        pauses.refused(GETS, now_s, now_s)
        found.append(pauses.until_s(GETS) - now_s)
        now_s = pauses.until_s(GETS)
    assert [round(pause / FIRST_S) for pause in found[:5]] == [1, 2, 4, 8, 16]
    assert abs(found[-1] - MOST_S) < 1e-9
    assert pauses.until_s(("others", wire.GET)) == pauses.until_s(("items", wire.SET)) == 0
    pauses.served(GETS)
    assert pauses.until_s(GETS) == 0
    assert len(pauses) == 0


def test_what_was_on_its_way_when_the_pause_began_does_not_double_it() -> None:
    pauses = Pauses(lambda: 1.0)
    pauses.refused(GETS, 1.0, 2.0)
    for _ in range(10):
        pauses.refused(GETS, 1.5, 2.001)
    assert abs(pauses.until_s(GETS) - 2.0 - FIRST_S) < 1e-9


def test_pauses_differ_by_chance_and_are_at_least_half() -> None:
    shortest = Pauses(lambda: 0.0)
    shortest.refused(GETS, 1.0, 1.0)
    assert abs(shortest.until_s(GETS) - 1.0 - FIRST_S / 2) < 1e-9


@pytest.fixture(name="long_pauses")
def _long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pause is half a second: a busy machine takes a fiftieth for nothing."""
    monkeypatch.setattr(pausing, "FIRST_S", 0.5)


def busy(fake: FakeNode) -> Any:
    return lambda peer, request: fake.answer(peer, request.request_id, *[REFUSED] * len(request.keys))


async def refused(bench: Bench, fake: FakeNode, times: int) -> None:
    fake.handle = busy(fake)
    for n in range(times):
        bench.ask(f"refused-{n}")
        await eventually(lambda n=n: f"refused-{n}" in bench.values)  # type: ignore[misc]


@pytest.mark.usefixtures("long_pauses")
def test_after_a_refusal_the_next_request_of_that_kind_waits_and_others_do_not() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        await refused(bench, fake, 1)
        fake.handle = fake.echo
        asked = len(fake.requests)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        bench.ask("waits")
        bench.ask("at once", kind=wire.DELETE)
        with took_less_than(0.3):
            assert await bench.value("at once") == b"at once"
        assert len(fake.requests) == asked + 1
        assert await bench.value("waits") == b"waits"
        assert loop.time() - began_s > 0.4
        # It was served: no pause any more.
        bench.ask("next")
        with took_less_than(0.3):
            assert await bench.value("next") == b"next"

    bench_test(test, pauses=Pauses(lambda: 1.0))


@pytest.mark.usefixtures("long_pauses")
def test_where_something_is_served_there_is_no_pause() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: (
            fake.answer(peer, request.request_id, b"hit", positions=[0]),
            fake.answer(peer, request.request_id, REFUSED, positions=[1]),
        )[0]
        for n in range(5):
            bench.ask(f"hit-{n}", f"miss-{n}")
            with took_less_than(0.3):
                await eventually(lambda n=n: f"miss-{n}" in bench.values)  # type: ignore[misc]

    bench_test(test, pauses=Pauses(lambda: 1.0))


@pytest.mark.usefixtures("long_pauses")
def test_what_has_no_time_to_wait_for_the_end_of_the_pause_is_refused_at_once() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        await refused(bench, fake, 1)
        bench.ask("hurried", timeout_s=0.4)
        with took_less_than(0.3):
            assert isinstance(await bench.failure("hurried"), Busy)

    bench_test(test, pauses=Pauses(lambda: 1.0))


@pytest.mark.usefixtures("long_pauses")
def test_what_waits_fails_at_once_when_the_node_is_gone_and_is_forgotten_when_nobody_wants_it() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        await refused(bench, fake, 1)
        asked = len(fake.requests)
        batch = bench.ask("unwanted")
        bench.ask("lost")
        await asyncio.sleep(0)
        bench.channel.forgo(batch, "unwanted")
        bench.network.cut("mem://fake")
        with took_less_than(0.3):
            assert isinstance(await bench.failure("lost"), PeerUnavailable)
        assert len(fake.requests) == asked

    bench_test(test, pauses=Pauses(lambda: 1.0))


def test_a_whole_request_that_is_refused_counts_too_and_a_node_does_not_back_off() -> None:
    async def refuse(bench: Bench) -> float:
        fake = bench.node()
        fake.handle = lambda peer, request: fake.send(
            peer, wire.encode(wire.Refusal(*wire.header(wire.REFUSAL, request.request_id, fake.header), Busy.code, ""))
        )
        for n in range(4):
            bench.ask(f"k{n}")
            assert isinstance(await bench.failure(f"k{n}"), Busy)
        fake.handle = fake.echo
        began_s = asyncio.get_running_loop().time()
        bench.ask("then")
        assert await bench.value("then") == b"then"
        return asyncio.get_running_loop().time() - began_s

    async def client(bench: Bench) -> None:
        assert await refuse(bench) > 0.1

    async def node(bench: Bench) -> None:
        assert await refuse(bench) < 0.1

    bench_test(client, pauses=Pauses(lambda: 1.0))
    bench_test(node)
