"""What is watched beside the load, on one clock with it: the script's events, the database's own count of queries, and the ring.

The ring is asked of the nodes by a client of its own, several times a second, so that it is known when a change of the members reached
those who ask, and what it moved: by the ring's own code, over the very keys that are asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Final, TypedDict

import zmcache

from ..beside import Scripted

_COUNT_EVERY_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.1


class Change(TypedDict):
    """A ring that the nodes began to tell of ``at_s``. ``moved``: how many of the keys have another owner than before.

    ``ideal`` is what no ring could do with less: the joining node's even share, or that of the one that has gone.
    """

    at_s: float
    members: list[str]
    moved: int
    ideal: float


class Watch:
    """`beside` is what `measure` wants beside a run; what was seen is there afterwards, and so far while it goes on."""

    def __init__(
        self, script: Scripted, client: zmcache.Cache, queries: Callable[[], Awaitable[int]], keys: Sequence[str]
    ) -> None:
        self._script = script
        self._client = client
        self._queries = queries
        self._keys = keys
        self._began_s = 0.0
        self.counts: list[tuple[float, int]] = []
        """(seconds since the run began to count, queries so far)."""
        self.changes: list[Change] = []
        """Of the ring, by their time."""

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[Sequence[Mapping[str, object]]]:
        """Watch, and have the script's events happen, until the context ends; the events."""
        self._began_s = perf_counter()
        async with self._script.playing() as happened:
            tasks = [asyncio.create_task(self._count()), asyncio.create_task(self._look())]
            try:
                yield happened
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def count_now(self) -> None:
        """One more count of the queries."""
        self.counts.append((perf_counter() - self._began_s, await self._queries()))

    async def _count(self) -> None:
        while True:
            await self.count_now()
            due_s = len(self.counts) * _COUNT_EVERY_S
            await asyncio.sleep(max(0.0, self._began_s + due_s - perf_counter()))

    async def _look(self) -> None:
        before = self._client.ring()
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            with suppress(zmcache.ZmcacheError):  # whoever was asked is just going; the next look tells
                seen = await self._client.topology(timeout=1.0)
                if seen.revision > before.epoch.revision:
                    after = _ring(seen)
                    at_s = perf_counter() - self._began_s
                    if owning(after) != owning(before):
                        self.changes.append(_change(at_s, before, after, self._keys))
                    before = after


def owning(ring: zmcache.Ring) -> list[str]:
    """The ids of those that own keys."""
    return sorted(node_id for node_id, share in ring.share().items() if share)


def _ring(topology: zmcache.Topology) -> zmcache.Ring:
    return zmcache.Ring.build(topology.members, topology.revision)


def _change(at_s: float, before: zmcache.Ring, after: zmcache.Ring, keys: Sequence[str]) -> Change:
    moved = sum(before.owner(key).node_id != after.owner(key).node_id for key in keys)
    joined, gone = set(owning(after)) - set(owning(before)), set(owning(before)) - set(owning(after))
    ideal = max(len(joined) / len(owning(after)), len(gone) / len(owning(before)))
    return {"at_s": round(at_s, 3), "members": owning(after), "moved": moved, "ideal": round(ideal, 6)}
