"""What the loss of a node costs: three nodes that hold each value twice, one of them killed while callers ask for all there is.

Everything comes from a loader, so a miss is a query of the backend. Counted are the loads that the survivors begin from the kill on: what was
under way at the dead node is on nobody's account.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import zmcache

from ..own_etcd import OwnEtcd
from . import servers
from .drive import Effort
from .goals import NotMeasurable, Row, judge

_NODES: Final = ("a", "b", "c")
_VICTIM: Final = "b"
_GROUP: Final = "items"
_KEYS: Final = 20_000
_CALLERS: Final = 16
_BACK_WITHIN_S: Final = 5.0
_WINDOW_S: Final = 2.0
_COPIED_LIMIT_S: Final = 60.0
_GROUPS: Final = {
    _GROUP: {
        "budget": "256MiB", "copies": 2, "acks": 2,
        "loader": {"import": "zmcache.examples:echo", "batch": True, "max_batch": 1000},
    }
}  # fmt: skip

_Figures: TypeAlias = Mapping[str, Mapping[str, float]]


class _Loss(NamedTuple):
    """What one kill came to: hit ratios in percent, and queries in percent of the keys that the dead node owned."""

    before: float
    after: float
    queries: float


async def kill(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """A node is killed, once a run."""
    losses = [await _kill() for _ in range(max(1, effort.million_runs))]
    if "kill-hits" in wanted:
        yield judge("kill-hits", [loss.before - loss.after for loss in losses], [loss.before for loss in losses])
    if "kill-queries" in wanted:
        yield judge("kill-queries", [loss.queries for loss in losses], [100.0] * len(losses))


async def _kill() -> _Loss:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zmcache-bench-")))
        etcd = OwnEtcd(folder, lambda: None)
        stack.push_async_callback(etcd.stop)
        await etcd.start()
        nodes = {
            name: await stack.enter_async_context(
                servers.node(_GROUPS, node_id=name, discovery={"etcd": [etcd.address]})
            )
            for name in _NODES
        }
        addresses = ",".join(node.address for node in nodes.values())
        cache = await stack.enter_async_context(zmcache.connect(addresses, timeout=5))
        await _until(cache, lambda figures: len(figures) == len(_NODES))
        keys = [f"k{number}" for number in range(_KEYS)]
        for at in range(0, len(keys), 1000):
            await cache.group(_GROUP).get_many(keys[at : at + 1000])
        await _until(cache, _is_copied)
        asking = _Asking(cache, keys)
        try:
            before = await asking.hit_ratio_over(_WINDOW_S)
            figures = await cache.statistics()
            owned = figures[_VICTIM]["ring.share"] * _KEYS
            loaded = asking.loads(figures)
            os.kill(nodes[_VICTIM].pid, signal.SIGKILL)
            await asyncio.sleep(_BACK_WITHIN_S)
            after = await asking.hit_ratio_over(_WINDOW_S)
            queries = asking.loads(await cache.statistics()) - loaded
        finally:
            await asking.stop()
        return _Loss(before, after, 100.0 * queries / owned)


def _is_copied(figures: _Figures) -> bool:
    """Whether each value is held twice."""
    entries = sum(figures.get(name, {}).get(f"group.{_GROUP}.entries", 0) for name in _NODES)
    return entries == 2 * _KEYS


async def _until(cache: zmcache.Cache, holds: Callable[[_Figures], bool]) -> None:
    """Wait until ``holds`` of the nodes' statistics. Raises `NotMeasurable`."""
    until_s = time.monotonic() + _COPIED_LIMIT_S
    while not holds(await cache.statistics()):
        if time.monotonic() > until_s:
            raise NotMeasurable(f"not all values had their copies within {_COPIED_LIMIT_S:.0f} s")
        await asyncio.sleep(0.1)


class _Asking:
    """Callers who ask for keys by chance, and none of whom may fail."""

    def __init__(self, cache: zmcache.Cache, keys: list[str]) -> None:
        self._cache, self._keys = cache, keys
        self._gets = 0
        self._tasks = [asyncio.create_task(self._ask(random.Random(number))) for number in range(_CALLERS)]

    async def _ask(self, source: random.Random) -> None:
        get, keys = self._cache.group(_GROUP).get, self._keys
        while True:
            key = source.choice(keys)
            if await get(key) is None:
                raise NotMeasurable(f"{key} was not there, and every key can be loaded")
            self._gets += 1

    @staticmethod
    def loads(figures: _Figures) -> float:
        """Of those who live on."""
        return sum(figures[name][f"group.{_GROUP}.loads"] for name in _NODES if name != _VICTIM)

    async def hit_ratio_over(self, seconds: float) -> float:
        """In percent."""
        gets, loads = self._gets, self.loads(await self._cache.statistics())
        await asyncio.sleep(seconds)
        for task in self._tasks:
            if task.done():
                task.result()
        asked = self._gets - gets
        if not asked:
            raise NotMeasurable(f"no get was answered for {seconds:.0f} s")
        return 100.0 * (1 - (self.loads(await self._cache.statistics()) - loads) / asked)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
