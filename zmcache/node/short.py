"""How many entries have fewer holders than they are to have, as far as this node can know: for people, who want to see it reach zero.

Counted are entries that are held here, of which this node is the first holder in reach, so that the sum over the nodes counts none twice. A
holder counts if it can be reached, and was a holder already when all was last handed over: what is on its way to a new one does not count
before all of it has arrived, and a peer that is back does not before it has been compared with.

What is not known here is not counted: that a holder has evicted its copy. What was written while a holder could not be reached is held by the next
node in its place, and is counted all the same, until the ring knows of it or the holder is back.

A walk over all entries, about 2 us each, in slices with pauses; it begins when something changed that the count depends on: the ring, what has been
handed over, or who can be reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from zmcache.core.holding import Holding, hash_key
from zmcache.core.ring import Ring
from zmcache.core.wire import GONE_FLAG
from zmcache.node.walking import Handed
from zmcache.peers.mesh import Mesh

_LOOK_S: Final = 0.5
_SLICE_KEYS: Final = 200  # half a millisecond
_PAUSE_S: Final = 0.004  # no hurry: most of the loop is for those who ask


class HandedOver(NamedTuple):
    """What is known of others' copies."""

    rings: tuple[Ring, ...]
    """Those for which all has been handed over, and nothing has been let go of since."""
    lacking: frozenset[str]
    """Peers that were away, and have not been compared with since."""


class Shortage:
    """Counts until `close`. ``known``: asked at the beginning of each walk."""

    def __init__(self, mesh: Mesh, groups: Mapping[str, Handed], self_id: str, known: Callable[[], HandedOver]) -> None:
        self._mesh = mesh
        self._groups = {name: group for name, group in groups.items() if group.copies > 1}
        self._me = self_id
        self._known = known
        self._counted: object = None
        self.counts = dict.fromkeys(groups, 0)
        """By group, as last counted."""
        self._task: asyncio.Task[None] | None = None
        if self._groups:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="zmcache shortage")

    async def aclose(self) -> None:
        """Count no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            basis = self._basis()
            if basis != self._counted:
                self.counts |= {name: await self._count(group, *basis) for name, group in self._groups.items()}
                self._counted = basis

    def _basis(self) -> tuple[Ring, tuple[Ring, ...], frozenset[str]]:
        """What the count depends on: the ring, those that were handed over for, and the peers that do not count."""
        rings, lacking = self._known()
        out_of_reach = {channel.name for channel in self._mesh.used if not channel.usable}
        return self._mesh.ring, rings, lacking | out_of_reach

    async def _count(self, group: Handed, ring: Ring, handed: tuple[Ring, ...], missing: frozenset[str]) -> int:
        now, before = Holding(ring, group.copies), [Holding(one, group.copies) for one in handed]
        short = 0
        cursor: int | None = None
        while True:
            keys, cursor = group.visit_held(cursor, _SLICE_KEYS)
            for key in keys:
                position = hash_key(key)
                there = [peer for peer in now.of(position) if peer not in missing]
                if not there or there[0] != self._me:
                    continue
                had = {peer for holding in before for peer in holding.of(position)}
                if sum(peer == self._me or peer in had for peer in there) < group.copies:
                    copy = group.copy_of(key)
                    # Neither a delete nor that there is no such key is an entry.
                    short += copy is not None and not copy.flags & GONE_FLAG
            if cursor is None:
                return short
            await asyncio.sleep(_PAUSE_S)
