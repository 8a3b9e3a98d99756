"""What every transport promises, asked of both twins on both event loops."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import warnings
from collections.abc import Callable

import pytest
from transport_worlds import Recorder, Scenario, World, echo, listen_again, until

from zmcache.errors import ConfigError, LifecycleError, ProtocolError

Play = Callable[[Scenario], None]
MIB = 1024 * 1024


def test_frames_arrive_whole_and_in_order_from_one_byte_to_the_largest(play: Play) -> None:
    async def scenario(world: World) -> None:
        seen = Recorder()
        listener = echo(world.transport(), world.anywhere)
        connection = world.transport().connect(listener.endpoint, seen)
        await until(lambda: seen.told("connected"))
        sent = [os.urandom(size) for size in (1, 2, 255, 256, 4096, 65_537, MIB, 8 * MIB, 0, 3)]
        for frame in sent:
            await until(lambda frame=frame: connection.send_nowait(frame))  # type: ignore[misc]
        await until(lambda: len(seen.frames) == len(sent))
        assert seen.frames == sent
        assert all(type(frame) is bytes for frame in seen.frames)

    play(scenario)


def test_thousand_frames_in_one_tick_are_all_answered_a_hundred_times_over(play: Play) -> None:
    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        listener = echo(world.transport(), world.anywhere)
        unsent: list[bytes] = []

        class Asker(Recorder):
            done: asyncio.Future[None]

            def on_writable(self) -> None:
                while unsent and connection.send_nowait(unsent[-1]):
                    unsent.pop()

            def on_frame(self, frame: bytes) -> None:
                super().on_frame(frame)
                if len(self.frames) == 1000:
                    self.done.set_result(None)

        asker = Asker()
        connection = world.transport().connect(listener.endpoint, asker)
        await until(lambda: asker.told("connected"))
        for turn in range(100):
            asker.frames, asker.done = [], loop.create_future()
            unsent[:] = [b"%d %d" % (turn, number) for number in range(1000)][::-1]
            asker.on_writable()
            await asyncio.wait_for(asker.done, 10)
            assert asker.frames == [b"%d %d" % (turn, number) for number in range(1000)]

    play(scenario)


def test_sends_made_late_and_in_many_ticks_lose_no_wakeup(play: Play) -> None:
    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        listener = world.transport().listen(
            world.anywhere, lambda peer, frame: loop.call_soon(listener.send_nowait, peer, frame) and None
        )
        seen = Recorder()
        connection = world.transport().connect(listener.endpoint, seen)
        await until(lambda: seen.told("connected"))
        for number in range(2000):
            assert connection.send_nowait(b"%d" % number)
            if number % 3 == 0:
                await asyncio.sleep(0)
            if number % 100 == 99:
                await until(lambda number=number: len(seen.frames) == number + 1)  # type: ignore[misc]
        assert seen.frames == [b"%d" % number for number in range(2000)]

    play(scenario)


def test_an_answer_goes_to_the_peer_that_asked(play: Play) -> None:
    async def scenario(world: World) -> None:
        listener, transport = echo(world.transport(), world.anywhere), world.transport()
        recorders = [Recorder() for _ in range(5)]
        connections = [transport.connect(listener.endpoint, recorder) for recorder in recorders]
        await until(lambda: all(recorder.told("connected") for recorder in recorders))
        for number, connection in enumerate(connections):
            connection.send_nowait(b"%d" % number)
        await until(lambda: all(recorder.frames for recorder in recorders))
        assert [recorder.frames for recorder in recorders] == [[b"%d" % number] for number in range(5)]

    play(scenario)


def test_a_listener_that_goes_is_reported_once_and_connected_to_again_when_it_is_back(play: Play) -> None:
    async def scenario(world: World) -> None:
        seen, serving = Recorder(), world.transport()
        first = echo(serving, world.anywhere)
        connection = world.transport().connect(first.endpoint, seen)
        await until(lambda: seen.told("connected") == 1)
        first.close()
        await until(lambda: seen.told("disconnected"))
        assert seen.events[:2] == ["connected", "disconnected"]
        assert first.endpoint in seen.reasons[0]
        assert not connection.send_nowait(b"nobody there")
        await listen_again(serving, first.endpoint, lambda peer, frame: None)
        await until(lambda: seen.told("connected") == 2)
        assert connection.send_nowait(b"hello")

    play(scenario)


def test_a_request_to_a_peer_that_is_down_is_not_delivered_when_it_comes_back(play: Play) -> None:
    async def scenario(world: World) -> None:
        seen, serving = Recorder(), world.transport()
        first = serving.listen(world.anywhere, lambda peer, frame: None)
        connection = world.transport().connect(first.endpoint, seen)
        await until(lambda: seen.told("connected"))
        first.close()
        # Some of these may still be taken, as long as the loss is not known; none of them may arrive.
        while not seen.told("disconnected"):
            connection.send_nowait(b"stale")
            await asyncio.sleep(0)
        assert not any(connection.send_nowait(b"stale") for _ in range(1000))
        got: list[bytes] = []
        await listen_again(serving, first.endpoint, lambda peer, frame: got.append(frame))
        await until(lambda: seen.told("connected") == 2)
        assert connection.send_nowait(b"fresh")
        await until(lambda: got)
        assert got == [b"fresh"]

    play(scenario)


def test_the_first_failed_attempt_is_reported_and_trying_goes_on(play: Play) -> None:
    async def scenario(world: World) -> None:
        serving, seen, endpoint = world.transport(), Recorder(), world.unused_endpoint()
        connection = world.transport().connect(endpoint, seen)
        assert not connection.send_nowait(b"too early")
        await until(lambda: seen.told("disconnected"))
        assert not seen.told("connected")
        serving.listen(endpoint, lambda peer, frame: None)
        await until(lambda: seen.told("writable"))
        assert seen.events.index("connected") < seen.events.index("writable")
        assert connection.send_nowait(b"now")

    play(scenario)


def test_an_answer_to_a_peer_that_is_gone_is_dropped_and_counted(play: Play) -> None:
    async def scenario(world: World) -> None:
        peers: list[bytes] = []
        seen, serving = Recorder(), world.transport()
        listener = serving.listen(world.anywhere, lambda peer, frame: peers.append(peer))
        connection = world.transport().connect(listener.endpoint, seen)
        await until(lambda: connection.send_nowait(b"ask"))
        await until(lambda: peers)
        connection.close()
        await until(lambda: not listener.send_nowait(peers[0], b"late"))
        assert serving.statistics().dropped["peer gone"] == 1
        assert not listener.send_nowait(b"never heard of", b"x")

    play(scenario)


def test_nothing_is_called_after_close_and_close_may_be_called_twice(play: Play) -> None:
    async def scenario(world: World) -> None:
        class Closer(Recorder):
            def on_frame(self, frame: bytes) -> None:
                super().on_frame(frame)
                connection.close()
                connection.close()

        closer, other, transport = Closer(), Recorder(), world.transport()
        serving = world.transport()
        listener = echo(serving, world.anywhere)
        connection = transport.connect(listener.endpoint, closer)
        beside = transport.connect(listener.endpoint, other)
        await until(lambda: closer.told("connected") and other.told("connected"))
        for _ in range(100):
            connection.send_nowait(b"x")
        await until(lambda: closer.frames)
        beside.send_nowait(b"y")
        await until(lambda: other.frames)
        listener.close()
        listener.close()
        await until(lambda: other.told("disconnected"))
        assert closer.events == ["connected"]
        assert len(closer.frames) == 1
        assert not connection.send_nowait(b"closed")
        assert not listener.send_nowait(b"anyone", b"closed")
        transport.close()
        transport.close()
        with pytest.raises(LifecycleError):
            transport.connect(listener.endpoint, other)

    play(scenario)


def test_what_was_answered_before_close_still_arrives(play: Play) -> None:
    async def scenario(world: World) -> None:
        serving, seen = world.transport(), Recorder()

        def answer_and_leave(peer: bytes, frame: bytes) -> None:
            for number in range(100):
                listener.send_nowait(peer, b"%d" % number)
            serving.close()

        listener = serving.listen(world.anywhere, answer_and_leave)
        connection = world.transport().connect(listener.endpoint, seen)
        await until(lambda: seen.told("connected"))
        connection.send_nowait(b"ask")
        await until(lambda: seen.told("disconnected"))
        assert len(seen.frames) == 100

    play(scenario)


def test_a_handler_that_raises_stops_nothing(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        def raising(peer: bytes, frame: bytes) -> None:
            listener.send_nowait(peer, frame)
            raise RuntimeError("listener's handler")

        class Raising(Recorder):
            def on_connected(self) -> None:
                super().on_connected()
                raise RuntimeError("connected")

            def on_frame(self, frame: bytes) -> None:
                super().on_frame(frame)
                raise RuntimeError("frame")

        seen = Raising()
        listener = world.transport().listen(world.anywhere, raising)
        connection = world.transport().connect(listener.endpoint, seen)
        await until(lambda: seen.told("connected"))
        for _ in range(10):
            connection.send_nowait(b"x")
        await until(lambda: len(seen.frames) == 10)

    with caplog.at_level(logging.WARNING):
        play(scenario)
    # One line a kind and module, not one a frame.
    assert len(caplog.records) <= 4


def test_an_address_in_use_is_one_clear_line(play: Play) -> None:
    async def scenario(world: World) -> None:
        listener = echo(world.transport(), world.anywhere)
        with pytest.raises(ConfigError) as caught:
            world.transport().listen(listener.endpoint, lambda peer, frame: None)
        assert listener.endpoint in str(caught.value)
        assert "in use" in str(caught.value)
        assert "\n" not in str(caught.value)

    play(scenario)


def test_two_listeners_anywhere_get_addresses_of_their_own(play: Play) -> None:
    async def scenario(world: World) -> None:
        transport = world.transport()
        endpoints = {echo(transport, world.anywhere).endpoint for _ in range(3)}
        assert len(endpoints) == 3
        assert world.anywhere not in endpoints

    play(scenario)


@pytest.mark.parametrize("endpoint", ["", "nonsense", "http://127.0.0.1:80", "tcp://:1", "tcp://host:99999", "mem:/x"])
def test_an_endpoint_that_is_none_is_refused(play: Play, endpoint: str) -> None:
    async def scenario(world: World) -> None:
        transport = world.transport()
        with pytest.raises(ConfigError, match="expected"):
            transport.connect(endpoint, Recorder())
        with pytest.raises(ConfigError, match="expected"):
            transport.listen(endpoint, lambda peer, frame: None)

    play(scenario)


def test_a_frame_over_the_limit_is_refused_before_it_costs_the_connection(play: Play) -> None:
    async def scenario(world: World) -> None:
        peers: list[bytes] = []
        serving, seen = world.transport(max_message_bytes=1000), Recorder()
        listener = serving.listen(world.anywhere, lambda peer, frame: peers.append(peer))
        connection = world.transport(max_message_bytes=1000).connect(listener.endpoint, seen)
        await until(lambda: seen.told("connected"))
        with pytest.raises(ProtocolError, match="1001 bytes"):
            connection.send_nowait(bytes(1001))
        assert connection.send_nowait(bytes(1000))
        await until(lambda: peers)
        assert not listener.send_nowait(peers[0], bytes(1001))
        assert listener.send_nowait(peers[0], bytes(1000))
        await until(lambda: seen.frames)
        assert serving.statistics().dropped == {"oversize": 1}

    play(scenario)


def test_statistics_tell_what_passed_and_what_stands(play: Play) -> None:
    async def scenario(world: World) -> None:
        serving, asking, seen = world.transport(), world.transport(), Recorder()
        connection = asking.connect(echo(serving, world.anywhere).endpoint, seen)
        await until(lambda: seen.told("connected"))
        for _ in range(3):
            connection.send_nowait(b"x")
        await until(lambda: len(seen.frames) == 3)
        for figures in (serving.statistics(), asking.statistics()):
            assert (figures.frames_in, figures.frames_out, figures.queued_bytes) == (3, 3, 0)
        assert (serving.statistics().listeners, asking.statistics().connections) == (1, 1)
        connection.close()
        assert asking.statistics().connections == 0

    play(scenario)


def test_another_loop_another_thread_and_a_forked_child_get_a_clear_error(play: Play) -> None:
    async def scenario(world: World) -> None:
        transport, outcomes = world.transport(), []

        async def misuse() -> None:
            for call in (lambda: transport.connect("tcp://127.0.0.1:1", Recorder()), transport.close):
                try:
                    call()
                except LifecycleError as exc:
                    outcomes.append(str(exc))

        thread = threading.Thread(target=lambda: asyncio.run(misuse()))
        thread.start()
        thread.join()
        assert len(outcomes) == 2
        assert all("another event loop" in text for text in outcomes)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            try:
                transport.connect("tcp://127.0.0.1:1", Recorder())
            except LifecycleError:
                os._exit(7)
            finally:
                os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 7

    play(scenario)


def test_a_transport_made_outside_a_loop_is_refused(play: Play) -> None:
    made: list[World] = []

    async def scenario(world: World) -> None:
        made.append(world)

    play(scenario)
    with pytest.raises(LifecycleError):
        made[0].transport()
