"""Against a real node, over real sockets: what the generator reports is what the node and its loader saw."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from zmcache_loadgen import Synthetic, TargetRefused, TargetUnavailable, TraceWorkload, open_zmcache, run

import zmcache

CONFIG = """
node: {id: only, listen: "tcp://127.0.0.1:0", drain_timeout: 1s}
groups:
  items: {budget: 16MiB, loader: {import: "zmcache.examples:echo", batch: true}}
"""


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """A node, and where it answers."""
    path = folder / "node.yaml"
    path.write_text(CONFIG)
    node = zmcache.Node.from_yaml(path)
    await node.start()
    try:
        yield node.member.endpoint.removeprefix("tcp://")
    finally:
        await node.stop()


@pytest.mark.parametrize("route", ["owner", "any"])
def test_a_replay_loads_each_distinct_key_once(tmp_path: Path, route: str) -> None:
    keys = [number * number % 997 for number in range(5000)]
    trace = tmp_path / "t.trace"
    trace.write_bytes(struct.pack(f">{len(keys)}I", *keys))

    async def measure() -> None:
        async with serving(tmp_path) as address, open_zmcache(address, "items", route=route) as target:
            result = await run(target, TraceWorkload(path=trace), callers=32)
        assert (result.requests, result.errors, result.partial) == (5000, (), None)
        assert result.loads == result.distinct_keys == len(set(keys))
        assert result.loads_exact
        assert result.hits + result.outcomes["load"] == 5000
        # callers of one key at one moment share one request, so the node may see fewer than were asked
        assert 0 < result.nodes["only"].requests <= 5000
        assert result.nodes["only"].state == "stayed"

    uvloop.run(measure())


def test_writes_are_stored_and_keys_that_do_not_exist_are_absent(tmp_path: Path) -> None:
    async def measure() -> None:
        async with serving(tmp_path) as address, open_zmcache(address, "items") as target:
            written = await run(target, Synthetic(keys=20, writes=1.0, value_bytes=(1, 300)), requests=200, callers=4)
            assert (written.outcomes["written"], written.loads, written.errors) == (200, 0, ())
            read = await run(target, Synthetic(keys=20), requests=200, callers=4)
            assert (read.hit_ratio, read.loads) == (1.0, 0)
            absent = await run(target, Synthetic(keys=20, prefix="absent:"), requests=200, callers=4)
            assert (absent.outcomes["absent"], absent.errors) == (200, ())

    uvloop.run(measure())


def test_a_group_that_does_not_exist_refuses_the_run(tmp_path: Path) -> None:
    async def measure() -> None:
        async with serving(tmp_path) as address, open_zmcache(address, "nothing") as target:
            with pytest.raises(TargetRefused, match="nothing"):
                await run(target, Synthetic(), duration_s=60)

    uvloop.run(measure())


def test_nobody_there_is_one_line_with_the_address() -> None:
    async def enter() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with pytest.raises(TargetUnavailable, match=f"127.0.0.1:{port}"):
            async with open_zmcache(f"127.0.0.1:{port}", "items"):
                pass

    uvloop.run(enter())
