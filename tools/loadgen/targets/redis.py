"""A redis server through redis.asyncio with its parser in C, and a pool with a connection for each caller.

Two of the client's defaults are not kept. Its time limit is the run's, as the other targets have it. And it does not try
again by itself, for seconds and unseen: one request is one attempt, and what fails is counted. Its pool refuses whoever
finds all connections taken; here they wait in line, as long as a call may take, since an open loop may well have more
under way than there are connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from ..errors import TargetRefused, TargetUnavailable
from .base import ABSENT, Answer, NodeCounters

if TYPE_CHECKING:
    from redis.asyncio import Redis


class RedisTarget:
    """One server, through a client with ``connections`` connections that somebody else opened and closes."""

    def __init__(
        self, client: Redis, *, connections: int, timeout_s: float, description: Mapping[str, str] | None = None
    ) -> None:
        # Its methods are typed for the blocking client at the same time.
        self._client: Any = client
        self._get = cast("Callable[[str], Awaitable[bytes | None]]", client.get)
        self._free = asyncio.Semaphore(connections)
        self._timeout_s = timeout_s
        self._description = {"kind": "redis", **(description or {})}

    @property
    def description(self) -> Mapping[str, str]:
        """The kind, and what the opener added (address, connections)."""
        return self._description

    async def read(self, key: str) -> Answer:
        """One GET. Raises what the client raises."""
        await self._connection()
        try:
            value = await self._get(key)
        finally:
            self._free.release()
        return ABSENT if value is None else ("found", value)

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        """One MGET."""
        if not keys:
            return []
        await self._connection()
        try:
            return cast("list[bytes | None]", await self._client.mget(keys))
        finally:
            self._free.release()

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        """One SET, with PX (whole milliseconds, at least one) where there is an expiry."""
        await self._connection()
        try:
            await self._client.set(key, value, px=max(1, round(ttl_s * 1000)) if ttl_s else None)
        finally:
            self._free.release()

    async def delete(self, key: str) -> None:
        """One DEL."""
        await self._connection()
        try:
            await self._client.delete(key)
        finally:
            self._free.release()

    async def counters(self) -> Mapping[str, NodeCounters]:
        """None: it loads nothing."""
        return {}

    async def _connection(self) -> None:
        if not self._free.locked():
            await self._free.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError:
            raise TimeoutError(f"no connection was free within {self._timeout_s:g} s") from None


@asynccontextmanager
async def open_redis(
    host: str, port: int, *, timeout_s: float = 3.0, connections: int = 32
) -> AsyncIterator[RedisTarget]:
    """Connect, all ``connections`` at once so that no request pays for it. ``timeout_s`` is the deadline of each answer.

    Raises `TargetUnavailable` when nobody answers there, and `TargetRefused` when it is no redis, lets nobody in, or
    the package is not installed.
    """
    try:
        import hiredis  # noqa: F401  # redis takes its parser from there, if it is there
        from redis import exceptions
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as exc:
        raise TargetRefused(f"the package {exc.name} is not installed: pip install 'zmcache[bench]'") from exc
    address = f"{host}:{port}"
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            Redis(
                host=host,
                port=port,
                max_connections=connections,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
        )
        for outcome in await asyncio.gather(*(_ping(client) for _ in range(connections)), return_exceptions=True):
            if isinstance(outcome, exceptions.AuthenticationError) or (
                isinstance(outcome, exceptions.RedisError)
                and not isinstance(outcome, exceptions.ConnectionError | exceptions.TimeoutError)
            ):
                raise TargetRefused(f"redis at {address}: {outcome}") from outcome
            if isinstance(outcome, BaseException):
                raise TargetUnavailable(f"no redis answers at {address}: {outcome}") from outcome
        shown = {"address": address, "connections": str(connections)}
        yield RedisTarget(client, connections=connections, timeout_s=timeout_s, description=shown)


async def _ping(client: Any) -> None:
    await client.ping()
