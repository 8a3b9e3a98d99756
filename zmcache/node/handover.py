"""Handing over: who is to hold something, and lacks it, is sent it by one who has it.

Three things bring it about, and a walk over what is held here, in slices, answers each:

- *The ring has moved*, or somebody joins. From the ring that all was handed over for (``_settled``) to the one that counts who joins: of each
  key the first holder by the old ring that can still be reached sends it to those who were no holders, a node that joins among them,
  whatever it held once. Who leaves sends only what nobody else holds. Afterwards this node lets go of what is not its own any more.
- *A peer is back* that could not be reached: what it was to be sent meanwhile it lacks. Digests of what both are to hold tell in which buckets
  of hashes they differ; of these, and of what was kept here in its place, keys and versions are offered, and what it wants is sent.
- *A peer doubts* what it holds: it was away itself (`Doubt`). The same, and it is told when all has been sent.

The newest version wins wherever something arrives (`zmcache.changing`), so nothing here has to be exact: what is sent twice, or too late,
does no harm. What does not arrive, because the peer is gone again, is sent when it is back.

One task walks; a ring that moves meanwhile begins the walk again, still from the ring that was settled. ``rate_bytes`` a second is what it
sends at the most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from array import array
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, Protocol

from zmcache.core import wire
from zmcache.core.holding import BUCKETS, Holding, add_to, bucket_of, hash_key, no_digests
from zmcache.core.ring import JOINING, LEAVING, Ring
from zmcache.errors import MeshError, ZmcacheError
from zmcache.node.sending import Sending
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import Mesh

_SLICE_KEYS: Final = 200  # about half a millisecond
_PAUSE_S: Final = 0.001
_QUESTION_S: Final = 60.0  # until who was asked for digests has walked over all that it holds
_FRESH_S: Final = 2.0  # digests are told again, and not computed, for so long
_OFFER_KEYS: Final = 500

_log = logging.getLogger("zmcache.node")


class Handed(Protocol):
    """What a group shows of what it holds."""

    @property
    def copies(self) -> int:
        """How many nodes are to hold each key."""

    def visit_held(self, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
        """The next keys that are held, or known to be deleted, and the cursor for the next call."""

    def version_of(self, key: str) -> int:
        """What is held of ``key``, or known of its delete."""

    def copy_of(self, key: str) -> wire.Change | None:
        """What is to be sent of ``key``."""

    def let_go(self, *, everything: bool = False) -> None:
        """Keep what is another's for a short time only."""


class Handover:
    """See the module's docstring. ``on_settled`` is called after each walk that ended with all handed over."""

    def __init__(
        self,
        mesh: Mesh,
        groups: Mapping[str, Handed],
        self_id: str,
        *,
        rate_bytes: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mesh = mesh
        self._groups = groups
        self._me = self_id
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._settled = self._let_go_for = Ring.EMPTY
        self._pairs: dict[str, bool] = {}  # peers that are to be compared with; whether they are to be told
        self._digests: dict[str, tuple[Ring, float, dict[str, array[int]]]] = {}
        self._sending = Sending(mesh, rate_bytes=rate_bytes)
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self.walks = self.compared = 0
        self.took_s = 0.0

    # -- what happens ----------------------------------------------------------------------------------------------

    def on_ring(self) -> None:
        """The mesh has adopted another ring, or other members."""
        self._wake()

    def on_peer_back(self, peer: str, *, tell: bool = False) -> None:
        """A peer answers again that did not. ``tell``: it has asked to be told when all has been handed over."""
        self._pairs[peer] = tell or self._pairs.get(peer, False)
        self._wake()

    async def wait_settled(self) -> None:
        """Return when nothing is left to be handed over, as far as peers can be reached."""
        await self._idle.wait()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self._idle.is_set()

    def statistics(self) -> dict[str, float]:
        """Counters since the start: keys and bytes sent, and how much of the walk that is under way is done (1: none is)."""
        sending = self._sending
        return {
            "handover.keys": sending.keys,
            "handover.bytes": sending.bytes,
            "handover.failed": sending.failed,
            "handover.under_way": float(not self._idle.is_set()),
            "handover.walks": self.walks,
            "handover.took_s": round(self.took_s, 3),
            "handover.compared": self.compared,
        }

    async def aclose(self) -> None:
        """Stop where it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _wake(self) -> None:
        self._idle.clear()
        self._work.set()
        if self._task is None:
            self._task = self._loop.create_task(self._run(), name="zmcache handover")

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self._work_off()
            except Exception:  # whatever it is, the next ring is to be handed over for
                _log.exception("handing over failed; it begins again at the next change")
            if not self._work.is_set():
                self._idle.set()

    async def _work_off(self) -> None:
        await self._settle()
        while self._pairs and not self._work.is_set():
            peer, tell = self._pairs.popitem()
            await self._compare_with(peer, tell=tell)

    # -- the ring has moved ----------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        target, settled = self._mesh.next_ring, self._settled
        if not target:
            return
        members = self._mesh.ring.members
        joining = {member.node_id for member in members if member.state == JOINING} - {self._me}
        if settled and (joining or not settled.places_as(target)):
            self.walks += 1
            began_s = self._clock()
            leaving = {member.node_id for member in members if member.state == LEAVING}
            for name, group in self._groups.items():
                if not await self._hand_over(name, group, target, joining, leaving):
                    return  # the ring has moved on: once more, from the same settled one
            await self._sending.wait_sent()
            self.took_s += self._clock() - began_s
        self._settled = target
        for peer in joining:
            self._tell(peer)
        # While somebody joins, this node still serves what it will not own any more.
        if target is self._mesh.ring and not self._let_go_for.places_as(target):
            self._let_go_for = target
            if settled:
                for group in self._groups.values():
                    group.let_go()

    async def _hand_over(self, name: str, group: Handed, target: Ring, joining: set[str], leaving: set[str]) -> bool:
        """One group. False: the ring has moved on meanwhile."""
        before, after = Holding(self._settled, group.copies), Holding(target, group.copies)
        senders: dict[tuple[str, ...], str | None] = {}
        async for key in self._walk(group):
            if self._mesh.next_ring is not target:
                return False
            position = hash_key(key)
            old, new = before.of(position), after.of(position)
            lacking = [peer for peer in new if peer != self._me and (peer not in old or peer in joining)]
            if not lacking:
                continue
            if self._me in old:
                if old not in senders:
                    senders[old] = self._sender(old, joining, leaving)
                if senders[old] != self._me:
                    continue
            await self._send(name, group, key, lacking)
        await self._sending.flush()
        return True

    def _sender(self, holders: tuple[str, ...], joining: set[str], leaving: set[str]) -> str | None:
        there = [peer for peer in holders if peer not in joining and (peer == self._me or self._reaches(peer))]
        return next((peer for peer in there if peer not in leaving), there[0] if there else None)

    def _reaches(self, peer: str) -> bool:
        channel = self._mesh.channel_of(peer)
        return channel is not None and channel.usable

    async def _send(self, name: str, group: Handed, key: str, peers: list[str]) -> None:
        copy = group.copy_of(key)
        if copy is not None:
            for peer in peers:
                if self._reaches(peer):
                    await self._sending.add(peer, name, copy)

    async def _walk(self, group: Handed) -> AsyncIterator[str]:
        cursor: int | None = None
        while True:
            keys, cursor = group.visit_held(cursor, _SLICE_KEYS)
            for key in keys:
                yield key
            if cursor is None:
                return
            await asyncio.sleep(_PAUSE_S)

    # -- a peer is back --------------------------------------------------------------------------------------------

    async def _compare_with(self, peer: str, *, tell: bool) -> None:
        channel = self._mesh.channel_of(peer)
        if channel is None or not channel.usable:
            return
        self.compared += 1
        try:
            for name, group in self._groups.items():
                await self._compare_group(channel, name, group)
            await self._sending.wait_sent()
        except MeshError as error:
            _log.info("what %s lacks was not handed over: %s", peer, error)
            return
        except ZmcacheError as error:
            _log.warning("%s cannot be compared with: %s", peer, error)
            return
        member = self._mesh.ring.member(peer)
        # Who joins waits for that word, and may not have got it when its connection broke.
        if tell or (member is not None and member.state == JOINING):
            self._tell(peer)

    async def _compare_group(self, channel: Channel, name: str, group: Handed) -> None:
        peer = channel.name
        differing = await self._differing(channel, name, group) if group.copies > 1 else frozenset[int]()
        holding = Holding(self._mesh.next_ring, group.copies)
        offers: list[str] = []
        async for key in self._walk(group):
            position = hash_key(key)
            holders = holding.of(position)
            # What this node is not to hold itself it kept in the peer's place.
            if peer in holders and (self._me not in holders or bucket_of(position) in differing):
                offers.append(key)
                if len(offers) >= _OFFER_KEYS:
                    await self._offer(channel, name, group, offers)
                    offers = []
        if offers:
            await self._offer(channel, name, group, offers)
        await self._sending.flush()

    async def _differing(self, channel: Channel, name: str, group: Handed) -> frozenset[int]:
        mine = (await self._all_digests(name, group)).get(channel.name) or no_digests()
        deadline_s = self._mesh.clock() + _QUESTION_S
        reply = await channel.query(
            wire.DIGESTS, deadline_s, name, make=lambda header: wire.Digests(*header, mine.tolist(), self._me)
        )
        if not isinstance(reply, wire.Answer) or len(reply.statuses) != BUCKETS:
            return frozenset(range(BUCKETS))
        return frozenset(at for at, status in enumerate(reply.statuses) if status != wire.DONE)

    async def _offer(self, channel: Channel, name: str, group: Handed, keys: list[str]) -> None:
        versions = [group.version_of(key) for key in keys]
        deadline_s = self._mesh.clock() + _QUESTION_S
        nothing: list[bytes | None] = [None] * len(keys)
        ttls = [wire.FOREVER] * len(keys)
        reply = await channel.query(
            wire.OFFER, deadline_s, name, make=lambda header: wire.Changes(*header, keys, nothing, ttls, versions)
        )
        if isinstance(reply, wire.Answer):
            positions = range(len(keys)) if reply.positions is None else reply.positions
            for at, status in zip(positions, reply.statuses, strict=True):
                if status == wire.DONE and at < len(keys):
                    await self._send(name, group, keys[at], [channel.name])

    async def _all_digests(self, name: str, group: Handed) -> dict[str, array[int]]:
        """Of each peer: digests of what it and this node are both to hold."""
        ring = self._mesh.next_ring
        known = self._digests.get(name)
        if known is not None and known[0] is ring and self._clock() - known[1] < _FRESH_S:
            return known[2]
        holding = Holding(ring, group.copies)
        found: dict[str, array[int]] = {}
        async for key in self._walk(group):
            version, position = group.version_of(key), hash_key(key)
            holders = holding.of(position)
            if version and self._me in holders:
                for peer in holders:
                    if peer != self._me:
                        add_to(found.setdefault(peer, no_digests()), position, version)
        self._digests[name] = ring, self._clock(), found
        return found

    async def compare(self, peer: str, name: str, theirs: list[int]) -> bytes:
        """A status for each bucket of digests that a peer has sent: `DONE` where they are equal to those here."""
        mine = (await self._all_digests(name, self._groups[name])).get(peer) or no_digests()
        return bytes(wire.DONE if a == b else wire.KEPT for a, b in zip(mine, theirs, strict=True))

    def _tell(self, peer: str) -> None:
        channel = self._mesh.channel_of(peer)
        if channel is not None:
            told = channel.query(wire.HANDED, self._mesh.clock() + _QUESTION_S, self._me)
            told.add_done_callback(lambda future: future.cancelled() or future.exception())
