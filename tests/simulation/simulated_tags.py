"""Histories of tags: the events of a plan, whose calls set values with tags, make them, look for them, and invalidate tags; and what may not be.

A value is *overtaken* when one of its tags was invalidated by a call that began after the value had been stored, as far as its caller was told, or
after its making had begun. Whoever asks for it after that call has ended may not be given it,

    outlived     where the call says that all nodes were told; while nodes have different rings, or one has just come, for a moment more
    not made up  where it says that some were not told, and nothing was wrong since for so long that those have heard of it
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from history_plan import PLAIN, Plan, plan
from history_record import KILLED, Operation
from history_times import Violation, asked_since
from simulated_cluster import Process, SimulatedCluster, place_of
from simulation import Run, simulated

from zmcache.errors import NotAllTold, ZmcacheError

TAGS: Final = 3
# By then each node has asked every other, and waited for one that did not answer.
MADE_UP_S: Final = 4.0
# For rings that differ, and clocks that do.
_RINGS_S: Final = 2.5
_CLOCKS_S: Final = 0.1


@dataclass(slots=True)
class Stored:
    """A value, which no other call brings."""

    key: str
    tags: tuple[str, ...]
    held_s: float
    """Since when it is there at the latest, or its making began; inf: not known."""


class Invalidation(NamedTuple):
    """Of one tag. ``is_whole``: the call says that all nodes were told."""

    tag: str
    began_s: float
    ended_s: float
    is_whole: bool


class TagsRun(Run):
    """Carries out a plan so."""

    def __init__(self, cluster: SimulatedCluster, drawn: Plan) -> None:
        super().__init__(cluster, drawn.events)
        self._number = 0
        self.stored: dict[bytes, Stored] = {}
        self.invalidations: list[Invalidation] = []
        self.reads: list[Operation] = []

    def call(
        self,
        process: Process,
        kind: str,
        group: str,
        key: str,
        where: int,
        timeout_s: float,
        life_s: float,
        give_up_s: float,
    ) -> None:
        """See `Run.call`."""
        key = f"p{key[1:]}"
        self._number += 1
        tags = tuple({f"t{where % TAGS}", f"t{where // 7 % TAGS}"})
        value = b"%d of %s" % (self._number, key.encode())
        if kind == "get":
            self._spawn(process, lambda items: self._get(process, items, key, timeout_s))
        elif kind in ("delete", "incr"):
            self._spawn(process, lambda items: self._invalidate(items, tags[0], timeout_s))
        elif where % 4 == 0 or process.node is not None:
            self._spawn(process, lambda items: self._set(items, key, value, tags, timeout_s))
        else:
            self._spawn(process, lambda items: self._make(items, key, value, tags, timeout_s))

    def look_at_all(self) -> None:
        """See `Run.look_at_all`."""
        self._world.run(self._world.now + MADE_UP_S)
        for at in range(8):
            for process in self._cluster.places:
                self._spawn(process, partial(self._get, process, key=f"p{at}", timeout_s=3.0))
            self._world.run(self._world.now + 0.01)
        self._world.run(self._world.now + 4.0)

    def _spawn(self, process: Process, call: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        async def run() -> None:
            with contextlib.suppress(ZmcacheError):
                await call((process.node or process.client).group(PLAIN))  # type: ignore[union-attr]

        process.loop.spawn(run())

    async def _get(self, process: Process, group: Any, key: str, timeout_s: float) -> None:
        read = Operation(len(self.reads), "get", PLAIN, key, place_of(process), self._world.now, timeout_s)
        self.reads.append(read)
        try:
            read.result = await group.get(key, timeout=timeout_s)
        finally:
            read.ended_s = self._world.now

    async def _set(self, group: Any, key: str, value: bytes, tags: tuple[str, ...], timeout_s: float) -> None:
        stored = self.stored[value] = Stored(key, tags, math.inf)
        await group.set(key, value, tags=tags, timeout=timeout_s)
        stored.held_s = self._world.now

    async def _make(self, group: Any, key: str, value: bytes, tags: tuple[str, ...], timeout_s: float) -> None:
        async def make() -> bytes:
            self.stored[value] = Stored(key, tags, self._world.now)
            await asyncio.sleep(0.03 * (self._number % 5))
            return value

        await group.get_or_set(key, make, tags=tags, timeout=timeout_s)

    async def _invalidate(self, group: Any, tag: str, timeout_s: float) -> None:
        began_s = self._world.now
        try:
            await group.invalidate_tags(tag, timeout=timeout_s)
        except NotAllTold:
            self.invalidations.append(Invalidation(tag, began_s, self._world.now, is_whole=False))
        else:
            self.invalidations.append(Invalidation(tag, began_s, self._world.now, is_whole=True))

    def violations(self) -> list[Violation]:
        """See the module's docstring."""
        return [violation for read in self.reads if (violation := self._violation(read)) is not None]

    def _violation(self, read: Operation) -> Violation | None:
        stored = self.stored.get(read.result) if read.result is not None else None
        if stored is None:
            return None
        asked_s = asked_since([other for other in self.reads if other.key == read.key], read.began_s)
        for told in self.invalidations:
            if told.tag not in stored.tags or told.began_s <= stored.held_s:
                continue
            if told.is_whole:
                wait_s = 0.0 if self._calm_over(told.began_s - _RINGS_S, read.ended_s) else _RINGS_S
                if asked_s > told.ended_s + wait_s:
                    return Violation("outlived", f"{stored} {told}, by {read}")
            elif told.began_s > stored.held_s + _CLOCKS_S and self._made_up(told, asked_s):
                return Violation("not made up", f"{stored} {told}, by {read}")
        return None

    def _made_up(self, told: Invalidation, asked_s: float) -> bool:
        history = self._cluster.history
        # Who was told may have died before it could tell others.
        if any(each.kind == KILLED and each.at_s > told.began_s for each in history.disturbances):
            return False
        return any(max(since_s, told.ended_s) + MADE_UP_S < asked_s <= until_s for since_s, until_s in history.calm)

    def _calm_over(self, from_s: float, to_s: float) -> bool:
        return any(since_s <= from_s and to_s <= until_s for since_s, until_s in self._cluster.history.calm)


def run_tags(seed: int) -> tuple[TagsRun, list[str]]:
    """The history of that seed, carried out; and what nobody should ever see."""
    drawn = plan(seed)
    with simulated(drawn) as cluster:
        run = TagsRun(cluster, drawn)
        run.run()
    return run, cluster.history.errors
