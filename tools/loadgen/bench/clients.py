"""The clients, each opened as a good user of it would, with as many connections as callers, and with all keys in place.

The values are 128 bytes, the same keys everywhere. zmcache's node loads them when they are first asked for; the others are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import zmcache
from zmcache.examples import VALUE_BYTES, value_of

from .drive import Asked
from .goals import NotMeasurable
from .servers import LOOPBACK, Server

if TYPE_CHECKING:
    from redis.asyncio import Redis

GROUP: Final = "items"
ITEMS: Final = {"budget": "256MiB", "loader": {"import": "zmcache.examples:echo", "batch": True, "max_batch": 1000}}
_CHUNK: Final = 1_000
EXTRA: Final = "the package {} is not installed: pip install 'zmcache[bench]'"


def make_keys(count: int) -> list[str]:
    """The keys that everybody is asked for."""
    return [f"k{number}" for number in range(count)]


@asynccontextmanager
async def zmcache_group(
    server: Server, keys: Sequence[str], *, group: str = GROUP, busy_poll_s: float = 0.0
) -> AsyncIterator[zmcache.CacheGroup[bytes]]:
    """A zmcache client's group, all ``keys`` loaded."""
    async with zmcache.connect(server.address, busy_poll=busy_poll_s) as client:
        opened = client.group(group)
        for at in range(0, len(keys), _CHUNK):
            found = await opened.get_many(keys[at : at + _CHUNK])
            if any(len(value) != VALUE_BYTES for value in found.values()):
                raise NotMeasurable("zmcache's values are not what they should be")
        yield opened


@asynccontextmanager
async def redis_client(server: Server, keys: Sequence[str], connections: int) -> AsyncIterator[Redis]:
    """A redis.asyncio client with its parser in C (hiredis), all ``keys`` set, ``connections`` connected.

    Its settings are its defaults. Since redis-py 8 that includes a timeout of 5 s on each answer, which zmcache's calls have, too.
    """
    try:
        import hiredis  # noqa: F401  # redis takes its parser from there, if it is there
        from redis.asyncio import Redis
    except ImportError as exc:
        raise NotMeasurable(EXTRA.format(exc.name)) from exc
    async with Redis(host=LOOPBACK, port=server.port, max_connections=connections) as client:
        for at in range(0, len(keys), _CHUNK):
            await client.mset({key: value_of(key) for key in keys[at : at + _CHUNK]})
        await _warm(Asked(client.get, keys), connections)
        yield client


@asynccontextmanager
async def memcached_client(
    server: Server, keys: Sequence[str], connections: int
) -> AsyncIterator[tuple[Any, list[bytes]]]:
    """An aiomcache client, and the keys as it wants them, all set, with at most ``connections`` connections."""
    try:
        import aiomcache
    except ImportError as exc:
        raise NotMeasurable(EXTRA.format(exc.name)) from exc
    client = aiomcache.Client(LOOPBACK, server.port, pool_size=connections)
    try:
        encoded = [key.encode() for key in keys]
        for at in range(0, len(keys), connections):
            await asyncio.gather(*(client.set(key.encode(), value_of(key)) for key in keys[at : at + connections]))
        yield client, encoded
    finally:
        await client.close()


async def _warm(asked: Asked, connections: int) -> None:
    await asked.rate(connections, 10 * connections)
