"""Near copies and watches: what a hit in the client costs, what copies save, and what being told costs whoever writes.

A near hit is asked for in a plain loop, as an embedded one is (`.embedded`). The entries are few enough that all of them are kept.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from itertools import cycle
from random import Random
from statistics import median
from typing import Any, Final

import zmcache
from zmcache.examples import VALUE_BYTES, value_of

from ..workloads import Zipf
from ..workloads.base import Part
from . import clients, servers
from .drive import Asked, Effort, Side, in_turns, missing
from .goals import NotMeasurable, Row, judge

_KEPT_KEYS: Final = 10_000
_CALLERS: Final = 64
_ZIPF: Final = 0.99
_SHARE: Final = 0.01  # of the bytes of all entries
_FOLLOWING: Final = 100
_FOLLOWED_KEYS: Final = 10  # by each
_SETS_PER_S: Final = 10_000
_SETTERS: Final = 8
_WATCHED: Final = 100
_VALUE: Final = b"v" * VALUE_BYTES


async def hits(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """A hit by `await get`, against an OrderedDict and against aiocache's memory; and what a cached function adds to it."""
    keys = clients.make_keys(_KEPT_KEYS)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.node({clients.GROUP: {"budget": "256MiB"}}))
        client = await stack.enter_async_context(zmcache.connect(server.address, near="256MiB", near_ttl=3600))
        items = client.group(clients.GROUP)
        await items.set_many({key: value_of(key) for key in keys})

        @items.cached(ttl=3600, key="k{number}")
        async def made(number: int) -> bytes:
            raise NotMeasurable("what the function had stored was not there any more")

        plain = OrderedDict((key, value_of(key)) for key in keys)
        sides: dict[str, Side] = {
            "plain": partial(_plain, plain, keys),
            "near": partial(_awaited, items.get, keys),
            "cached": partial(_awaited, made, range(len(keys))),
        }
        if "near-aiocache" in wanted:
            memory = _aiocache()
            for key in keys:
                await memory.set(key, value_of(key))
            sides["aiocache"] = partial(_awaited, memory.get, keys)
        await _keep_all(items, keys)
        before = _near_hits(items)
        samples = await in_turns(effort.runs, sides)
        if _near_hits(items) - before < 2 * effort.runs * len(keys):
            raise NotMeasurable("not all gets were near hits")
    yardsticks = {
        "near-get": ("near", "plain"),
        "near-aiocache": ("aiocache", "near"),
        "near-cached": ("cached", "near"),
    }
    for name in wanted:
        measured, yardstick = yardsticks[name]
        yield judge(name, samples[measured], samples[yardstick])


def _aiocache() -> Any:
    try:
        from aiocache import SimpleMemoryCache  # type: ignore[import-untyped]
    except ImportError as exc:
        raise NotMeasurable(clients.EXTRA.format(exc.name)) from exc
    return SimpleMemoryCache()


def _near_hits(items: zmcache.CacheGroup[bytes]) -> int:
    told = items.near_statistics()
    if told is None:
        raise NotMeasurable("the client keeps no copies")
    return told.hits


async def _keep_all(items: zmcache.CacheGroup[bytes], keys: Sequence[str]) -> None:
    for _ in range(20):
        before = _near_hits(items)
        await asyncio.gather(*(_each(items.get, keys[at::_CALLERS]) for at in range(_CALLERS)))
        if _near_hits(items) - before == len(keys):
            return
    raise NotMeasurable("the client does not keep copies of all that it asks for")


async def _each(get: Callable[[str], Awaitable[object]], keys: Sequence[str]) -> None:
    for key in keys:
        await get(key)


async def _plain(entries: OrderedDict[str, bytes], keys: Sequence[str]) -> float:
    get, move_to_end = entries.get, entries.move_to_end
    began_s = time.perf_counter()
    for key in keys:
        get(key)
        move_to_end(key)
    return (time.perf_counter() - began_s) / len(keys) * 1e9


async def _awaited(get: Callable[[Any], Awaitable[object]], keys: Sequence[Any]) -> float:
    began_s = time.perf_counter()
    for key in keys:
        await get(key)
    took_s = time.perf_counter() - began_s
    await asyncio.sleep(0.01)  # the loop hears that the copies are still true
    return took_s / len(keys) * 1e9


async def popular(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Keys by a Zipf law, with copies in a hundredth of the bytes that the node is charged for them, and without."""
    keys = clients.make_keys(effort.keys)
    drawn = [keys[rank] for rank in Zipf(_ZIPF).drawer(len(keys), Random(7), Part())(20 * len(keys), 0)]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.node({clients.GROUP: clients.ITEMS}))
        plain = await stack.enter_async_context(clients.zmcache_group(server, keys))
        async with zmcache.connect(server.address) as cache:
            figures = await cache.statistics()
        budget = int(_SHARE * sum(figures[node][f"group.{clients.GROUP}.used_bytes"] for node in figures))
        client = await stack.enter_async_context(zmcache.connect(server.address, near=budget))
        near = client.group(clients.GROUP)
        sides: dict[str, Side] = {
            name: partial(_mean_us, Asked(group.get, drawn), effort.requests)
            for name, group in (("near", near), ("plain", plain))
        }
        samples = await in_turns(effort.runs, sides)
        told = near.near_statistics()
        assert told is not None
        share = told.hits / max(1, told.hits + told.misses)
    for name in wanted:
        yield judge(name, samples["near"], samples["plain"], f"{share:.0%} of the gets left no process")


async def _mean_us(asked: Asked, requests: int) -> float:
    """With so many callers each asking again when it is answered, the mean latency is their number by the rate."""
    return _CALLERS / await asked.rate(_CALLERS, requests) * 1e6


async def followed(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Sets by 64 callers, with a hundred clients that keep copies of other keys and without."""
    keys = clients.make_keys(effort.keys // 10)
    async with AsyncExitStack() as stack:
        groups = {clients.GROUP: {"budget": "256MiB"}}
        alone = await stack.enter_async_context(servers.node(groups))
        among = await stack.enter_async_context(servers.node(groups))
        sides: dict[str, Side] = {}
        for name, server in (("alone", alone), ("among", among)):
            client = await stack.enter_async_context(zmcache.connect(server.address))
            items = client.group(clients.GROUP)
            sides[name] = partial(Asked(partial(_set, items), keys).rate, _CALLERS, effort.requests)
        mine = [f"followed-{number}" for number in range(_FOLLOWED_KEYS)]
        for _ in range(_FOLLOWING):
            client = await stack.enter_async_context(zmcache.connect(among.address, near="1MiB", near_ttl=3600))
            items = client.group(clients.GROUP)
            await items.set_many(dict.fromkeys(mine, _VALUE))
            await _keep_all(items, mine)
        samples = await in_turns(effort.runs, sides)
    for name in wanted:
        yield judge(name, samples["among"], samples["alone"])


async def _set(items: zmcache.CacheGroup[bytes], key: str) -> bool:
    await items.set(key, _VALUE)
    return True


async def delivery(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """How long after a set began its value has come to who watches, at ten thousand sets a second; against gets by as many callers."""
    keys = clients.make_keys(_WATCHED)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.node({clients.GROUP: {"budget": "64MiB"}}))
        writer = (await stack.enter_async_context(zmcache.connect(server.address))).group(clients.GROUP)
        reader = (await stack.enter_async_context(zmcache.connect(server.address))).group(clients.GROUP)
        await writer.set_many(dict.fromkeys(keys, b"0"))
        told, asked, rates = [], [], []
        for _ in range(effort.runs):
            latencies, rate = await _watch(writer, reader, keys, effort.requests)
            told.append(median(latencies) * 1e6)
            rates.append(rate)
            asked.append(await _paced_gets(reader, keys, effort.requests))
    note = f"{median(rates):,.0f} sets/s, no value out of order"
    for name in wanted:
        yield judge(name, told, asked, note)


async def _watch(
    writer: zmcache.CacheGroup[bytes], reader: zmcache.CacheGroup[bytes], keys: list[str], sets: int
) -> tuple[list[float], float]:
    """The latencies in seconds, and how many sets there were a second. Raises `NotMeasurable` where a value comes out of order."""
    began_s: list[float] = []
    latencies: list[float] = []
    ready = asyncio.Event()

    async def watch() -> None:
        last: dict[str, int] = {}
        async with aclosing(reader.watch(*keys)) as updates:
            async for update in updates:
                number = int(update.value or b"0")
                if update.key in last:
                    if number <= last[update.key]:
                        raise NotMeasurable(f"{update.key}: {number} came after {last[update.key]}")
                    latencies.append(time.perf_counter() - began_s[number - 1])
                last[update.key] = number
                if len(last) == len(keys):
                    ready.set()

    await writer.set_many(dict.fromkeys(keys, b"0"))
    watching = asyncio.create_task(watch())
    try:
        async with asyncio.timeout(10):
            await ready.wait()
        started_s = time.perf_counter()
        turns = cycle(keys)

        async def setter() -> None:
            while len(began_s) < sets:
                number = len(began_s) + 1
                began_s.append(time.perf_counter())
                await writer.set(next(turns), b"%d" % number)
                await _pace(started_s, len(began_s))

        await asyncio.gather(*(setter() for _ in range(_SETTERS)))
        rate = sets / (time.perf_counter() - started_s)
        if watching.done():
            watching.result()
        return latencies, rate
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _paced_gets(reader: zmcache.CacheGroup[bytes], keys: list[str], gets: int) -> float:
    """The median latency of gets, in us, by as many callers at the same pace."""
    latencies: list[float] = []
    turns = cycle(keys)
    started_s = time.perf_counter()

    async def caller() -> None:
        while len(latencies) < gets:
            began_s = time.perf_counter()
            key = next(turns)
            if await reader.get(key) is None:
                raise missing(key)
            latencies.append(time.perf_counter() - began_s)
            await _pace(started_s, len(latencies))

    await asyncio.gather(*(caller() for _ in range(_SETTERS)))
    return median(latencies) * 1e6


async def _pace(started_s: float, done: int) -> None:
    ahead_s = done / _SETS_PER_S - (time.perf_counter() - started_s)
    if ahead_s > 0:
        await asyncio.sleep(ahead_s)
