"""A target inside the test: a dict that fills itself, in place of a cluster.

The first read of a key is a load, the next ones come from its owner. New keys are dealt to the nodes in turn; those of
a node that was taken out of ``nodes`` are loaded again by another. A hook that is called before each request lets a
test wait, fail, stop the run or change the nodes at a chosen request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

from zmcache_loadgen.errors import TargetUnavailable
from zmcache_loadgen.load.plan import Closed, Destination, Open, Plan
from zmcache_loadgen.load.run import measure
from zmcache_loadgen.targets.base import ABSENT, Answer, NodeCounters
from zmcache_loadgen.workloads import Workload

Hook = Callable[[int, str], Awaitable[None]]
"""Called with the number of the request, from 0, and its key; what it raises, the request raises."""


class FillingTarget:
    """``absent`` are keys that the imagined backend does not know."""

    def __init__(
        self, *, nodes: Iterable[str] = ("a",), absent: Iterable[str] = (), before: Hook | None = None
    ) -> None:
        self.asked: list[tuple[str, bytes | None]] = []
        self.deleted: list[str] = []
        self.nodes = {node: NodeCounters(0, 0) for node in nodes}
        self.reachable = True
        self.values: dict[str, bytes] = {}
        self._absent = frozenset(absent)
        self._before = before
        self._homes: dict[str, str] = {}

    @property
    def description(self) -> Mapping[str, str]:
        return {"kind": "filling"}

    async def read(self, key: str) -> Answer:
        await self._arrive(key, None)
        if key in self._absent:
            return ABSENT
        stored = self._homes.get(key) in self.nodes
        self._count(key, loads=0 if stored else 1)
        return "owner" if stored else "load", self.values.get(key, b"")

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        return [(await self.read(key))[1] for key in keys]

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        await self._arrive(key, value)
        self.values[key] = value
        self._count(key, loads=0)

    async def delete(self, key: str) -> None:
        await self._arrive(key, None)
        self.deleted.append(key)
        self._homes.pop(key, None)

    async def counters(self) -> Mapping[str, NodeCounters]:
        if not self.reachable:
            raise TargetUnavailable("filling target: set to be unreachable")
        return dict(self.nodes)

    async def _arrive(self, key: str, value: bytes | None) -> None:
        self.asked.append((key, value))
        if self._before is not None:
            await self._before(len(self.asked) - 1, key)

    def _count(self, key: str, *, loads: int) -> None:
        names = list(self.nodes)
        home = self._homes.get(key)
        if home not in self.nodes:
            home = self._homes[key] = names[len(self._homes) % len(names)]
        counted = self.nodes[home]
        self.nodes[home] = NodeCounters(counted.requests + 1, counted.loads + loads)


def plan_of(workload: Workload, loop: Closed | Open | None = None, **given: Any) -> Plan:
    """A plan against whatever `run` is given; 32 callers unless told."""
    destination = Destination(target="zmcache:nobody", timeout_s=given.pop("timeout_s", 3.0))
    return Plan(destination=destination, workload=workload, loop=loop or Closed(), **given)


async def run(target: FillingTarget, plan: Plan, *, stop: asyncio.Event | None = None, **given: Any) -> dict[str, Any]:
    """The figures of the plan against ``target``."""
    return await measure(plan, lambda _: nullcontext(target), stop=stop or asyncio.Event(), **given)
