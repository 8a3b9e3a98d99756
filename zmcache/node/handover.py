"""Handing over: who is to hold something, and lacks it, is sent it by one who has it.

Three things bring it about, and a walk over what is held here, in slices, answers each:

- *The ring has moved*, or somebody joins. From the ring that all was handed over for (``_settled``) to the one that counts who joins: of each
  key the first holder by the old ring that can still be reached sends it to those who were no holders, a node that joins among them,
  whatever it held once. Who leaves sends only what nobody else holds. Afterwards this node lets go of what is not its own any more.
- *A peer is back* that could not be reached: what it was to be sent meanwhile it lacks. Digests of what both are to hold tell in which buckets
  of hashes they differ; of these, and of what was kept here in its place, keys and versions are offered, and what it wants is sent.
- *A peer doubts* what it holds: it was away itself (`Doubt`). The same, and it is told when all has been sent. It may ask before it is in use
  again here, or is in this node's ring; then it is compared with as soon as it is.

The newest version wins wherever something arrives (`zmcache.changing`), so nothing here has to be exact: what is sent twice, or too late,
does no harm. What does not arrive, because the peer is gone again, is sent when it is back.

One task walks; a ring that moves meanwhile begins the walk again, still from the ring that was settled. ``rate_bytes`` a second is what it
sends at the most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from zmcache.core import wire
from zmcache.core.holding import Holding, hash_key
from zmcache.core.ring import JOINING, LEAVING, Epoch, Ring
from zmcache.node.comparing import Comparing
from zmcache.node.sending import Sending
from zmcache.node.walking import Handed, walk
from zmcache.peers.mesh import Mesh

_TOLD_S: Final = 60.0
_AGAIN_S: Final = 1.0  # to two of it, and twice that each time: until who could not be compared with, though it is there, is asked again
_AGAIN_MOST: Final = 32  # times that
_RINGS_AGREE_S: Final = 2.0  # all have heard of a change by then, unless they are cut off from etcd
_OWED_MOST: Final = 4096  # names; who asks may give any

_log = logging.getLogger("zmcache.node")


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
        self._settled = self._handed_for = self._settled_in_use = Ring.EMPTY
        # Peers that are to be compared with, and the number by which they are to be told (0: that of who joins; None: they are not).
        self._pairs: dict[str, int | None] = {}
        # Those that asked by a newer ring: the number, the ring's epoch, and until when it is waited for.
        self._ahead: dict[str, tuple[int, Epoch, asyncio.TimerHandle]] = {}
        self._owed: dict[str, int] = {}  # those that are to be told, and could not be compared with yet
        self._tries: dict[str, int] = {}
        self._again: dict[str, asyncio.TimerHandle] = {}
        self._short: set[str] = set()
        self._closed = False
        self._sending = Sending(mesh, rate_bytes=rate_bytes)
        self._comparing = Comparing(mesh, groups, self_id, self._sending, clock)
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._compared_now: frozenset[str] = frozenset()
        self._began = 0, 0  # keys and bytes that had been sent when this hand-over began
        self.walks = 0
        self.took_s = 0.0

    # -- what happens ----------------------------------------------------------------------------------------------

    def on_ring(self) -> None:
        """The mesh has adopted another ring, or other members."""
        for peer in [peer for peer, (_, epoch, _) in self._ahead.items() if not self._is_behind(epoch)]:
            self._answer(peer)
        self._wake()

    def on_doubt(self, peer: str, number: int, epoch: Epoch) -> None:
        """A peer with a ring of that epoch doubts what it holds; it is told by that number, once this node has that ring, too, or should have."""
        # It asks by one number at a time. The time of an earlier question is not this one's.
        before = self._ahead.pop(peer, None)
        if before is not None:
            before[2].cancel()
        if not self._is_behind(epoch) or len(self._ahead) >= _OWED_MOST:
            self.on_peer_back(peer, tell=number)
        else:
            # What it is to be given by that ring would not be sent from here yet.
            self._ahead[peer] = number, epoch, self._loop.call_later(_RINGS_AGREE_S, self._answer, peer)

    def _is_behind(self, theirs: Epoch) -> bool:
        # One may have counted further than the other, and have the same members.
        mine = self._mesh.ring.epoch
        return theirs.revision > mine.revision and theirs.digest != mine.digest

    def _answer(self, peer: str) -> None:
        asked = self._ahead.pop(peer, None)
        if asked is not None:
            asked[2].cancel()
            self.on_peer_back(peer, tell=asked[0])

    def on_peer_back(self, peer: str, *, tell: int | None = None) -> None:
        """A peer answers again that did not. ``tell``: it has asked to be told when all has been handed over, by this number."""
        if self._mesh.channel_of(peer) is not None:
            self._pairs[peer] = self._pairs.get(peer) if tell is None else tell
            self._wake()
        elif tell is not None and len(self._owed) < _OWED_MOST:
            self._owed[peer] = tell

    async def wait_settled(self) -> None:
        """Return when nothing is left to be handed over, as far as peers can be reached."""
        await self._idle.wait()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self._idle.is_set()

    @property
    def handed_for(self) -> tuple[Ring, Ring]:
        """The rings for which all has been handed over, nothing of which is let go of: the last one, and the last that was no mere prospect."""
        return self._settled, self._settled_in_use

    @property
    def lacking(self) -> frozenset[str]:
        """Peers that are still to be compared with."""
        return self._compared_now.union(self._pairs, self._owed)

    @property
    def short(self) -> set[str]:
        """Members that lack something which this node has for them: it did not arrive, or could not be sent."""
        self._short = {peer for peer in self._short if peer in self._mesh.ring}
        return self._short

    def statistics(self) -> dict[str, float]:
        """Counters since the start: keys and bytes sent; and whether anything is under way, with what this one has sent so far."""
        sending, under_way = self._sending, not self._idle.is_set()
        keys, size = self._began
        return {
            "handover.keys": sending.keys,
            "handover.bytes": sending.bytes,
            "handover.failed": sending.failed,
            "handover.under_way": float(under_way),
            "handover.keys_now": under_way * (sending.keys - keys),
            "handover.bytes_now": under_way * (sending.bytes - size),
            "handover.walks": self.walks,
            "handover.took_s": round(self.took_s, 3),
            "handover.compared": self._comparing.compared,
        }

    async def aclose(self) -> None:
        """Stop where it is."""
        self._closed = True
        for timer in (*self._again.values(), *(asked[2] for asked in self._ahead.values())):
            timer.cancel()
        self._again.clear()
        self._ahead.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._comparing.close()

    def _wake(self) -> None:
        if self._closed:
            return
        if self._idle.is_set():
            self._idle.clear()
            self._began = self._sending.keys, self._sending.bytes
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
        for peer in [peer for peer in self._owed if self._reaches(peer)]:
            self._pairs[peer] = self._owed.pop(peer)
        if self._pairs and not self._work.is_set():
            pairs, self._pairs = self._pairs, {}
            joining = {member.node_id for member in self._mesh.ring.members if member.state == JOINING}
            self._compared_now = frozenset(pairs)
            try:
                compared = await self._comparing.compare_with(pairs)
            finally:
                self._compared_now = frozenset()
            self._short -= compared
            for peer in compared:
                number = pairs[peer]
                if number:
                    self._tell(peer, number)
                # Who joins waits for that word, and may not have got it when its connection broke. What it asked for before it began anew, or
                # asks since it serves, has a number.
                if peer in joining:
                    self._tell(peer, 0)
            self._owed.update({peer: tell for peer, tell in pairs.items() if tell is not None and peer not in compared})
            self._tries = {peer: tries for peer, tries in self._tries.items() if peer not in compared}
            for peer in pairs.keys() - compared:
                # It had no time, or what it was sent did not arrive. Who cannot be reached is compared with when it is back.
                if self._reaches(peer):
                    self._try_again(peer)

    def _try_again(self, peer: str) -> None:
        tries = self._tries[peer] = min(_AGAIN_MOST, 2 * self._tries.get(peer, 0) or 1)
        # Not all at the same time: each pair at one of its own.
        again_s = _AGAIN_S * tries * (1 + hash_key(f"{self._me} {peer}") % 1000 / 1000)
        if peer in self._again:
            self._again[peer].cancel()
        self._again[peer] = self._loop.call_later(again_s, self._compare_again, peer)

    def _compare_again(self, peer: str) -> None:
        del self._again[peer]
        self.on_peer_back(peer)

    # -- the ring has moved ----------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        target, settled = self._mesh.next_ring, self._settled
        if not target:
            return
        members = self._mesh.ring.members
        joining = {member.node_id for member in members if member.state == JOINING} - {self._me}
        moved = not settled.places_as(target)
        if settled and (moved or (joining and target is not self._handed_for)):
            self.walks += 1
            began_s = self._clock()
            leaving = {member.node_id for member in members if member.state == LEAVING}
            for name, group in self._groups.items():
                if not await self._hand_over(name, group, target, joining, leaving):
                    return  # the ring has moved on: once more, from the same settled one
            await self._sending.wait_sent()
            self.took_s += self._clock() - began_s
            if moved:
                # The first holder of a key may not have had what the second has.
                for peer in self._sharing():
                    self._pairs.setdefault(peer, None)
        joined_now = joining if target is not self._handed_for else set[str]()
        self._settled = self._handed_for = target
        failed = self._sending.take_failed()
        self._short |= failed
        for peer in failed | joined_now:
            # Who joins is told once it has been compared with, too: what another was to send it may not have come.
            if self._pairs.setdefault(peer, None) is None and peer in joining:
                self._pairs[peer] = 0
        # While somebody joins, this node still serves what it will not own any more.
        if target is self._mesh.ring:
            self._settled_in_use = target
        if settled and target is self._mesh.ring:
            for group in self._groups.values():
                group.let_go()

    async def _hand_over(self, name: str, group: Handed, target: Ring, joining: set[str], leaving: set[str]) -> bool:
        """One group. False: the ring has moved on meanwhile."""
        before, after = Holding(self._settled, group.copies), Holding(target, group.copies)
        senders: dict[tuple[str, ...], str | None] = {}
        async for key in walk(group):
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
                else:
                    self._sending.passed_over(peer)

    def _sharing(self) -> list[str]:
        """Whom this node holds anything together with."""
        if all(group.copies == 1 for group in self._groups.values()):
            return []
        return [m.node_id for m in self._mesh.ring.members if m.state != LEAVING and m.node_id != self._me]

    def compare(self, peer: str, name: str, theirs: list[int], answer: Callable[[bytes], None]) -> bool:
        """See `Comparing.answer_soon`."""
        return self._comparing.answer_soon(peer, name, theirs, answer)

    def _tell(self, peer: str, number: int) -> None:
        channel = self._mesh.channel_of(peer)
        if channel is not None:
            told = channel.query(
                wire.HANDED, self._mesh.clock() + _TOLD_S, self._me, make=lambda header: wire.Word(*header, number)
            )
            told.add_done_callback(lambda future: future.cancelled() or future.exception())
