"""The relay passes what it should, holds back what it is told to, and does its wrongs by its seed."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from eventually import eventually

from faults.proxy import CLIENT, Relays, Wrongs, garbled, owner_of_port


@asynccontextmanager
async def relayed(
    seed: int = 1,
) -> AsyncIterator[
    tuple[Relays, Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]], bytearray]
]:
    """A relay in front of a node that keeps what it gets and says it back; how to connect to it; what it got."""
    relays, got = Relays(seed), bytearray()
    await relays.open("")
    place = await relays.place("a")
    writers: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while chunk := await reader.read(4096):
            got.extend(chunk)
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(echo, *place.listen.removeprefix("tcp://").split(":"))

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*place.address.split(":"))
        writers.append(writer)
        return reader, writer

    try:
        yield relays, connect, got
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await relays.close()


def test_a_relay_passes_both_ways() -> None:
    async def main() -> None:
        async with relayed() as (_, connect, got):
            reader, writer = await connect()
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            assert got == b"hello"

    asyncio.run(main())


def test_one_direction_is_cut_and_what_was_held_back_comes_when_it_is_healed() -> None:
    async def main() -> None:
        async with relayed() as (relays, connect, got):
            reader, writer = await connect()
            writer.write(b"before")
            await reader.readexactly(6)
            await relays.cut("a", CLIENT)
            writer.write(b"after")
            await eventually(lambda: got == b"beforeafter")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.readexactly(5)
            await relays.heal()
            assert await reader.readexactly(5) == b"after"

    asyncio.run(main())


def test_the_other_direction_is_cut_for_new_connections_too() -> None:
    async def main() -> None:
        async with relayed() as (relays, connect, got):
            await relays.cut(CLIENT, "a")
            reader, writer = await connect()
            writer.write(b"hello")
            await asyncio.sleep(0.05)
            assert got == b""
            await relays.heal()
            assert await reader.readexactly(5) == b"hello"

    asyncio.run(main())


def test_who_connects_is_known_by_its_process() -> None:
    async def main() -> None:
        async with relayed() as (_, connect, _got):
            _, writer = await connect()
            port = writer.get_extra_info("sockname")[1]
            assert owner_of_port(port, {"other": 1 << 22, "me": os.getpid()}) == "me"
            assert owner_of_port(port, {"other": 1 << 22}) is None

    asyncio.run(main())


def test_what_is_halved_ends_the_connection() -> None:
    async def main() -> None:
        async with relayed() as (relays, connect, got):
            relays.wrongs["a"] = Wrongs(halve=1.0)
            reader, writer = await connect()
            writer.write(b"0123456789")
            assert await reader.read() == b""
            assert got == b"01234"

    asyncio.run(main())


def test_a_slow_reader_is_slow() -> None:
    async def main() -> None:
        async with relayed() as (relays, connect, got):
            relays.wrongs["a"] = Wrongs(rate=20_000.0)
            _, writer = await connect()
            began_s = asyncio.get_running_loop().time()
            writer.write(bytes(4096))
            await eventually(lambda: len(got) == 4096)
            assert asyncio.get_running_loop().time() - began_s > 3072 / 20_000

    asyncio.run(main())


def test_garbling_changes_few_bytes_and_goes_by_its_seed() -> None:
    chunk = bytes(1000)
    spoilt = garbled(chunk, random.Random(3))
    assert spoilt == garbled(chunk, random.Random(3))
    assert 1 <= sum(map(bool, spoilt)) <= 8
    assert len(spoilt) == 1000
