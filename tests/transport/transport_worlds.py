"""What the transport tests share: the twins behind one face, a handler that remembers, and waiting for a condition."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol

from processes import free_port

from zmcache.errors import ConfigError
from zmcache.transport.base import Listener, Transport
from zmcache.transport.memory import MemoryNetwork, MemoryTransport
from zmcache.transport.zeromq import ZmqTransport

Scenario = Callable[["World"], Coroutine[Any, Any, None]]


async def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.001)


class Recorder:
    """A connection's handler that remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.reasons: list[str] = []
        self.frames: list[bytes] = []

    def on_connected(self) -> None:
        self.events.append("connected")

    def on_disconnected(self, reason: str) -> None:
        self.events.append("disconnected")
        self.reasons.append(reason)

    def on_writable(self) -> None:
        self.events.append("writable")

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)

    def told(self, event: str) -> int:
        return self.events.count(event)


class World(Protocol):
    """Makes transports that reach each other, and closes them."""

    anywhere: str
    """An endpoint that lets the system choose."""

    def transport(self, **settings: Any) -> Transport: ...

    def unused_endpoint(self) -> str:
        """An endpoint at which nobody listens now."""

    def close(self) -> None: ...


class MemoryWorld:
    anywhere = "mem://"

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self._made: list[MemoryTransport] = []

    def unused_endpoint(self) -> str:
        return "mem://nobody"

    def transport(self, **settings: Any) -> MemoryTransport:
        self._made.append(MemoryTransport(self.network, **settings))
        return self._made[-1]

    def close(self) -> None:
        for made in self._made:
            made.close()


class ZmqWorld:
    anywhere = "tcp://127.0.0.1:0"

    def __init__(self) -> None:
        self._made: list[ZmqTransport] = []

    def unused_endpoint(self) -> str:
        return f"tcp://127.0.0.1:{free_port()}"

    def transport(self, **settings: Any) -> ZmqTransport:
        self._made.append(ZmqTransport(**settings))
        return self._made[-1]

    def close(self) -> None:
        for made in self._made:
            made.close()


async def listen_again(transport: Transport, endpoint: str, on_frame: Callable[[bytes, bytes], None]) -> Listener:
    """Listen where somebody just stopped listening: the system takes a moment to give the port back."""
    made: list[Listener] = []

    def attempt() -> bool:
        try:
            made.append(transport.listen(endpoint, on_frame))
        except ConfigError:
            return False
        return True

    await until(attempt)
    return made[0]


def echo(transport: Transport, endpoint: str) -> Listener:
    listener = transport.listen(endpoint, lambda peer, frame: listener.send_nowait(peer, frame) and None)
    return listener


ECHO_PROCESS = """
import asyncio, sys
from zmcache.transport.zeromq import ZmqTransport
async def main():
    transport = ZmqTransport()
    listener = transport.listen("tcp://127.0.0.1:0", lambda peer, frame: listener.send_nowait(peer, frame) and None)
    print(listener.endpoint, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@asynccontextmanager
async def echo_process() -> AsyncIterator[tuple[subprocess.Popen[str], str]]:
    """A process that echoes, and where it listens."""
    process = await asyncio.to_thread(
        subprocess.Popen, [sys.executable, "-c", ECHO_PROCESS], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        endpoint = await asyncio.to_thread(process.stdout.readline)
        yield process, endpoint.strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
