"""A memcached server through aiomcache, with a connection for each caller.

aiomcache has no time limits, and a request that is cancelled leaves its connection in the pool with the answer still to
come: the next request would take it for its own. So each connection is a client of its own here, with a pool of one; whoever
does not get an answer throws the client away with the connection. A limit around each request costs 5 us, of the 100
that it takes.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from ..errors import TargetRefused, TargetUnavailable
from .base import ABSENT, Answer, NodeCounters

if TYPE_CHECKING:
    from aiomcache import Client

T = TypeVar("T")

_LONGEST_RELATIVE_S: Final = (
    30 * 24 * 3600
)  # memcached's protocol.txt: what is longer is taken for a time of the Unix clock


class MemcachedTarget:
    """One server. ``open_client`` makes a client with one connection, which is opened by its first use."""

    def __init__(
        self,
        open_client: Callable[[], Client],
        *,
        connections: int,
        timeout_s: float,
        description: Mapping[str, str] | None = None,
    ) -> None:
        self._open_client = open_client
        self._idle = [open_client() for _ in range(connections)]
        self._free = asyncio.Semaphore(connections)
        self._timeout_s = timeout_s
        self._description = {"kind": "memcached", **(description or {})}

    @property
    def description(self) -> Mapping[str, str]:
        """The kind, and what the opener added (address, connections)."""
        return self._description

    async def read(self, key: str) -> Answer:
        """One ``get``. Raises what the client raises, and TimeoutError."""
        value = await self._ask(lambda client: client.get(key.encode()))
        return ABSENT if value is None else ("found", value)

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        """One ``gets`` of each key once: the client refuses duplicates."""
        if not keys:
            return []
        distinct = [key.encode() for key in dict.fromkeys(keys)]
        values = await self._ask(lambda client: client.multi_get(*distinct))
        found = dict(zip(dict.fromkeys(keys), values, strict=True))
        return [found[key] for key in keys]

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        """One ``set``. Lives are whole seconds there: a part of one counts as one."""
        expires = math.ceil(ttl_s)
        if expires > _LONGEST_RELATIVE_S:
            expires += int(time.time())
        await self._ask(lambda client: client.set(key.encode(), value, expires))

    async def delete(self, key: str) -> None:
        """One ``delete``."""
        await self._ask(lambda client: client.delete(key.encode()))

    async def counters(self) -> Mapping[str, NodeCounters]:
        """None: it loads nothing."""
        return {}

    async def ping(self) -> bytes:
        """The server's version."""
        return await self._ask(lambda client: client.version())

    async def aclose(self) -> None:
        """Close what is idle; what is in use is thrown away by its user."""
        for client in self._idle:
            await client.close()

    async def _ask(self, call: Callable[[Client], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s), self._free:
                client = self._idle.pop()
                try:
                    return await call(client)
                except BaseException:
                    # The answer may still come. The client's one connection is idle by now, and closed with it.
                    await client.close()
                    client = self._open_client()
                    raise
                finally:
                    self._idle.append(client)
        except TimeoutError:
            raise TimeoutError(f"memcached did not answer within {self._timeout_s:g} s") from None


@asynccontextmanager
async def open_memcached(
    host: str, port: int, *, timeout_s: float = 3.0, connections: int = 32
) -> AsyncIterator[MemcachedTarget]:
    """Connect, all ``connections`` at once so that no request pays for it. ``timeout_s`` is the deadline of each call.

    Raises `TargetUnavailable` when nobody answers there, and `TargetRefused` when it is no memcached or the package is
    not installed.
    """
    try:
        import aiomcache
        from aiomcache.exceptions import ClientException
    except ImportError as exc:
        raise TargetRefused(f"the package {exc.name} is not installed: pip install 'zmcache[bench]'") from exc
    address = f"{host}:{port}"
    target = MemcachedTarget(
        lambda: aiomcache.Client(host, port, pool_size=1),
        connections=connections,
        timeout_s=timeout_s,
        description={"address": address, "connections": str(connections)},
    )
    try:
        for outcome in await asyncio.gather(*(target.ping() for _ in range(connections)), return_exceptions=True):
            if isinstance(outcome, ClientException):
                raise TargetRefused(f"what answers at {address} is no memcached: {outcome}") from outcome
            if isinstance(outcome, BaseException):
                raise TargetUnavailable(f"no memcached answers at {address}: {outcome}") from outcome
        yield target
    finally:
        await target.aclose()
