"""The same calls over each kind of connection: the store in this process, and three nodes, by the ring and through any of them.

    @in_each_world
    async def test(world: World) -> None: ...

``world.one`` and ``world.other`` are two connections to one cache (the same one, where that lies in the process).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
from eventually import eventually
from mesh_fixture import PATIENT_S, Cluster

from zmcache.cache import Cache
from zmcache.inprocess import InProcess


class World:
    """See the module's docstring."""

    def __init__(self, one: Cache, other: Cache, cluster: Cluster | None) -> None:
        self.one_cache, self.other_cache, self.cluster = one, other, cluster
        self.one, self.other = one.group("items"), other.group("items")

    async def figure(self, name: str) -> float:
        """The sum over all nodes."""
        return sum(figures[f"group.items.{name}"] for figures in (await self.one_cache.statistics()).values())


async def _run(kind: str, test: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async with AsyncExitStack() as stack:
        if kind == "mem":
            cache = await stack.enter_async_context(InProcess(timeout=PATIENT_S))
            await test(World(cache, cache, None))
            return
        cluster = await stack.enter_async_context(Cluster("a", "b", "c", loads=False))
        one, other = [await stack.enter_async_context(cluster.client(route=kind)) for _ in range(2)]
        await test(World(one, other, cluster))
    here = asyncio.current_task()
    await eventually(lambda: asyncio.all_tasks() == {here})


def in_each_world(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in every world; further arguments are parameters of pytest's."""
    return _in_worlds(test, "mem", "owner", "any")


def in_each_owning_world(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The same, but not through any of the nodes."""
    return _in_worlds(test, "mem", "owner")


def _in_worlds(test: Callable[..., Coroutine[Any, Any, None]], *kinds: str) -> Callable[..., None]:
    @pytest.mark.parametrize("world", kinds)
    @functools.wraps(test)
    def run(world: str, **arguments: Any) -> None:
        asyncio.run(_run(world, lambda made: test(made, **arguments)))

    return run
