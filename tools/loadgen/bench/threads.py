"""The library for threads beside redis-py's, both as a program without a loop has them: one thread, and sixteen of one client.

All of it runs in worker threads: the bench's own loop only waits for them, and can be interrupted. Values and keys are everybody's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, AsyncExitStack
from functools import partial
from importlib import import_module
from itertools import cycle, islice
from statistics import median
from typing import Any, Final

from zmcache.examples import value_of

from . import clients, servers
from .drive import Effort, Side, in_turns, missing
from .goals import NotMeasurable, Row, judge

Get = Callable[[str], object]

_THREADS: Final = 16
_CHUNK: Final = 1_000


async def gets(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Both rows by the same two clients."""
    keys = clients.make_keys(effort.keys)
    async with AsyncExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(_THREADS))
        ours = await _zmcache(stack, keys)
        theirs = await _redis(stack, keys)
        for name in wanted:
            sides: dict[str, Side]
            if name == "sync-one":
                sides = {
                    "zmcache": partial(asyncio.to_thread, p50_us, ours, keys, effort.lone_requests),
                    "redis": partial(asyncio.to_thread, p50_us, theirs, keys, effort.lone_requests),
                }
            else:
                sides = {
                    "zmcache": partial(asyncio.to_thread, rate, pool, ours, keys, effort.slow_requests),
                    "redis": partial(asyncio.to_thread, rate, pool, theirs, keys, effort.slow_requests),
                }
            samples = await in_turns(effort.runs, sides)
            yield judge(name, samples["zmcache"], samples["redis"])


async def _zmcache(stack: AsyncExitStack, keys: Sequence[str]) -> Get:
    """A group's get, all ``keys`` loaded."""
    try:
        sync: Any = import_module("zmcache.sync")
    except ImportError as exc:
        raise NotMeasurable(f"there is no {exc.name} in this zmcache") from exc
    server = await stack.enter_async_context(servers.node({clients.GROUP: clients.ITEMS}))
    cache = await _entered(stack, sync.connect(server.address))
    group = cache.group(clients.GROUP)
    for at in range(0, len(keys), _CHUNK):
        await asyncio.to_thread(group.get_many, keys[at : at + _CHUNK])
    get: Get = group.get
    return get


async def _redis(stack: AsyncExitStack, keys: Sequence[str]) -> Get:
    """A client's get, with its parser in C (hiredis), all ``keys`` set. Its settings are its defaults: a connection a thread."""
    try:
        import hiredis  # noqa: F401  # redis takes its parser from there, if it is there
        from redis import Redis
    except ImportError as exc:
        raise NotMeasurable(clients.EXTRA.format(exc.name)) from exc
    server = await stack.enter_async_context(servers.redis())
    client = await _entered(stack, Redis(host=servers.LOOPBACK, port=server.port))
    for at in range(0, len(keys), _CHUNK):
        await asyncio.to_thread(client.mset, {key: value_of(key) for key in keys[at : at + _CHUNK]})
    get: Get = client.get
    return get


async def _entered(stack: AsyncExitStack, context: AbstractContextManager[Any]) -> Any:
    """Entered and left in a worker thread: neither may hold the loop that ends the servers."""
    entered = await asyncio.to_thread(context.__enter__)
    stack.push_async_callback(asyncio.to_thread, context.__exit__, None, None, None)
    return entered


def p50_us(get: Get, keys: Sequence[str], requests: int) -> float:
    """The median latency of one thread, in microseconds. Raises `NotMeasurable` when a key was not there."""
    clock = time.perf_counter
    _ask(get, islice(cycle(keys), requests // 10))
    samples = []
    for key in islice(cycle(keys), requests):
        began_s = clock()
        value = get(key)
        samples.append(clock() - began_s)
        if value is None:
            raise missing(key)
    return median(samples) * 1e6


def rate(pool: ThreadPoolExecutor, get: Get, keys: Sequence[str], requests: int) -> float:
    """Gets a second by all threads at once, each with keys of its own. Raises `NotMeasurable` when a key was not there."""
    shares = [list(islice(cycle(keys[number::_THREADS]), requests // _THREADS)) for number in range(_THREADS)]
    list(pool.map(partial(_ask, get), (share[: len(share) // 10] for share in shares)))
    began_s = time.perf_counter()
    list(pool.map(partial(_ask, get), shares))
    return sum(map(len, shares)) / (time.perf_counter() - began_s)


def _ask(get: Get, keys: Iterable[str]) -> None:
    for key in keys:
        if get(key) is None:
            raise missing(key)
