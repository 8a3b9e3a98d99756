"""What copies cost, and how fast a node hands over: rows of two nodes that hold each value twice, and of one that leaves while others ask."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from typing import Any, Final, TypeVar

import zmcache

from ..own_etcd import OwnEtcd
from . import servers
from .drive import Asked, Effort, Side, in_turns, missing
from .goals import NotMeasurable, Row, judge

_VALUE: Final = b"v" * 128
_LARGE: Final = b"v" * 4096
_MIB: Final = 2**20
_CALLERS: Final = 64
# So much is handed over: a few seconds of it, so that starting and ending do not count.
_HANDED_KEYS: Final = 60_000
_PACE_S: Final = 0.002  # of each of the callers who ask meanwhile: 1,000 gets a second, far from all that a node can do
_ASKING: Final = 2
_GROUP: Final = "items"
_BUDGET: Final = "512MiB"

T = TypeVar("T")


async def writes(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Two nodes beside two nodes: one pair holds each value once, the other twice, and acknowledges it when both do."""
    async with AsyncExitStack() as stack:
        once = await _pair(stack, {"copies": 1, "acks": 1})
        twice = await _pair(stack, {"copies": 2, "acks": 2})
        keys = [f"k{number}" for number in range(effort.keys // 10)]
        for group in (once, twice):
            await _fill(group, keys, _VALUE)
        if "set-copies" in wanted:
            sides: dict[str, Side] = {
                name: partial(Asked(partial(_set, group), keys).p50_us, effort.lone_requests)
                for name, group in (("once", once), ("twice", twice))
            }
            samples = await in_turns(effort.runs, sides)
            yield judge("set-copies", samples["twice"], samples["once"])
        if "gets-copies" in wanted:
            sides = {
                name: partial(Asked(group.get, keys).rate, _CALLERS, effort.requests)
                for name, group in (("once", once), ("twice", twice))
            }
            samples = await in_turns(effort.runs, sides)
            yield judge("gets-copies", samples["twice"], samples["once"])


async def _fill(group: zmcache.CacheGroup[bytes], keys: Sequence[str], value: bytes) -> None:
    # In portions: of ten thousand at once some are refused where the nodes have not met yet, since what may wait for that is bounded.
    for at in range(0, len(keys), 1000):
        if await group.set_many(dict.fromkeys(keys[at : at + 1000], value)):
            raise NotMeasurable("not all values could be set")


async def _set(group: zmcache.CacheGroup[bytes], key: str) -> bool:
    await group.set(key, _VALUE)
    return True


async def _pair(stack: AsyncExitStack, copies: Mapping[str, int]) -> zmcache.CacheGroup[bytes]:
    """Two nodes that know of each other, and a client of both."""
    ports = [servers.free_port() for _ in range(2)]
    listed = [{"id": f"node-{at}", "endpoint": f"tcp://{servers.LOOPBACK}:{port}"} for at, port in enumerate(ports)]
    groups = {_GROUP: {"budget": _BUDGET, **copies}}
    for at, port in enumerate(ports):
        await stack.enter_async_context(
            servers.node(groups, node_id=f"node-{at}", port=port, discovery={"static": listed})
        )
    addresses = ",".join(f"{servers.LOOPBACK}:{port}" for port in ports)
    cache = await stack.enter_async_context(zmcache.connect(addresses))
    return cache.group(_GROUP)


async def handover(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """A node with some 240 MiB of values of 4 KiB is joined by another, while somebody asks it for what it has; as fast as it can, then as it is
    by default.
    """
    rates, during, before = [], [], []
    for _ in range(max(1, effort.million_runs)):
        rates.append((await _join(handover_rate="10GiB"))[0])
    for _ in range(max(1, effort.million_runs)):
        _, p99_before, p99_during = await _join()
        before.append(p99_before)
        during.append(p99_during)
    if "handover-rate" in wanted:
        yield judge("handover-rate", rates, [1.0] * len(rates))
    if "handover-p99" in wanted:
        yield judge("handover-p99", during, before)


async def _join(**node: Any) -> tuple[float, float, float]:
    """MiB a second that were handed over to a node that joined, and the p99 of gets, in us, before it joined and meanwhile."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zmcache-bench-")))
        etcd = OwnEtcd(folder, lambda: None)
        stack.push_async_callback(etcd.stop)
        await etcd.start()
        groups = {_GROUP: {"budget": _BUDGET}}
        discovery = {"etcd": [etcd.address]}
        first = await stack.enter_async_context(
            servers.node(groups, node_id="first", discovery=discovery, settings=node)
        )
        cache = await stack.enter_async_context(zmcache.connect(first.address, timeout=10))
        group = cache.group(_GROUP)
        keys = [f"k{number}" for number in range(_HANDED_KEYS)]
        await _fill(group, keys, _LARGE)
        asking = _Asking(group.get, keys)
        await asking.during(asyncio.sleep(2.0))
        p99_before = asking.p99_us()

        async def join() -> None:
            await stack.enter_async_context(servers.node(groups, node_id="second", discovery=discovery, settings=node))
            # It serves once it has been handed over all that it is to hold.
            while (await cache.statistics()).get("second", {}).get("ring.share", 0.0) == 0.0:  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(0.1)

        await asking.during(join())
        p99_during = asking.p99_us()
        figures = await cache.statistics()
        told = figures["first"]
        return told["handover.bytes"] / _MIB / told["handover.took_s"], p99_before, p99_during


class _Asking:
    """Callers who ask for one key after another at a steady pace, while something else goes on."""

    def __init__(self, get: Callable[[str], Awaitable[object]], keys: Sequence[str]) -> None:
        self._get = get
        self._keys = cycle(keys)
        self._took_s: list[float] = []

    async def during(self, work: Awaitable[T]) -> T:
        """Ask until ``work`` is done; its result."""
        self._took_s.clear()
        asking = [asyncio.create_task(self._ask()) for _ in range(_ASKING)]
        try:
            return await work
        finally:
            for task in asking:
                task.cancel()
            for outcome in await asyncio.gather(*asking, return_exceptions=True):
                if isinstance(outcome, NotMeasurable):
                    raise outcome

    async def _ask(self) -> None:
        clock = time.perf_counter
        for key in self._keys:
            began_s = clock()
            value = await self._get(key)
            self._took_s.append(clock() - began_s)
            if value is None:
                raise missing(key)
            await asyncio.sleep(_PACE_S)

    def p99_us(self) -> float:
        """Of what was asked last."""
        return quantiles(self._took_s, n=100)[98] * 1e6
