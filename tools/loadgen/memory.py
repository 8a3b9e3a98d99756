"""A target inside this process: a dict that fills itself. It stands in for a cluster where one would be in the way.

The first read of a key is a load, the next ones come from its owner. New keys are dealt to the nodes in turn; those of
a node that was taken out of ``nodes`` are loaded again by another. A hook that is called before each request lets a
test wait, fail, stop the run or change the nodes at a chosen request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from .errors import TargetUnavailable
from .target import NodeCounters, Source

Hook = Callable[[int, str], Awaitable[None]]
"""Called with the number of the request, from 0, and its key; what it raises, the request raises."""


class MemoryTarget:
    """See the module's docstring. ``absent`` are keys that the imagined backend does not know."""

    def __init__(
        self, *, nodes: Iterable[str] = ("a",), absent: Iterable[str] = (), before: Hook | None = None
    ) -> None:
        self.asked: list[tuple[str, bytes | None]] = []
        self.nodes = {node: NodeCounters(0, 0) for node in nodes}
        self.reachable = True
        self._absent = frozenset(absent)
        self._before = before
        self._homes: dict[str, str] = {}

    @property
    def description(self) -> Mapping[str, str]:
        """It has nothing to tell but its kind."""
        return {"kind": "memory"}

    async def read(self, key: str) -> Source:
        """Answer from "the store", or load."""
        await self._arrive(key, None)
        if key in self._absent:
            return "absent"
        stored = self._homes.get(key) in self.nodes
        self._count(key, loads=0 if stored else 1)
        return "owner" if stored else "load"

    async def write(self, key: str, value: bytes) -> None:
        """The key counts as stored from here on."""
        await self._arrive(key, value)
        self._count(key, loads=0)

    async def counters(self) -> Mapping[str, NodeCounters]:
        """What the nodes that are there have counted."""
        if not self.reachable:
            raise TargetUnavailable("memory target: set to be unreachable")
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
