"""The `Peers` of a group in a node: a key of another node is asked of its owner, then of the owner's stand-in, in one hop.

An answer is an answer, "no such key" and a loader's error among them. Only a transport failure sends a request on, once, to the next of
``owners(key, 2)``; when that is this node itself, or fails as well, the outcome is `PeerUnavailable` and the group loads here. Gets, sets and
deletes may all be asked twice: the same set or delete done twice leaves what it leaves done once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from zmcache.core.flight import Outcome, Waiter, failure
from zmcache.core.wire import FIRST_ERROR, FORWARDED, GET, SET, Answer
from zmcache.errors import PeerUnavailable, ZmcacheError, from_code
from zmcache.peers.batch import Batch
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import Mesh


class _Errand(NamedTuple):
    """One key's request, kept whole so that it can be asked again elsewhere."""

    kind: int
    group: str
    key: str
    value: bytes
    ttl_ms: int
    deadline_s: float
    on_answer: Waiter


class RemotePeers:
    """Asks over a mesh on behalf of node ``self_id``."""

    def __init__(self, mesh: Mesh, self_id: str) -> None:
        self._mesh = mesh
        self._self_id = self_id
        self._open: dict[tuple[Channel, int, str, int], Batch] = {}

    @property
    def ring_token(self) -> object:
        """The ring itself: each is built once and never changed."""
        return self._mesh.ring

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives ``key`` to this node; with no ring yet, everything is."""
        ring = self._mesh.ring
        return not ring or ring.owner(key).node_id == self._self_id

    def stands_in(self, key: str) -> bool:
        """Whether this node is the second of the key's owners."""
        owners = self._mesh.ring.owners(key, 2)
        return len(owners) == 2 and owners[1].node_id == self._self_id

    def ask(self, group: str, key: str, deadline_s: float, on_answer: Waiter) -> None:
        """See `zmcache.group.Peers`."""
        self._ask_owner(_Errand(GET, group, key, b"", 0, deadline_s, on_answer))

    def write(
        self, kind: int, group: str, key: str, value: bytes, ttl_ms: int, deadline_s: float, on_answer: Waiter
    ) -> None:
        """See `zmcache.group.Peers`."""
        self._ask_owner(_Errand(kind, group, key, value, ttl_ms, deadline_s, on_answer))

    def _ask_owner(self, errand: _Errand) -> None:
        channel = self._mesh.owner_channel(errand.key)
        if channel is not None and channel.usable:
            self._send(errand, channel, attempt=0)
        else:
            self._ask_elsewhere(errand, channel)

    def _ask_elsewhere(self, errand: _Errand, failed: Channel | None) -> None:
        """Ask the first of the key's owners, as the ring is now, that did not just fail, unless that is this node."""
        for member in self._mesh.ring.owners(errand.key, 2):
            if member.node_id == self._self_id:
                break
            channel = self._mesh.channel_of(member.node_id)
            if channel is not None and channel is not failed and channel.usable:
                self._send(errand, channel, attempt=1)
                return
        errand.on_answer(failure(PeerUnavailable(f"nobody who could answer for {errand.key!r} can be reached")))

    def _send(self, errand: _Errand, channel: Channel, *, attempt: int) -> None:
        slot = (channel, errand.kind, errand.group, attempt)
        batch = self._open.get(slot)
        if batch is None or not batch.open:
            if len(self._open) > 1024:
                self._open.clear()  # left over from groups and channels of long ago; an open batch is merely not added to any more
            batch = self._open[slot] = channel.open_batch(
                self, errand.kind, errand.group, flags=FORWARDED, attempt=attempt
            )
        if errand.kind == SET:
            batch.add_set(errand.key, errand.value, errand.ttl_ms, errand, errand.deadline_s)
        else:
            batch.add(errand.key, errand, errand.deadline_s)

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """From the channel."""
        now_s = self._mesh.clock()
        for errand, status, value, life_ms in batch.fill(answer):
            if status >= FIRST_ERROR:
                self._failed(batch, errand, from_code(status, str(value)))
            else:
                errand.on_answer(Outcome(value, status, math.inf if life_ms < 0 else now_s + life_ms / 1000))

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """From the channel."""
        for errand in batch.unfilled():
            self._failed(batch, errand, error)

    def _failed(self, batch: Batch, errand: _Errand, error: ZmcacheError) -> None:
        # A peer that says so itself is stopping: no answer either.
        if batch.attempt == 0 and isinstance(error, PeerUnavailable):
            self._ask_elsewhere(errand, batch.channel)
        else:
            errand.on_answer(failure(error))
