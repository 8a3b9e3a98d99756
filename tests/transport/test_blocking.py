"""Connections for threads that wait: one thread at a time, one connection of TCP, and closing at any moment."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from transport_worlds import until

from zmcache.errors import ConfigError, LifecycleError, ProtocolError
from zmcache.transport.base import BlockingConnection, Listener
from zmcache.transport.memory import MemoryNetwork, MemoryTransport
from zmcache.transport.zeromq import ZmqTransport


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[ZmqTransport, Listener, BlockingConnection]]:
    """A listener that echoes, and a connection to it that is ready, made by another transport."""
    server, client = ZmqTransport(), ZmqTransport(max_message_bytes=1000)
    try:
        listener = server.listen(
            "tcp://127.0.0.1:0", lambda peer, frame: frame == b"quiet" or listener.send_nowait(peer, frame)
        )
        connection = client.connect_blocking(listener.endpoint)
        assert connection.hold_nowait()
        await until(connection.is_connected)
        connection.let_go()
        yield client, listener, connection
    finally:
        client.close()
        server.close()


def ask(connection: BlockingConnection, frame: bytes) -> bytes | None:
    """In a thread; several slices, if need be."""
    assert connection.hold_nowait()
    try:
        assert connection.send_nowait(frame)
        for _ in range(100):
            if (answer := connection.receive()) is not None or not connection.is_connected():
                return answer
        return None
    finally:
        connection.let_go()


def test_any_thread_may_use_it_and_only_one_at_a_time() -> None:
    async def play() -> None:
        async with echoing() as (_, _, connection):
            for n in range(3):
                assert await asyncio.to_thread(ask, connection, b"%d" % n) == b"%d" % n
            assert connection.hold_nowait()
            assert not await asyncio.to_thread(connection.hold_nowait)
            connection.let_go()
            assert connection.hold_nowait()
            with pytest.raises(ProtocolError):
                connection.send_nowait(bytes(1001))
            connection.let_go()

    asyncio.run(play())


def test_waiting_comes_to_an_end_where_nothing_comes() -> None:
    async def play() -> None:
        async with echoing() as (_, _, connection):
            connection.hold_nowait()
            connection.send_nowait(b"quiet")
            began_s = time.monotonic()
            assert connection.receive() is None
            assert 0.01 < time.monotonic() - began_s < 1
            assert connection.is_connected()
            connection.let_go()

    asyncio.run(play())


def test_before_and_after_its_connection_it_refuses_and_is_not_made_again() -> None:
    async def play() -> None:
        async with echoing() as (client, listener, connection):
            nobody = client.connect_blocking("tcp://127.0.0.1:1")
            assert nobody.hold_nowait()
            assert not nobody.send_nowait(b"x")
            endpoint = listener.endpoint
            listener.close()
            connection.hold_nowait()
            await until(lambda: not connection.is_connected())
            assert not connection.send_nowait(b"x")
            again = ZmqTransport()
            async with asyncio.timeout(10):
                while True:
                    try:
                        again.listen(endpoint, lambda peer, frame: None)
                        break
                    except ConfigError:
                        await asyncio.sleep(0.02)
            other = client.connect_blocking(endpoint)
            other.hold_nowait()
            await until(other.is_connected)
            assert not connection.is_connected()
            for held in (connection, other, nobody):
                held.let_go()
            again.close()

    asyncio.run(play())


@pytest.mark.parametrize("who", ["the connection", "its transport"])
def test_closing_ends_a_wait_and_whoever_holds_it_closes_it(who: str) -> None:
    async def play() -> None:
        async with echoing() as (client, _, connection):
            waiting = asyncio.create_task(asyncio.to_thread(ask, connection, b"quiet"))
            await until(lambda: not _free(connection))
            connection.close() if who == "the connection" else client.close()
            async with asyncio.timeout(5):
                assert await waiting is None
            assert not connection.hold_nowait()
            connection.close()
        # The transport waits for all of its sockets: it would for ever, for one that nobody closes.
        await until(lambda: not any(thread.name == "zmcache-transport-close" for thread in threading.enumerate()))

    asyncio.run(play())


def _free(connection: BlockingConnection) -> bool:
    free = connection.hold_nowait()
    if free:
        connection.let_go()
    return free


def test_a_closed_transport_and_a_wrong_endpoint_are_told() -> None:
    async def play() -> None:
        transport = ZmqTransport()
        with pytest.raises(ConfigError):
            transport.connect_blocking("mem://x")
        transport.close()
        with pytest.raises(LifecycleError):
            transport.connect_blocking("tcp://127.0.0.1:1")

    asyncio.run(play())


def test_the_twin_in_memory_has_none() -> None:
    async def play() -> None:
        transport = MemoryTransport(MemoryNetwork())
        listener = transport.listen("mem://", lambda peer, frame: None)
        assert transport.connect_blocking(listener.endpoint) is None  # type: ignore[func-returns-value]
        transport.close()

    asyncio.run(play())
