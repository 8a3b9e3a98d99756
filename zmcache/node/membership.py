"""From snapshots of the members to the ring in use: built off the loop, adopted in order, and guarded against a sudden emptiness.

If one snapshot removes more than a third of the members (those who announced their leave not counted), it is more likely that the
membership service lost its memory than that a third of the machines died in one moment: those that still answer pings stay in the
ring for a minute.

A snapshot from which no ring can be built changes nothing: the last ring stays, and the next snapshot is tried afresh. Only a node that
has no ring yet cannot go on, and its start says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from zmcache.core.ring import JOINING, LEAVING, SERVING, Member, Ring, as_if_serving
from zmcache.core.wire import PING, Reply
from zmcache.discovery.base import Snapshot
from zmcache.errors import DiscoveryError
from zmcache.peers.building import build_ring
from zmcache.peers.channel import Channel, State
from zmcache.peers.mesh import Mesh

HOLD_S: Final = 60.0
_PING_TIMEOUT_S: Final = 1.0

_log = logging.getLogger("zmcache.node")


def suddenly_gone(members: tuple[Member, ...], snapshot: Snapshot, self_id: str) -> list[Member]:
    """The members that a snapshot drops without their having said so, if they are more than a third of all; else none."""
    staying = {member.node_id for member in snapshot.members}
    gone = [m for m in members if m.node_id not in staying and m.state != LEAVING and m.node_id != self_id]
    return gone if len(gone) * 3 > len(members) else []


class Membership:
    """Feeds a mesh with rings. ``on_ring`` is called after each adoption."""

    def __init__(
        self, mesh: Mesh, self_id: str, on_ring: Callable[[], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._mesh = mesh
        self._self_id = self_id
        self._on_ring = on_ring
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._latest: Snapshot | None = None
        self._held: dict[str, tuple[Member, float]] = {}
        self._building: asyncio.Task[None] | None = None
        self._failure: DiscoveryError | None = None  # of the latest snapshot; None where it became a ring
        self._changed = False
        self._closed = False
        self._adopted = asyncio.Event()
        self.rings_built = 0

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """From the discovery."""
        gone = suddenly_gone(self._mesh.ring.members, snapshot, self._self_id)
        # Those who are held already are still in the ring; their minute runs on.
        gone = [member for member in gone if member.node_id not in self._held]
        if gone:
            _log.warning(
                "%d of %d members vanished at once; those that answer stay for a minute",
                len(gone),
                len(self._mesh.ring.members),
            )
        until_s = self._clock() + HOLD_S
        for member in gone:
            self._held[member.node_id] = (member, until_s)
            self._ping(self._mesh.channel_of(member.node_id))
        for member in snapshot.members:
            self._held.pop(member.node_id, None)
        self._latest = snapshot
        self._rebuild()

    def check_held(self) -> None:
        """Let go of held members that do not answer, or whose minute is over. Called about once a second."""
        now_s = self._clock()
        for node_id, (_, until_s) in list(self._held.items()):
            channel = self._mesh.channel_of(node_id)
            if channel is not None and channel.state is State.NEW:
                # A ring that was being built when the member vanished has been without it since: the way to it was made anew.
                self._ping(channel)
            answers = channel is not None and channel.state in (State.UP, State.TRIAL, State.NEW, State.CONNECTING)
            if now_s >= until_s or not answers:
                del self._held[node_id]
                self._rebuild()

    def _ping(self, channel: Channel | None) -> None:
        if channel is not None:
            # Opens the connection where nobody has needed it yet; the answer itself shows in the channel's state.
            channel.query(PING, self._clock() + _PING_TIMEOUT_S).add_done_callback(_retrieve)

    @property
    def held(self) -> int:
        """Members that are in the ring although the membership service does not name them."""
        return len(self._held)

    async def wait_ring(self) -> None:
        """Return when every snapshot so far is in the ring. Raises `DiscoveryError` where none could be built and there is no ring yet."""
        await self._wait_built()
        if self._failure is not None and not self._mesh.ring:
            raise self._failure

    async def wait_state(self, node_id: str, state: str, within_s: float) -> bool:
        """Return when the ring has that node in that state, at the latest after ``within_s``; whether it has."""
        deadline_s = self._loop.time() + within_s
        while (member := self._mesh.ring.member(node_id)) is None or member.state != state:
            left_s = deadline_s - self._loop.time()
            if left_s <= 0 or self._closed:
                return False
            self._adopted.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._adopted.wait(), left_s)
        return True

    async def aclose(self) -> None:
        """Stop building."""
        self._closed = True
        self._adopted.set()
        await self._wait_built()

    async def _wait_built(self) -> None:
        while self._building is not None:
            await asyncio.wait([self._building])

    def _rebuild(self) -> None:
        self._changed = True
        if self._building is None and not self._closed:
            self._building = self._loop.create_task(self._build(), name="zmcache ring")

    async def _build(self) -> None:
        try:
            while self._changed and not self._closed:
                self._changed = False
                assert self._latest is not None
                members = (*self._latest.members, *(member for member, _ in self._held.values()))
                ring = await self._ring_of(members, self._latest.revision)
                next_ring = ring
                if ring is not None and any(member.state == JOINING for member in members):
                    next_ring = await self._ring_of(as_if_serving(members), self._latest.revision)
                if ring is not None and ring.epoch != self._mesh.ring.epoch and not self._closed:
                    self.rings_built += 1
                    states = Counter(member.state for member in ring.members)
                    others = "".join(f", {states[state]} {state}" for state in (JOINING, LEAVING) if states[state])
                    _log.info(
                        "ring of %d serving nodes%s at revision %d",
                        states[SERVING],
                        others and others + ",",
                        ring.epoch.revision,
                    )
                    self._mesh.adopt(ring, next_ring)
                    self._adopted.set()
                    self._on_ring()
        finally:
            self._building = None

    async def _ring_of(self, members: tuple[Member, ...], revision: int) -> Ring | None:
        """Built off the loop; None where it cannot be, which is logged once for each cause."""
        previous = self._mesh.ring
        try:
            ring = await build_ring(members, revision, previous)
        except Exception as error:
            failure = DiscoveryError(f"no ring can be built of {len(members)} members: {str(error) or repr(error)}")
            failure.__cause__ = error
            known = self._failure is not None and repr(self._failure.__cause__) == repr(error)
            if previous and not known:
                _log.error("%s; the last one stays", failure, exc_info=error)
            self._failure = failure
            return None
        self._failure = None
        return ring


def _retrieve(future: asyncio.Future[Reply]) -> None:
    if not future.cancelled():
        future.exception()
