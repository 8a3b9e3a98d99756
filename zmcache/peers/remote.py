"""The `Peers` of a group in a node: a key of another node is asked of its owner, then of the owner's stand-in, in one hop.

An answer is an answer, "no such key" and a loader's error among them. Only a transport failure sends a request on, once, to the next of
``owners(key, 2)``; when that is this node itself, or fails as well, the outcome is `PeerUnavailable` and the group loads here. What is the
same done twice may be asked twice; of the rest, what may have been delivered is not asked again, and its outcome is `OutcomeUnknown`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from zmcache.core.flight import Outcome, Waiter, failure
from zmcache.core.wire import FILLS, FIRST_ERROR, FORWARDED, GET, LEASED, LEASED_NONE, RELEASE, Answer, Change
from zmcache.errors import PeerUnavailable, ZmcacheError, from_code
from zmcache.peers.batch import Batch, undone
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import Mesh

_RELEASE_S: Final = 1.0


class _Errand:
    """One key's request, kept whole so that it can be asked again elsewhere; ``batch`` is the one it went with."""

    __slots__ = ("batch", "change", "deadline_s", "flags", "given_up", "group", "on_answer", "trace")

    def __init__(
        self, group: str, change: Change, deadline_s: float, on_answer: Waiter, trace: str | None, flags: int
    ) -> None:
        self.group, self.change, self.deadline_s = group, change, deadline_s
        self.on_answer, self.trace, self.flags = on_answer, trace, flags
        self.batch: Batch | None = None
        self.given_up = False


class RemotePeers:
    """Asks over a mesh on behalf of node ``self_id``. ``clock`` is that of its groups: expiries are told by it."""

    def __init__(self, mesh: Mesh, self_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mesh = mesh
        self._self_id = self_id
        self._open: dict[tuple[Channel, int, int, str, int, str | None], Batch] = {}

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

    def ask(self, group: str, key: str, deadline_s: float, on_answer: Waiter, trace: str | None) -> object:
        """See `zmcache.group.Peers`."""
        return self._ask_owner(_Errand(group, Change(GET, key), deadline_s, on_answer, trace, FORWARDED))

    def change(self, group: str, change: Change, deadline_s: float, on_answer: Waiter, trace: str | None) -> object:
        """See `zmcache.group.Peers`."""
        flags = FORWARDED | FILLS if change.kind == GET else FORWARDED
        return self._ask_owner(_Errand(group, change, deadline_s, on_answer, trace, flags))

    def give_up(self, asked: object) -> None:
        """See `zmcache.group.Peers`."""
        if isinstance(asked, _Errand) and asked.batch is not None:
            asked.given_up = True
            asked.batch.channel.forgo(asked.batch, asked)

    def _ask_owner(self, errand: _Errand) -> _Errand:
        channel = self._mesh.owner_channel(errand.change.key)
        if channel is not None and channel.usable:
            self._send(errand, channel, attempt=0)
        else:
            self._ask_elsewhere(errand, channel)
        return errand

    def _ask_elsewhere(self, errand: _Errand, failed: Channel | None) -> None:
        """Ask the first of the key's owners, as the ring is now, that did not just fail, unless that is this node."""
        for member in self._mesh.ring.owners(errand.change.key, 2):
            if member.node_id == self._self_id:
                break
            channel = self._mesh.channel_of(member.node_id)
            if channel is not None and channel is not failed and channel.usable:
                self._send(errand, channel, attempt=1)
                return
        errand.on_answer(failure(PeerUnavailable(f"nobody who could answer for {errand.change.key!r} can be reached")))

    def _send(self, errand: _Errand, channel: Channel, *, attempt: int) -> None:
        change = errand.change
        slot = (channel, change.kind, errand.flags, errand.group, attempt, errand.trace)
        batch = self._open.get(slot)
        if batch is None or not batch.open:
            if len(self._open) > 1024:
                self._open.clear()  # left over from groups and channels of long ago; an open batch is merely not added to any more
            batch = self._open[slot] = channel.open_batch(
                self, change.kind, errand.group, flags=errand.flags, attempt=attempt
            )
            batch.trace = errand.trace
        errand.batch = batch
        if change.kind == GET:
            batch.add(change.key, errand, errand.deadline_s)
        else:
            batch.add_change(change, errand, errand.deadline_s)

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """From the channel."""
        now_s = self._clock()
        for errand, status, value, life_ms, token in batch.fill(answer):
            if status >= FIRST_ERROR:
                self._failed(batch, errand, from_code(status, str(value)), told=True)
            elif errand.given_up and status in (LEASED, LEASED_NONE):
                # Granted to nobody, who was cancelled meanwhile: the next one is not to wait until its time is over.
                release = Change(RELEASE, errand.change.key, token=token)
                soon_s = self._mesh.clock() + _RELEASE_S
                self._ask_owner(_Errand(errand.group, release, soon_s, lambda _: None, None, FORWARDED))
            else:
                ends_s = math.inf if life_ms < 0 else now_s + life_ms / 1000
                errand.on_answer(Outcome(value, status, ends_s, None, token))

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """From the channel."""
        for errand in batch.unfilled():
            self._failed(batch, errand, error)

    def _failed(self, batch: Batch, errand: _Errand, error: ZmcacheError, *, told: bool = False) -> None:
        """``told``: the peer itself says so, and so has not done it."""
        error = error if told else undone(batch, error)
        # A peer that says so itself is stopping: no answer either.
        if batch.attempt == 0 and isinstance(error, PeerUnavailable):
            self._ask_elsewhere(errand, batch.channel)
        else:
            errand.on_answer(failure(error))
