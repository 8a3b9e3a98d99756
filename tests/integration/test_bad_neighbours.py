"""One who asks wrongly harms nobody else: neither the callers beside them in the same turn, nor the node, nor the others' connections."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

import zmcache
from zmcache.core import wire

CONFIG = """
node: {id: only, listen: "tcp://127.0.0.1:0", drain_timeout: 1s}
limits: {LIMITS}
groups:
  items: {budget: 16MiB, loader: {import: "zmcache.examples:echo", batch: true}}
"""


@asynccontextmanager
async def serving(folder: Path, limits: str = "") -> AsyncIterator[str]:
    """A node on this loop, and where it answers."""
    file = folder / "node.yaml"
    file.write_text(CONFIG.replace("LIMITS", limits))
    async with zmcache.Node.from_yaml(file) as node:
        yield node.member.endpoint.removeprefix("tcp://")


TIMEOUTS = {
    "max": sys.float_info.max,
    "400 digits": 10**400,
    "5000 digits": 10**5000,
    "inf": float("inf"),
    "nan": float("nan"),
}


@pytest.mark.parametrize("timeout", TIMEOUTS.values(), ids=TIMEOUTS)
def test_a_timeout_that_no_clock_can_hold_fails_its_own_call_alone(tmp_path: Path, timeout: float) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as address, zmcache.connect(address) as client:
            items = client.group("items")
            bad, good = await asyncio.gather(items.get("a", timeout=timeout), items.get("b"), return_exceptions=True)
            assert isinstance(bad, zmcache.RequestError)
            assert isinstance(good, bytes)
            assert await items.get("a") is not None
            with pytest.raises(zmcache.InvalidTtl):
                await items.set("a", b"x", ttl=timeout)

    asyncio.run(ask())


@pytest.mark.parametrize("name", ["\ud800", "", object(), 5])
def test_a_group_that_no_frame_can_name_is_refused_where_it_is_named(tmp_path: Path, name: Any) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as address, zmcache.connect(address) as client:
            with pytest.raises(zmcache.UnknownGroup):
                client.group(name)

    asyncio.run(ask())


def test_a_client_that_is_closed_from_another_loop_says_so_and_goes_on(tmp_path: Path) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as address, zmcache.connect(address) as client:
            items = client.group("items")

            def elsewhere() -> None:
                with pytest.raises(zmcache.LifecycleError):
                    asyncio.run(client.aclose())

            await asyncio.to_thread(elsewhere)
            assert await items.get("a") is not None

    asyncio.run(ask())


def test_keys_so_long_that_a_thousand_fill_no_message_are_asked_for_in_several(tmp_path: Path) -> None:
    async def ask() -> None:
        limits = zmcache.Limits(key_bytes=16_384)
        async with serving(tmp_path, "key: 16KiB") as address, zmcache.connect(address, limits=limits) as client:
            items = client.group("items")
            keys = [f"{number:015000d}" for number in range(1000)]
            found = await items.get_many(keys, timeout=20)
            assert list(found) == keys
            assert all(await asyncio.gather(*(items.get(f"{number:016000d}", timeout=20) for number in range(600))))

    asyncio.run(ask())


def _nested(columns: int, rows: int, element: bytes) -> bytes:
    return b"\xdc" + columns.to_bytes(2, "big") + (b"\xdc" + rows.to_bytes(2, "big") + element * rows) * columns


@pytest.mark.parametrize("element", [b"\x90", b"\x80"], ids=["lists", "maps"])
def test_millions_of_empty_things_in_one_frame_are_refused_in_no_time(element: bytes) -> None:
    frame = _nested(120, 65_535, element)
    began_s = time.process_time()
    with pytest.raises(wire.BadFrame):
        wire.decode(frame, wire.Limits())
    assert time.process_time() - began_s < 0.2  # a second and more, as they were read


def test_a_version_nested_a_thousand_deep_is_a_bad_frame() -> None:
    deep: Any = 1
    for _ in range(450):
        deep = [deep]
    fields = [deep, 1, 7, 0, 0, 0, 0, "items"]
    with pytest.raises(wire.BadFrame):
        wire.decode(wire.sealed(msgpack.packb(fields)), wire.Limits())


def test_a_message_of_very_many_parts_is_thrown_away_while_others_are_served(tmp_path: Path) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as address, zmcache.connect(address) as client:
            items = client.group("items")
            assert await items.get("a") is not None
            context = zmq.Context()
            socket = context.socket(zmq.DEALER)
            try:
                socket.linger = 0
                socket.connect(f"tcp://{address}")
                await asyncio.to_thread(socket.send_multipart, [b""] * 100_000)
                answers = [await items.get(f"k{number}") for number in range(200)]
                assert all(answers)
                # and that connection itself is served again after it
                request = wire.Query(*wire.header(wire.PING, 9, zmcache.Epoch(0, 0)))
                socket.send(wire.encode(request))
                assert await asyncio.to_thread(socket.poll, 5000)
                pong = wire.decode(socket.recv(), wire.Limits())
                assert (pong.kind, pong.request_id) == (wire.PONG, 9)
            finally:
                socket.close()
                context.term()

    asyncio.run(ask())
