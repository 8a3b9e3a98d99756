"""The levers of the twin's network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from transport_worlds import MemoryWorld, Recorder, Scenario, echo, until

Play = Callable[[Scenario], None]
ENDPOINT = "mem://node"


def test_cut_looks_like_a_dead_process_and_heal_like_its_return(play_memory: Play) -> None:
    async def scenario(world: MemoryWorld) -> None:
        seen, got = Recorder(), []
        world.transport().listen(ENDPOINT, lambda peer, frame: got.append(frame))
        connection = world.transport().connect(ENDPOINT, seen)
        await until(lambda: seen.told("connected"))
        connection.send_nowait(b"on the way")
        world.network.cut(ENDPOINT)
        assert not connection.send_nowait(b"stale")
        await until(lambda: seen.told("disconnected"))
        late = Recorder()
        world.transport().connect(ENDPOINT, late)
        await until(lambda: late.told("disconnected"))
        world.network.heal(ENDPOINT)
        await until(lambda: late.told("connected") and seen.told("connected") == 2)
        connection.send_nowait(b"fresh")
        await until(lambda: got)
        assert got == [b"fresh"]

    play_memory(scenario)


def test_pause_looks_like_a_hung_process_with_bounded_buffers(play_memory: Play) -> None:
    async def scenario(world: MemoryWorld) -> None:
        seen = Recorder()
        echo(world.transport(), ENDPOINT)
        connection = world.transport(max_message_bytes=1000).connect(ENDPOINT, seen)
        await until(lambda: seen.told("connected"))
        world.network.pause(ENDPOINT)
        assert sum(connection.send_nowait(bytes(100)) for _ in range(100)) == 10
        for _ in range(20):
            await asyncio.sleep(0)
        assert seen.events == ["connected"]
        assert not seen.frames
        world.network.resume(ENDPOINT)
        await until(lambda: len(seen.frames) == 10)
        assert seen.events == ["connected", "writable"]

    play_memory(scenario)


def test_answers_made_while_paused_are_bounded_and_come_out_after_it(play_memory: Play) -> None:
    async def scenario(world: MemoryWorld) -> None:
        seen, peers = Recorder(), []
        serving = world.transport(queued_bytes_per_peer=1000)
        listener = serving.listen(ENDPOINT, lambda peer, frame: peers.append(peer))
        connection = world.transport().connect(ENDPOINT, seen)
        await until(lambda: connection.send_nowait(b"ask"))
        await until(lambda: peers)
        world.network.pause(ENDPOINT)
        assert sum(listener.send_nowait(peers[0], bytes(100)) for _ in range(100)) == 10
        assert serving.statistics().queued_bytes == 1000
        assert serving.statistics().dropped == {"peer slow": 90}
        world.network.resume(ENDPOINT)
        await until(lambda: len(seen.frames) == 10)

    play_memory(scenario)


def test_nothing_is_called_from_inside_a_call(play_memory: Play) -> None:
    async def scenario(world: MemoryWorld) -> None:
        seen = Recorder()
        listener = echo(world.transport(), ENDPOINT)
        connection = world.transport().connect(ENDPOINT, seen)
        assert seen.events == []
        await until(lambda: seen.told("connected"))
        connection.send_nowait(b"x")
        assert seen.frames == []
        await until(lambda: seen.frames)
        listener.close()
        assert seen.events == ["connected"]

    play_memory(scenario)
