"""What `@items.cached` adds to a get, where the value is there: the same keys, the same codec, the same node.

The function itself has filled the group, so that what is asked for is what it stores. Its body must not run again while it is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import zmcache
from zmcache.examples import value_of

from . import clients, servers
from .drive import Asked, Effort, in_turns
from .goals import NotMeasurable, Row, judge

_CALLERS: Final = 64
_TTL_S: Final = 3_600
_FEWER: Final = 10
"""A fill is two questions, so ten times fewer keys than elsewhere are filled, or that would take longest."""


async def hits(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Both rows by the same function and the same group: a lone caller's median latency, and the rate of 64."""
    numbers = range(effort.keys // _FEWER)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.node({clients.GROUP: {"budget": "256MiB"}}))
        client = await stack.enter_async_context(zmcache.connect(server.address))
        items = client.group(clients.GROUP)

        @items.cached(ttl=_TTL_S, key="k:{n}")
        async def made(n: int) -> bytes:
            return value_of(f"k:{n}")

        await _fill(made, numbers)
        cached, plain = Asked(made, numbers), Asked(items.get, [made.key_for(n) for n in numbers])
        for name in wanted:
            if name == "cached-hit":
                sides = {each: partial(asked.p50_us, effort.lone_requests) for each, asked in _both(cached, plain)}
            else:
                sides = {each: partial(asked.rate, _CALLERS, effort.requests) for each, asked in _both(cached, plain)}
            samples = await in_turns(effort.runs, sides)
            if made.statistics().fills != len(numbers):
                raise NotMeasurable("what the cached function had stored was not there any more")
            yield judge(name, samples["cached"], samples["plain"])


def _both(cached: Asked, plain: Asked) -> tuple[tuple[str, Asked], ...]:
    return ("cached", cached), ("plain", plain)


async def _fill(made: zmcache.Cached[[int], bytes], numbers: range) -> None:
    shared = iter(numbers)

    async def caller() -> None:
        for number in shared:
            await made(number)

    await asyncio.gather(*(caller() for _ in range(_CALLERS)))
