"""The rows that ask over loopback TCP: many callers, one caller, many keys at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle, islice
from typing import Final

import zmcache

from . import clients, servers
from .drive import Asked, Effort, Side, in_turns
from .echo import EchoClient
from .goals import NotMeasurable, Row, judge, unmeasured

BUSY_POLL_S: Final = 150e-6
_BATCH: Final = 100


async def many_callers(callers: int, wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Gets a second of zmcache, and of each yardstick that a row of ``wanted`` names."""
    keys = clients.make_keys(effort.keys)
    async with AsyncExitStack() as stack:
        sides: dict[str, Side] = {}
        group = await _own_node(stack, keys)
        sides["zmcache"] = partial(Asked(group.get, keys).rate, callers, effort.requests)
        for name in wanted:
            try:
                sides[name] = await _yardstick(stack, name.rpartition("-")[2], keys, callers, effort)
            except NotMeasurable as exc:
                yield unmeasured(name, str(exc))
        if len(sides) > 1:
            samples = await in_turns(effort.runs, sides)
            measured = samples.pop("zmcache")
            for name, beside in samples.items():
                yield judge(name, measured, beside)


async def _yardstick(stack: AsyncExitStack, kind: str, keys: list[str], callers: int, effort: Effort) -> Side:
    """Gets a second of redis, memcached or the echo."""
    if kind == "redis":
        server = await stack.enter_async_context(servers.redis())
        redis = await stack.enter_async_context(clients.redis_client(server, keys, callers))
        return partial(Asked(redis.get, keys).rate, callers, effort.slow_requests)
    if kind == "memcached":
        server = await stack.enter_async_context(servers.memcached())
        client, encoded = await stack.enter_async_context(clients.memcached_client(server, keys, callers))
        return partial(Asked(client.get, encoded).rate, callers, effort.slow_requests)
    return partial((await _echo(stack)).rate, callers, effort.requests)


async def one_caller_and_echo(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """The median latency of a lone caller, against that of a message there and back."""
    keys = clients.make_keys(effort.keys)
    async with AsyncExitStack() as stack:
        echo = await _echo(stack)
        group = await _own_node(stack, keys)
        samples = await in_turns(
            effort.runs,
            {
                "zmcache": partial(Asked(group.get, keys).p50_us, effort.lone_requests),
                "echo": partial(echo.p50_us, effort.lone_requests),
            },
        )
    for name in wanted:
        yield judge(name, samples["zmcache"], samples["echo"])


async def one_caller_busy_and_redis(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """The median latency of a lone caller whose client polls while it waits, against redis."""
    keys = clients.make_keys(effort.keys)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.redis())
        redis = await stack.enter_async_context(clients.redis_client(server, keys, 1))
        group = await _own_node(stack, keys, busy_poll_s=BUSY_POLL_S)
        samples = await in_turns(
            effort.runs,
            {
                "zmcache": partial(Asked(group.get, keys).p50_us, effort.lone_requests),
                "redis": partial(Asked(redis.get, keys).p50_us, effort.lone_requests),
            },
        )
    for name in wanted:
        yield judge(name, samples["zmcache"], samples["redis"])


async def get_many_and_mget(callers: int, wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Calls a second of callers that ask for a hundred keys with each."""
    keys = clients.make_keys(effort.keys)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.redis())
        redis = await stack.enter_async_context(clients.redis_client(server, keys, callers))
        group = await _own_node(stack, keys)
        samples = await in_turns(
            effort.runs,
            {
                "zmcache": partial(_batches, group.get_many, _batches_of(keys), callers, effort.batches),
                "redis": partial(_batches, redis.mget, _batches_of(keys), callers, effort.batches),
            },
        )
    for name in wanted:
        yield judge(name, samples["zmcache"], samples["redis"])


def _batches_of(keys: Sequence[str]) -> Iterator[list[str]]:
    return cycle([list(keys[at : at + _BATCH]) for at in range(0, len(keys) - _BATCH + 1, _BATCH)])


async def _batches(
    get: Callable[[list[str]], Awaitable[Collection[object]]], batches: Iterator[list[str]], callers: int, calls: int
) -> float:
    """Calls a second, of all callers. Raises `NotMeasurable` when an answer holds less than was asked for."""
    shared = islice(batches, calls)

    async def caller() -> None:
        for keys in shared:
            found = await get(keys)
            if len(found) != _BATCH or None in found:
                raise NotMeasurable("an answer holds less than what was asked for")

    began_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return calls / (time.perf_counter() - began_s)


async def _own_node(stack: AsyncExitStack, keys: list[str], *, busy_poll_s: float = 0.0) -> zmcache.CacheGroup[bytes]:
    server = await stack.enter_async_context(servers.node({clients.GROUP: clients.ITEMS}))
    return await stack.enter_async_context(clients.zmcache_group(server, keys, busy_poll_s=busy_poll_s))


async def _echo(stack: AsyncExitStack) -> EchoClient:
    client = EchoClient((await stack.enter_async_context(servers.echo())).port)
    stack.callback(client.close)
    return client
