"""A listener that says what a test tells it to: for everything that a correct node would not do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from zmcache.cache import CacheGroup
from zmcache.client import Client, make_client
from zmcache.core import wire
from zmcache.core.ring import Member, Ring
from zmcache.core.wire import Limits
from zmcache.transport.memory import MemoryNetwork, MemoryTransport

Handler = Callable[[bytes, Any], None]


class FakeNode:
    """Answers TOPOLOGY with itself (or ``members``) and PING with a pong; a GET, SET or DELETE is ``handle``'s, or kept in ``requests``."""

    def __init__(self, network: MemoryNetwork, name: str = "fake", *, members: list[Member] | None = None) -> None:
        self.members = members if members is not None else [Member(name, f"mem://{name}")]
        self.revision = 1
        self.requests: list[tuple[bytes, Any]] = []
        self.queries = 0
        self.handle: Handler = lambda peer, request: None
        self.topology: Callable[[bytes, int], None] = self.send_members
        self.pong: Callable[[bytes, int], None] = self.send_pong
        self._listener = MemoryTransport(network).listen(f"mem://{name}", self._on_frame)

    @property
    def header(self) -> tuple[int, int]:
        """Revision and digest of the ring of ``members``."""
        return Ring.build(self.members, self.revision).epoch if self.members else (self.revision, 0)

    def send(self, peer: bytes, frame: bytes) -> None:
        """Any bytes at all."""
        self._listener.send_nowait(peer, frame)

    def send_members(self, peer: bytes, request_id: int) -> None:
        """The answer to TOPOLOGY."""
        head = (wire.VERSION, wire.MEMBERS, request_id, 0, *self.header, 0, "")
        columns = list(zip(*[member[:5] for member in self.members], strict=True)) or [()] * 5
        self.send(peer, wire.encode(wire.Members(*head, *map(list, columns))))

    def send_pong(self, peer: bytes, request_id: int) -> None:
        """The answer to PING."""
        self.send(peer, wire.encode(wire.Query(wire.VERSION, wire.PONG, request_id, 0, *self.header, 0, "")))

    def answer(
        self, peer: bytes, request_id: int, *rows: Any, positions: list[int] | None = None, **changes: Any
    ) -> None:
        """An ANSWER whose rows are values (found at the owner), or (status, value) pairs."""
        pairs = [row if isinstance(row, tuple) else (wire.FROM_OWNER, row) for row in rows]
        answer = wire.Answer(
            *(wire.VERSION, wire.ANSWER, request_id, 0, *self.header, 0, ""),
            positions, bytes(status for status, _ in pairs), [value for _, value in pairs], [wire.FOREVER] * len(pairs),
        )  # fmt: skip
        self.send(peer, wire.encode(answer._replace(**changes)))

    def echo(self, peer: bytes, request: Any) -> None:
        """A ``handle`` that gives each key its own name as a value."""
        self.answer(peer, request.request_id, *[key.encode() for key in request.keys])

    def _on_frame(self, peer: bytes, frame: bytes) -> None:
        request = wire.decode(frame, Limits())
        if request.kind == wire.PING:
            self.pong(peer, request.request_id)
        elif request.kind == wire.TOPOLOGY:
            self.queries += 1
            self.topology(peer, request.request_id)
        else:
            self.requests.append((peer, request))
            self.handle(peer, request)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()


@contextlib.asynccontextmanager
async def connected(network: MemoryNetwork, address: str = "mem://fake", **options: Any) -> AsyncIterator[Client]:
    """A client of that address; at the end no error may be left that nobody looked at."""
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    async with make_client(address, lambda: MemoryTransport(network), **options) as client:
        yield client
    gc.collect()  # errors that nobody looked at are told of when their futures are collected
    assert not seen, seen


def fake_test(test: Callable[[FakeNode, CacheGroup[bytes]], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run ``test`` with an echoing fake node and a client's group."""

    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)
        fake.handle = fake.echo
        async with connected(network, **options) as client:
            await test(fake, client.group("items"))

    asyncio.run(main())
