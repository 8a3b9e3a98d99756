"""What only the wire can do to a transport: foreign bytes, foreign sockets, dead and hung processes, slow readers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest
import zmq
from mesh_fixture import took_less_than
from transport_worlds import Recorder, Scenario, ZmqWorld, echo, echo_process, listen_again, until

from zmcache.errors import ConfigError

Play = Callable[[Scenario], None]
MIB = 1024 * 1024


@contextmanager
def foreign_socket(kind: int, endpoint: str, **options: int) -> Iterator[zmq.Socket[bytes]]:
    """A plain libzmq client, as any program on the network may have one."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    client = context.socket(kind)
    client.setsockopt(zmq.LINGER, 0)
    for option, value in options.items():
        client.setsockopt(getattr(zmq, option), value)
    client.connect(endpoint)
    try:
        yield client
    finally:
        client.close()
        context.term()


def address_of(endpoint: str) -> tuple[str, int]:
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return host, int(port)


async def fill(send: Callable[[], bool]) -> int:
    """Send, a frame a pass of the loop, until one is refused. Returns how many were not."""
    for taken in count():
        if not send():
            return taken
        await asyncio.sleep(0)
    raise AssertionError


async def assert_serves(world: ZmqWorld, endpoint: str) -> None:
    seen = Recorder()
    connection = world.transport().connect(endpoint, seen)
    await until(lambda: connection.send_nowait(b"still there?"))
    await until(lambda: seen.frames == [b"still there?"])


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 300, b"\0" * 64, os.urandom(4096)])
def test_foreign_bytes_on_the_port_do_not_disturb_the_neighbours(play_zmq: Play, noise: bytes) -> None:
    async def scenario(world: ZmqWorld) -> None:
        listener = echo(world.transport(), world.anywhere)
        with socket.create_connection(address_of(listener.endpoint)) as stranger:
            stranger.sendall(noise)
            await assert_serves(world, listener.endpoint)

    play_zmq(scenario)


def test_messages_of_another_shape_are_counted_and_dropped(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        serving = world.transport()
        listener = echo(serving, world.anywhere)
        with (
            foreign_socket(zmq.REQ, listener.endpoint) as asker,
            foreign_socket(zmq.DEALER, listener.endpoint) as other,
        ):
            asker.send(b"a request behind an empty delimiter")
            other.send_multipart([b"two", b"parts"])
            other.send_multipart([b"", b"", b"", b"many"])
            other.send(b"one part")
            assert await asyncio.to_thread(other.recv) == b"one part"
            await until(lambda: serving.statistics().dropped.get("shape") == 3)
        await assert_serves(world, listener.endpoint)

    play_zmq(scenario)


def test_an_oversize_message_costs_its_sender_the_connection_and_nobody_else(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        listener = echo(world.transport(max_message_bytes=10_000), world.anywhere)
        good, bad = Recorder(), Recorder()
        transport = world.transport()
        small = transport.connect(listener.endpoint, good)
        large = transport.connect(listener.endpoint, bad)
        await until(lambda: good.told("connected") and bad.told("connected"))
        large.send_nowait(bytes(10_001))
        await until(lambda: bad.told("disconnected"))
        small.send_nowait(b"x")
        await until(lambda: good.frames)
        assert good.events == ["connected"]
        await until(lambda: bad.told("connected") == 2)

    play_zmq(scenario)


def test_an_oversize_answer_costs_the_connection_which_is_made_again(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        listener = world.transport().listen(
            world.anywhere, lambda peer, frame: listener.send_nowait(peer, bytes(int(frame))) and None
        )
        seen = Recorder()
        connection = world.transport(max_message_bytes=10_000).connect(listener.endpoint, seen)
        await until(lambda: connection.send_nowait(b"10001"))
        await until(lambda: seen.told("disconnected") == 1)
        # libzmq itself gives such a peer up for ever.
        await until(lambda: seen.told("connected") == 2)
        connection.send_nowait(b"5")
        await until(lambda: seen.frames == [bytes(5)])
        assert [event for event in seen.events if event != "writable"] == ["connected", "disconnected", "connected"]

    play_zmq(scenario)


def test_a_service_that_is_no_peer_is_reported_and_tried_again(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"-ERR unknown command, this is a cache of another kind\r\n" * 3)
            await reader.read(1)
            writer.close()

        foreign = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = foreign.sockets[0].getsockname()[1]
        seen = Recorder()
        world.transport().connect(f"tcp://127.0.0.1:{port}", seen)
        await until(lambda: seen.told("disconnected") == 2)
        assert "handshake failed" in seen.reasons[0]
        assert "connected" not in seen.events
        foreign.close()
        await foreign.wait_closed()
        await listen_again(world.transport(), f"tcp://127.0.0.1:{port}", lambda peer, frame: None)
        await until(lambda: seen.told("connected"))

    play_zmq(scenario)


def test_a_killed_process_is_reported_quickly_and_its_queue_never_reaches_its_successor(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        seen = Recorder()
        async with echo_process() as (process, endpoint):
            connection = world.transport().connect(endpoint, seen)
            await until(lambda: connection.send_nowait(b"hello"))
            await until(lambda: seen.frames)
            # Hung: it takes frames until every buffer between us is full, and then they are refused, not waited for.
            os.kill(process.pid, signal.SIGSTOP)
            await fill(lambda: connection.send_nowait(bytes(100_000)))
            assert not seen.told("disconnected")
            with took_less_than(1.0):
                process.kill()
                await until(lambda: seen.told("disconnected"))
        got: list[bytes] = []
        await listen_again(world.transport(), endpoint, lambda peer, frame: got.append(frame))
        await until(lambda: seen.told("connected") == 2)
        connection.send_nowait(b"fresh")
        await until(lambda: got)
        assert got == [b"fresh"]

    play_zmq(scenario)


def test_a_hung_process_that_goes_on_makes_the_connection_writable_again(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        seen = Recorder()
        async with echo_process() as (process, endpoint):
            connection = world.transport().connect(endpoint, seen)
            await until(lambda: seen.told("connected"))
            os.kill(process.pid, signal.SIGSTOP)
            # Not more: on a busy machine to fill it took longer than a peer that does not beat is waited for.
            sent = await fill(lambda: connection.send_nowait(bytes(20_000)))
            assert not seen.told("writable")
            os.kill(process.pid, signal.SIGCONT)
            await until(lambda: seen.told("writable"))
            # All of it there and back: six seconds were seen on a machine that others share.
            await until(lambda: len(seen.frames) == sent, limit_s=60.0)
            assert connection.send_nowait(b"again")

    play_zmq(scenario)


def test_a_peer_that_does_not_read_is_bounded_in_bytes_and_the_others_are_served(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        serving, peers = world.transport(queued_bytes_per_peer=MIB), []
        listener = serving.listen(world.anywhere, lambda peer, frame: peers.append(peer))
        with foreign_socket(zmq.DEALER, listener.endpoint, RCVHWM=1) as slow:
            slow.send(b"ask")
            await until(lambda: peers)
            numbers = count()
            taken = await fill(lambda: listener.send_nowait(peers[0], b"%06d" % next(numbers) + bytes(60_000)))
            assert 0 < serving.statistics().queued_bytes <= MIB
            assert serving.statistics().dropped == {"peer slow": 1}
            peers.clear()

            seen = Recorder()
            connection = world.transport().connect(listener.endpoint, seen)
            await until(lambda: connection.send_nowait(b"ask"))
            await until(lambda: peers)
            assert listener.send_nowait(peers[0], b"served")
            await until(lambda: seen.frames == [b"served"])

            # It reads after all: everything that was taken is there, in order.
            got = [await asyncio.to_thread(slow.recv) for _ in range(taken)]
            assert [int(frame[:6]) for frame in got] == list(range(taken))
            await until(lambda: serving.statistics().queued_bytes == 0)

    play_zmq(scenario)


def test_what_waits_for_a_peer_that_leaves_is_dropped(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        serving, peers = world.transport(queued_bytes_per_peer=MIB), []
        listener = serving.listen(world.anywhere, lambda peer, frame: peers.append(peer))
        with foreign_socket(zmq.DEALER, listener.endpoint, RCVHWM=1) as slow:
            slow.send(b"ask")
            await until(lambda: peers)
            await fill(lambda: listener.send_nowait(peers[0], bytes(60_000)))
        await until(lambda: serving.statistics().queued_bytes == 0)
        assert serving.statistics().dropped["peer gone"] > 0

    play_zmq(scenario)


def test_a_burst_of_answers_longer_than_the_pipe_arrives_whole_and_in_order(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        def answer(peer: bytes, frame: bytes) -> None:
            for number in range(5000):
                assert listener.send_nowait(peer, b"%d" % number)

        seen = Recorder()
        listener = world.transport().listen(world.anywhere, answer)
        connection = world.transport().connect(listener.endpoint, seen)
        await until(lambda: connection.send_nowait(b"ask"))
        await until(lambda: len(seen.frames) == 5000)
        assert seen.frames == [b"%d" % number for number in range(5000)]

    play_zmq(scenario)


def test_busy_polling_answers_every_request_and_lets_the_loop_run(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        loop, ticks = asyncio.get_running_loop(), 0

        class Asker(Recorder):
            answered: asyncio.Future[None]

            def on_frame(self, frame: bytes) -> None:
                super().on_frame(frame)
                self.answered.set_result(None)

        asker = Asker()
        listener = echo(world.transport(), world.anywhere)
        connection = world.transport(busy_poll_s=0.0005).connect(listener.endpoint, asker)
        await until(lambda: asker.told("connected"))

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticker = asyncio.create_task(tick())
        for _ in range(1000):
            asker.answered = loop.create_future()
            assert connection.send_nowait(b"x")
            await asyncio.wait_for(asker.answered, 5)
        ticker.cancel()
        assert len(asker.frames) == 1000
        assert ticks > 1000

    play_zmq(scenario)


@pytest.mark.parametrize("address", ["tcp://localhost:0", "tcp://*:0", "tcp://0.0.0.0:0", "tcp://[::1]:0"])
def test_the_usual_ways_to_name_an_address_work(play_zmq: Play, address: str) -> None:
    if "[" in address:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")

    async def scenario(world: ZmqWorld) -> None:
        listener = echo(world.transport(), address)
        assert not listener.endpoint.endswith(":0")
        await assert_serves(world, listener.endpoint.replace("0.0.0.0", "127.0.0.1"))

    play_zmq(scenario)


def test_a_socket_file_works_like_a_port(play_zmq: Play, tmp_path_factory: pytest.TempPathFactory) -> None:
    endpoint = f"ipc://{tmp_path_factory.mktemp('s')}/node"

    async def scenario(world: ZmqWorld) -> None:
        await assert_serves(world, echo(world.transport(), endpoint).endpoint)

    play_zmq(scenario)


def test_a_socket_file_in_use_is_refused_and_one_left_behind_is_not(
    play_zmq: Play, tmp_path_factory: pytest.TempPathFactory
) -> None:
    endpoint = f"ipc://{tmp_path_factory.mktemp('s')}/node"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(endpoint.removeprefix("ipc://"))

    async def scenario(world: ZmqWorld) -> None:
        echo(world.transport(), endpoint)
        with pytest.raises(ConfigError, match=r"cannot listen on ipc://.*: Address already in use"):
            world.transport().listen(endpoint, lambda peer, frame: None)
        await assert_serves(world, endpoint)

    play_zmq(scenario)


def test_an_address_of_another_machine_cannot_be_listened_on(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        with pytest.raises(ConfigError, match=r"tcp://192\.0\.2\.1:7401: "):
            world.transport().listen("tcp://192.0.2.1:7401", lambda peer, frame: None)

    play_zmq(scenario)


def test_a_name_that_nobody_knows_is_a_failed_attempt(play_zmq: Play) -> None:
    async def scenario(world: ZmqWorld) -> None:
        seen = Recorder()
        world.transport().connect("tcp://no-such-host.invalid:7401", seen)
        await until(lambda: seen.told("disconnected"))

    play_zmq(scenario)


def test_four_hundred_connections_live_on_one_transport(play_zmq: Play) -> None:
    # libzmq's default of 1,023 sockets would end this at 340.
    async def scenario(world: ZmqWorld) -> None:
        listener, transport = echo(world.transport(), world.anywhere), world.transport()
        recorders = [Recorder() for _ in range(400)]
        connections = [transport.connect(listener.endpoint, recorder) for recorder in recorders]
        await until(lambda: transport.statistics().connections == 400)
        assert all(connection.send_nowait(b"x") for connection in connections)
        await until(lambda: all(recorder.frames for recorder in recorders))

    play_zmq(scenario)
