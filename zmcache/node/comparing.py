"""Comparing with peers what both are to hold, and offering them what they may lack.

Digests, one for each bucket of the keys' hashes, tell where a peer holds something else than this node; keys and versions of what lies
there, and of what was kept here in the peer's place, are offered, and what it wants is sent. One walk over all that is held serves for the
digests of all peers, and one for the offers to all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from array import array
from collections.abc import Callable, Collection, Mapping
from typing import Final

from zmcache.core import wire
from zmcache.core.holding import BUCKETS, Holding, add_to, bucket_of, hash_key, no_digests
from zmcache.core.ring import Ring
from zmcache.errors import Busy, PeerUnavailable, ZmcacheError
from zmcache.node.sending import Sending
from zmcache.node.walking import Handed, walk
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import Mesh

# Who is asked for digests walks over all that it holds, which is about as much as is held here. An answer that was lost is not waited for long.
_QUESTION_LEAST_S: Final = 5.0
_QUESTION_WALKS: Final = 10.0
_QUESTION_MOST_S: Final = 60.0
_FRESH_S: Final = 2.0  # digests are told again, and not computed, for so long
_OFFER_KEYS: Final = 100  # about a millisecond of whoever is asked for them, which serves meanwhile
_OFFERS_AT_ONCE: Final = 4  # or each would cost the way there and back, and a busy peer takes its time
_ANSWERS_MOST: Final = 8  # peers whose digests wait for a walk
_EVERYWHERE: Final = frozenset(range(BUCKETS))
_NOWHERE: Final[frozenset[int]] = frozenset()

_log = logging.getLogger("zmcache.node")


class Comparing:
    """Compares what the ``groups`` of the node ``self_id`` hold with what its peers do."""

    def __init__(
        self,
        mesh: Mesh,
        groups: Mapping[str, Handed],
        self_id: str,
        sending: Sending,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mesh = mesh
        self._groups = groups
        self._me = self_id
        self._sending = sending
        self._clock = clock
        limits = mesh.limits
        # Of what one connection may have in flight a half: others ask over it, too.
        self._offer_keys = max(1, min(_OFFER_KEYS, limits.keys, limits.inflight_requests // (2 * _OFFERS_AT_ONCE)))
        self._digests: dict[str, tuple[Ring, float, dict[str, array[int]]]] = {}
        self._walk_s = 0.0
        self._answering: set[asyncio.Task[None]] = set()
        self.compared = 0

    async def compare_with(self, peers: Collection[str]) -> set[str]:
        """Send what these peers lack. Those of them that were reached throughout, and have now what they should."""
        # What was written here since the digests were made may be just what they lack.
        self._digests.clear()
        reached = {peer for peer in peers if self._channel(peer) is not None}
        self.compared += len(reached)
        for name, group in self._groups.items():
            if reached:
                reached -= await self._compare_group(name, group, reached)
        await self._sending.wait_sent()
        return reached - self._sending.take_failed()

    def answer_soon(self, peer: str, name: str, theirs: list[int], answer: Callable[[bytes], None]) -> bool:
        """``answer`` with a status for each bucket of digests that a peer has sent: `DONE` where they are equal to those here. False: it will not
        be, for others wait for as much.
        """
        if len(self._answering) >= _ANSWERS_MOST:
            return False
        task = asyncio.create_task(self._answer(peer, name, theirs, answer), name="zmcache compare")
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        return True

    def close(self) -> None:
        """Answer nobody any more."""
        for task in self._answering:
            task.cancel()

    async def _answer(self, peer: str, name: str, theirs: list[int], answer: Callable[[bytes], None]) -> None:
        mine = (await self._all_digests(name, self._groups[name])).get(peer) or no_digests()
        answer(bytes(wire.DONE if a == b else wire.KEPT for a, b in zip(mine, theirs, strict=True)))

    def _channel(self, peer: str) -> Channel | None:
        channel = self._mesh.channel_of(peer)
        return channel if channel is not None and channel.usable else None

    async def _compare_group(self, name: str, group: Handed, peers: set[str]) -> set[str]:
        """The peers that could not be asked."""
        lost: set[str] = set()
        differing = dict.fromkeys(peers, _NOWHERE)
        if group.copies > 1:
            found = await asyncio.gather(*(self._differing(peer, name, group) for peer in peers))
            for peer, buckets in zip(list(peers), found, strict=True):
                if buckets is None:
                    lost.add(peer)
                else:
                    differing[peer] = buckets
        holding = Holding(self._mesh.next_ring, group.copies)
        offers: dict[str, list[str]] = {}
        strays = False
        room = asyncio.Semaphore(_OFFERS_AT_ONCE)

        async def offer(peer: str, keys: list[str]) -> None:
            try:
                if not await self._offer(peer, name, group, keys):
                    lost.add(peer)
            finally:
                room.release()

        async with asyncio.TaskGroup() as offering:
            async for key in walk(group):
                position = hash_key(key)
                holders = holding.of(position)
                for peer in holders:
                    # What this node is not to hold itself it kept in the peer's place.
                    if peer in differing and (self._me not in holders or bucket_of(position) in differing[peer]):
                        strays = strays or self._me not in holders
                        offered = offers.setdefault(peer, [])
                        offered.append(key)
                        if len(offered) >= self._offer_keys:
                            del offers[peer]
                            await room.acquire()
                            offering.create_task(offer(peer, offered))
            for peer, offered in offers.items():
                await room.acquire()
                offering.create_task(offer(peer, offered))
        await self._sending.flush()
        if strays and not lost:
            group.let_go()
        return lost

    async def _differing(self, peer: str, name: str, group: Handed) -> frozenset[int] | None:
        """The buckets that are not alike; None: it did not say."""
        mine = (await self._all_digests(name, group)).get(peer) or no_digests()
        reply = await self._ask(peer, wire.DIGESTS, name, lambda header: wire.Digests(*header, mine.tolist(), self._me))
        if not isinstance(reply, wire.Answer):
            return None
        if len(reply.statuses) != BUCKETS:
            return _EVERYWHERE
        return frozenset(at for at, status in enumerate(reply.statuses) if status != wire.DONE)

    async def _offer(self, peer: str, name: str, group: Handed, keys: list[str]) -> bool:
        """Send what the peer wants of these; False: it could not be asked."""
        versions = [group.version_of(key) for key in keys]
        nothing: list[bytes | None] = [None] * len(keys)
        ttls = [wire.FOREVER] * len(keys)
        reply = await self._ask(
            peer, wire.OFFER, name, lambda header: wire.Changes(*header, keys, nothing, ttls, versions)
        )
        if not isinstance(reply, wire.Answer):
            return False
        positions = range(len(keys)) if reply.positions is None else reply.positions
        for at, status in zip(positions, reply.statuses, strict=True):
            if status == wire.DONE and at < len(keys):
                copy = group.copy_of(keys[at])
                if copy is not None:
                    await self._sending.add(peer, name, copy)
        return True

    async def _ask(
        self, peer: str, kind: int, name: str, make: Callable[[wire.Header], wire.Message]
    ) -> wire.Reply | None:
        channel = self._channel(peer)
        if channel is None:
            return None
        try:
            within_s = min(_QUESTION_MOST_S, _QUESTION_LEAST_S + _QUESTION_WALKS * self._walk_s)
            return await channel.query(kind, self._mesh.clock() + within_s, name, make=make)
        except (PeerUnavailable, Busy):
            return None  # it will be back, or have time
        except ZmcacheError as error:
            _log.warning("what %s lacks of group %s was not handed over: %s", peer, name, error)
            return None

    async def _all_digests(self, name: str, group: Handed) -> dict[str, array[int]]:
        """Of each peer: digests of what it and this node are both to hold."""
        ring = self._mesh.next_ring
        known = self._digests.get(name)
        if known is not None and known[0] is ring and self._clock() - known[1] < _FRESH_S:
            return known[2]
        holding, began_s = Holding(ring, group.copies), self._clock()
        found: dict[str, array[int]] = {}
        async for key in walk(group):
            version, position = group.version_of(key), hash_key(key)
            holders = holding.of(position)
            if version and self._me in holders:
                for peer in holders:
                    if peer != self._me:
                        add_to(found.setdefault(peer, no_digests()), position, version)
        self._walk_s = self._clock() - began_s
        self._digests[name] = ring, self._clock(), found
        return found
