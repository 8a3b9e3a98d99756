"""One channel to a fake node: what a batch meets while the peer is new, connecting, up, down, hung and gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from channel_bench import Bench, bench_test
from eventually import eventually
from fake_node import FakeNode, Handler
from mesh_fixture import took_less_than

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.core.wire import Limits
from zmcache.errors import Busy, DeadlineExceeded, PeerUnavailable, ProtocolError
from zmcache.peers.channel import LATE_S, State
from zmcache.peers.flow import WAITING_TIMES
from zmcache.peers.pulse import MISSED_BEATS
from zmcache.peers.trust import BAD_ANSWERS, JUDGED_AFTER_S, PAUSE_S


def test_no_connection_is_made_before_it_is_needed() -> None:
    async def test(bench: Bench) -> None:
        bench.node()
        await asyncio.sleep(0.01)
        assert bench.channel.state is State.NEW
        bench.ask("k")
        assert await bench.value("k") == b"k"
        assert bench.channel.state is State.UP

    bench_test(test)


def test_requests_made_while_it_connects_wait_and_go_out_in_order() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        for n in range(5):
            bench.ask(f"k{n}")
            await asyncio.sleep(0)
        await eventually(lambda: len(bench.values) == 5)
        assert [key for _, request in fake.requests for key in request.keys] == [f"k{n}" for n in range(5)]

    bench_test(test)


def test_when_the_first_attempt_fails_they_fail_at_once_and_when_the_peer_comes_they_are_served() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("early")
        with took_less_than(0.5):
            assert isinstance(await bench.failure("early"), PeerUnavailable)
        bench.ask("down")
        with took_less_than(0.1):
            error = await bench.failure("down")
        assert isinstance(error, PeerUnavailable)
        assert error.peer == "fake"
        bench.node()
        await eventually(lambda: bench.channel.state is State.UP)
        bench.ask("late")
        assert await bench.value("late") == b"late"

    bench_test(test)


@pytest.mark.parametrize("endpoint", ["", "mem://", "nonsense", "tcp://host:1"])
def test_an_endpoint_that_is_none_is_a_peer_that_cannot_be_reached(endpoint: str) -> None:
    async def test(bench: Bench) -> None:
        bench.ask("k")
        with took_less_than(0.5):
            assert isinstance(await bench.failure("k"), PeerUnavailable)
        with pytest.raises(PeerUnavailable):
            await bench.channel.query(wire.PING, asyncio.get_running_loop().time() + 1)

    bench_test(test, endpoint=endpoint)


def test_what_is_in_flight_when_the_peer_goes_fails_at_once_and_is_not_sent_again() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: None
        bench.ask("a", "b")
        await eventually(lambda: bool(fake.requests))
        with took_less_than(0.5):
            bench.network.cut("mem://fake")
            assert isinstance(await bench.failure("a"), PeerUnavailable)
            assert isinstance(await bench.failure("b"), PeerUnavailable)
        bench.network.heal("mem://fake")
        await eventually(lambda: bench.channel.state is State.UP)
        fake.handle = fake.echo
        bench.ask("c")
        assert await bench.value("c") == b"c"
        assert [request.keys for _, request in fake.requests] == [["a", "b"], ["c"]]
        assert bench.channel.inflight == 0

    bench_test(test)


def test_a_peer_that_is_slow_to_answer_but_answers_pings_is_never_suspected() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: None
        bench.ask("slow")
        await eventually(lambda: bool(fake.requests))
        for _ in range(10):
            bench.channel.beat()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert bench.channel.state is State.UP
        fake.echo(*fake.requests[0])
        assert await bench.value("slow") == b"slow"

    bench_test(test)


def test_what_is_too_much_to_be_in_flight_waits_for_room_in_order() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: None
        bench.ask(*"abc")
        await eventually(lambda: bool(fake.requests))
        bench.ask("d", "e")
        bench.ask("f")  # there would be room for it, but others were first
        await asyncio.sleep(0.01)
        assert len(fake.requests) == 1
        assert bench.channel.inflight == 3
        # One answer of the three is room for two more.
        fake.answer(*_to(fake.requests[0]), b"a", positions=[0])
        await eventually(lambda: len(fake.requests) == 2)
        fake.answer(*_to(fake.requests[0]), b"b", b"c", positions=[1, 2])
        await eventually(lambda: len(fake.requests) == 3)
        for request in fake.requests[1:]:
            fake.echo(*request)
        assert [await bench.value(key) for key in "abcdef"] == [key.encode() for key in "abcdef"]
        assert bench.channel.inflight == 0
        assert (bench.channel._flow.keys, bench.channel._flow.waiting) == (0, {})

    bench_test(test, limits=Limits(inflight_requests=4))


def _to(request: tuple[bytes, Any]) -> tuple[bytes, int]:
    return request[0], request[1].request_id


def test_who_waits_for_room_has_it_when_others_expire_and_expires_itself_without_having_been_sent() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: None
        bench.ask(*"ab", timeout_s=0.05)
        bench.ask("c", timeout_s=0.03)
        bench.ask("d")
        with took_less_than(0.1):
            assert isinstance(await bench.failure("c"), DeadlineExceeded)
        assert isinstance(await bench.failure("a"), DeadlineExceeded)
        await eventually(lambda: len(fake.requests) == 2)
        fake.echo(*fake.requests[1])
        assert await bench.value("d") == b"d"
        assert [request.keys for _, request in fake.requests] == [["a", "b"], ["d"]]

    bench_test(test, limits=Limits(inflight_requests=2))


def test_when_the_peer_goes_who_waits_for_room_hears_of_it_too() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: None
        bench.ask("a")
        bench.ask("b")
        await eventually(lambda: bool(fake.requests))
        bench.network.cut("mem://fake")
        for key in "ab":
            assert isinstance(await bench.failure(key), PeerUnavailable)
        bench.network.heal("mem://fake")
        fake.handle = fake.echo
        await eventually(lambda: bench.channel.state is State.UP)
        bench.ask("c")
        assert await bench.value("c") == b"c"

    bench_test(test, limits=Limits(inflight_requests=1))


def test_more_than_may_wait_is_refused_as_busy() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: None
        most = WAITING_TIMES * 2
        for n in range(most):
            bench.ask(f"k{n}")
        bench.ask("one too many")
        assert isinstance(await bench.failure("one too many"), Busy)
        assert bench.errors.keys() == {"one too many"}

    bench_test(test, limits=Limits(inflight_requests=2))


def garbage(fake: FakeNode) -> Handler:
    return lambda peer, request: fake.send(peer, b"garbage!!")


def wrong_kind(fake: FakeNode) -> Handler:
    return lambda peer, request: fake.send_members(peer, request.request_id)


@pytest.mark.parametrize("answer", [garbage, wrong_kind])
def test_a_peer_that_answers_with_garbage_is_left_alone_for_longer_each_time_until_it_makes_sense(
    answer: Callable[[FakeNode], Handler],
) -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = answer(fake)
        bench.ask("first")
        await eventually(lambda: bench.channel.garbage == 1)
        assert bench.channel.state is State.UP
        for n in range(1, BAD_ANSWERS):
            bench.ask(f"bad-{n}")
        await eventually(lambda: bench.channel.state is State.SUSPECT)
        # All who waited have heard of it, and nobody else has to wait.
        assert isinstance(await bench.failure("first"), PeerUnavailable | ProtocolError)
        with took_less_than(0.1):
            bench.ask("refused")
            assert isinstance(await bench.failure("refused"), PeerUnavailable)

        async def pongs_until_up() -> None:
            while bench.channel.state is not State.UP:
                bench.channel.beat()
                for _ in range(4):
                    await asyncio.sleep(0)

        for pause_s in (PAUSE_S, 2 * PAUSE_S):
            # Pongs come, and are not enough before the time.
            bench.skip(pause_s / 2)
            for _ in range(5):
                bench.channel.beat()
                await asyncio.sleep(0.002)
            assert bench.channel.state is State.SUSPECT
            bench.skip(pause_s / 2)
            await pongs_until_up()
            # And then one more is enough.
            bench.ask(f"again-{pause_s}")
            await eventually(lambda: bench.channel.state is State.SUSPECT)
        fake.handle = fake.echo
        bench.skip(4 * PAUSE_S)
        await pongs_until_up()
        bench.ask("good")
        assert await bench.value("good") == b"good"
        fake.handle = answer(fake)
        bench.ask("bad")
        await eventually(lambda: bench.channel._trust.in_doubt)
        await asyncio.sleep(2 * JUDGED_AFTER_S)
        assert bench.channel.state is State.UP, "one alone is forgiven again"

    bench_test(test)


def test_bad_answers_with_a_good_one_past_the_loop_between_them_are_forgiven() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = garbage(fake)
        for n in range(1, 2 * BAD_ANSWERS):
            bench.ask(f"bad-{n}")
            await eventually(lambda n=n: bench.channel.garbage == n)  # type: ignore[misc]
            assert bench.channel.in_doubt
            if n % (BAD_ANSWERS - 1) == 0:
                bench.channel.on_good_answer()
                assert not bench.channel.in_doubt
        await asyncio.sleep(2 * JUDGED_AFTER_S)
        assert bench.channel.state is State.UP

    bench_test(test)


def test_what_cannot_be_read_is_no_sign_of_life() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        bench.ask("k")
        await bench.value("k")
        fake.pong = lambda peer, request_id: fake.send(peer, b"\xc1")
        for _ in range(MISSED_BEATS + 3):
            bench.channel.beat()
            for _ in range(4):
                await asyncio.sleep(0)
        assert bench.channel.state is State.SUSPECT

    bench_test(test)


def test_where_somebody_waits_a_ping_goes_out_between_two_beats() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        bench.ask("k")
        await bench.value("k")
        await bench.beats(1)
        pinged: list[int] = []
        fake.pong = lambda peer, request_id: pinged.append(request_id)
        bench.channel.probe()
        await asyncio.sleep(0)
        assert not pinged, "nobody waits"
        fake.handle = lambda peer, request: None
        bench.ask("slow", timeout_s=60.0)
        await eventually(lambda: bench.channel.inflight > 0)
        for _ in range(3):
            bench.channel.probe()
            await asyncio.sleep(0)
        assert len(pinged) == 1, "one is out at a time"
        assert not bench.channel.is_late
        bench.pass_time(LATE_S)
        assert bench.channel.is_late
        assert bench.channel.state is State.UP

    bench_test(test)


def test_an_answer_that_is_larger_than_we_take_is_no_garbage() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: fake.answer(peer, request.request_id, b"x" * 2000)
        for n in range(2 * BAD_ANSWERS):
            bench.ask(f"k{n}")
            assert isinstance(await bench.failure(f"k{n}"), ProtocolError)
        await asyncio.sleep(2 * JUDGED_AFTER_S)
        assert bench.channel.state is State.UP

    bench_test(test, limits=Limits(value_bytes=1000))


def test_an_answer_after_the_deadline_is_a_stray() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: None
        bench.ask("k", timeout_s=0.03)
        assert isinstance(await bench.failure("k"), DeadlineExceeded)
        fake.echo(*fake.requests[0])
        await eventually(lambda: bench.channel.strays == 1)
        assert bench.values == {}

    bench_test(test)


def test_an_answer_with_another_epoch_is_reported_and_one_with_ours_is_not() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        bench.ask("k")
        await bench.value("k")
        assert bench.epochs == [Epoch(*fake.header)]
        bench.channel.epoch = Epoch(*fake.header)
        bench.ask("l")
        await bench.value("l")
        assert len(bench.epochs) == 1

    bench_test(test)


def test_a_query_ends_by_its_deadline_or_with_the_connection_or_with_its_answer() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        loop = asyncio.get_running_loop()
        reply = await bench.channel.query(wire.TOPOLOGY, loop.time() + 1)
        assert isinstance(reply, wire.Members)
        fake.topology = lambda peer, request_id: None
        with took_less_than(0.15), pytest.raises(DeadlineExceeded):
            await bench.channel.query(wire.TOPOLOGY, loop.time() + 0.1)
        waiting = bench.channel.query(wire.TOPOLOGY, loop.time() + 5)
        await asyncio.sleep(0)
        bench.network.cut("mem://fake")
        with took_less_than(0.5), pytest.raises(PeerUnavailable):
            await waiting
        fake.topology = lambda peer, request_id: fake.send(peer, b"\x98\x10\x12" + bytes([request_id]))
        bench.network.heal("mem://fake")
        await eventually(lambda: bench.channel.state is State.UP)

    bench_test(test)


def test_a_garbled_reply_to_a_query_fails_it_at_once() -> None:
    async def test(bench: Bench) -> None:

        fake = bench.node()
        fake.topology = lambda peer, request_id: fake.send(
            peer, wire.sealed(msgpack.packb([wire.VERSION, wire.MEMBERS, request_id, 0, 1, 2, 0, "", 5]))
        )
        with took_less_than(0.5), pytest.raises(ProtocolError):
            await bench.channel.query(wire.TOPOLOGY, asyncio.get_running_loop().time() + 2)
        assert bench.channel.garbage == 1

    bench_test(test)


def test_closing_fails_what_is_under_way_and_what_is_collected_and_comes_after() -> None:
    async def test(bench: Bench) -> None:
        fake = bench.node()
        fake.handle = lambda peer, request: None
        bench.ask("sent")
        await eventually(lambda: bool(fake.requests))
        bench.ask("collected")
        bench.channel.close()
        bench.channel.close()
        for key in ("sent", "collected"):
            assert isinstance(await bench.failure(key), PeerUnavailable)
        bench.ask("after")
        assert isinstance(await bench.failure("after"), PeerUnavailable)

    bench_test(test)


def test_a_batch_takes_as_many_keys_as_a_message_may_have() -> None:
    async def test(bench: Bench) -> None:
        bench.node()
        batch = bench.ask(*"abcd")
        assert batch.open
        batch.add("e", "e", 0.0)
        assert not batch.open

    bench_test(test, limits=Limits(keys=5))
