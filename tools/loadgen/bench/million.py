"""A million entries with an expiry: what each costs in memory, and whether the node's loop ever stood still meanwhile.

Memory is the server process's resident bytes after, less those before, over the number of entries, on both sides. The pause is what the
node's own probe saw from the first set to the last get; the node next to it, which has nothing to do, tells what the machine did
to a loop in the same time. A pause of the node's own comes in every run, so the median of the runs' longest counts. (The time that the
thread computed would tell no more: what a hypervisor takes of a processor is in it. See `zmcache_loadgen.simulation.longest`.)

Then all entries are set again, to end in the same second, and the node sweeps them out, while a caller goes on asking.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from typing import Any, Final

import zmcache

from . import clients, servers
from .drive import Effort
from .goals import NotMeasurable, Row, judge, unmeasured
from .probe import TARGET

Pauses = tuple[float, float]
"""Of the node, and of the idle one beside it."""

_VALUE_BYTES: Final = 128
_TTL_S: Final = 3_600
_WRITERS: Final = 128
_READERS: Final = 8
_EXPIRY_MOST_S: Final = 120  # until a million entries that have expired are gone
_PROBE: Final = "probe"
_GROUPS: Final[dict[str, dict[str, Any]]] = {
    clients.GROUP: {"budget": "1GiB"},
    _PROBE: {"budget": "1MiB", "loader": {"import": TARGET}},
}


async def entries(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Both rows come from the same runs."""
    ours: list[float] = []
    theirs: list[float] = []
    filled: list[Pauses] = []
    ended: list[Pauses] = []
    missing = ""
    for _ in range(min(effort.runs, effort.million_runs)):
        size, while_filled, while_ended = await _in_zmcache(effort.entries, expire="expiry-pause" in wanted)
        ours.append(size)
        filled.append(while_filled)
        ended.append(while_ended)
        if "million-bytes" in wanted and not missing:
            try:
                theirs.append(await _in_redis(effort.entries))
            except NotMeasurable as exc:
                missing = str(exc)
    if "million-bytes" in wanted:
        yield unmeasured("million-bytes", missing) if missing else judge("million-bytes", ours, theirs)
    for name, seen in (("million-pause", filled), ("expiry-pause", ended)):
        if name in wanted:
            note = "each run's longest, in ms: " + ", ".join(f"{busy:.1f} (idle {idle:.1f})" for busy, idle in seen)
            yield judge(name, [busy for busy, _ in seen], [idle for _, idle in seen], note)


def _key(number: int) -> str:
    return f"key:{number:09d}"


def _value(number: int) -> bytes:
    return str(number).encode().ljust(_VALUE_BYTES, b".")


async def _in_zmcache(wanted: int, *, expire: bool) -> tuple[float, Pauses, Pauses]:
    """Bytes an entry; the longest pauses of the node while it was filled and read, and of an idle node meanwhile, in ms; both again while
    all entries ended, where ``expire`` (else zeros).
    """
    async with AsyncExitStack() as stack:
        nodes = []
        for _ in range(2):
            server = await stack.enter_async_context(servers.node(_GROUPS))
            client = await stack.enter_async_context(zmcache.connect(server.address))
            nodes.append((server, client))
        (server, client), (_, idle) = nodes
        probes = [each.group(_PROBE) for each in (client, idle)]
        items = client.group(clients.GROUP)
        await items.set("warm", b"")
        await items.delete("warm")
        before = server.resident_bytes()
        await _begin(probes, 1)
        began_s = time.monotonic()
        await _store_and_serve(items, wanted)
        filling_s = time.monotonic() - began_s
        size = (server.resident_bytes() - before) / wanted
        await _serve_all(items, wanted)
        filled = await _seen(probes, 2)
        if not expire:
            return size, filled, (0.0, 0.0)
        await _set_to_end(items, wanted, 2 * filling_s + 1)
        await _begin(probes, 3)
        await _serve_until_gone(client, items, time.monotonic() + 2 * filling_s + _EXPIRY_MOST_S)
        return size, filled, await _seen(probes, 4)


async def _begin(probes: Sequence[zmcache.CacheGroup[bytes]], number: int) -> None:
    for each in probes:
        await each.get(f"start:{number}")


async def _seen(probes: Sequence[zmcache.CacheGroup[bytes]], number: int) -> Pauses:
    busy, idle = [json.loads(await each.get(f"read:{number}", b"{}")) for each in probes]
    return busy["pause_ms"], idle["pause_ms"]


async def _store_and_serve(items: zmcache.CacheGroup[bytes], wanted: int) -> None:
    stored = 0

    async def writer(numbers: Iterator[int]) -> None:
        nonlocal stored
        for number in numbers:
            await items.set(_key(number), _value(number), ttl=_TTL_S)
            stored += 1

    async def reader(offset: int) -> None:
        for number in count(offset, 7_919):
            if stored == wanted:
                return
            # At least the number of writers behind: it has been answered.
            if stored > 2 * _WRITERS and await items.get(_key(number % (stored - 2 * _WRITERS))) is None:
                raise NotMeasurable("a key is not there, though it was set")
            await asyncio.sleep(0)

    shared = iter(range(wanted))
    await asyncio.gather(*(writer(shared) for _ in range(_WRITERS)), *(reader(each) for each in range(_READERS)))


async def _serve_all(items: zmcache.CacheGroup[bytes], wanted: int) -> None:
    for at in range(0, wanted, 1_000):
        keys = [_key(number) for number in range(at, min(at + 1_000, wanted))]
        if len(await items.get_many(keys)) != len(keys):
            raise NotMeasurable("a key is not there, though it was set")


async def _set_to_end(items: zmcache.CacheGroup[bytes], wanted: int, after_s: float) -> None:
    """All entries again, to end in one second after so many from now. Raises `NotMeasurable` where setting them takes longer."""
    ends_s = math.floor(time.monotonic() + after_s) + 0.5

    async def writer(numbers: Iterator[int]) -> None:
        for number in numbers:
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                raise NotMeasurable(f"setting {wanted:,} entries again took longer than twice the first time")
            await items.set(_key(number), _value(number), ttl=left_s)

    shared = iter(range(wanted))
    await asyncio.gather(*(writer(shared) for _ in range(_WRITERS)))


async def _serve_until_gone(client: zmcache.Cache, items: zmcache.CacheGroup[bytes], until_s: float) -> None:
    for number in count():
        if time.monotonic() > until_s:
            raise NotMeasurable("entries that have expired are still there")
        await items.get(_key(number % 1_000))
        if number % 1_000 == 0:
            (of_node,) = (await client.statistics()).values()
            if not of_node[f"group.{clients.GROUP}.entries"]:
                return
        await asyncio.sleep(0.001)


async def _in_redis(wanted: int) -> float:
    """Bytes an entry. Raises `NotMeasurable` where there is no redis."""
    async with servers.redis() as server, clients.redis_client(server, clients.make_keys(1), 1) as client:
        before = server.resident_bytes()
        for at in range(0, wanted, 1_000):
            pipeline = client.pipeline(transaction=False)
            for number in range(at, min(at + 1_000, wanted)):
                pipeline.set(_key(number), _value(number), ex=_TTL_S)
            await pipeline.execute()
        return (server.resident_bytes() - before) / wanted
