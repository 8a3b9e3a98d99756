"""Requests of a node to others, from being sent to their outcome: each is asked of one peer, and of the next where that one is out of reach.

An answer is an answer, "no such key" and a loader's error among them. Only a transport failure sends a request on, to the next of the key's
owners; when that is this node itself, or `ATTEMPTS` have failed, the outcome is `PeerUnavailable` and the group loads here. What is the
same done twice may be asked twice; of the rest, what may have been delivered is not asked again, and its outcome is `OutcomeUnknown`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Final

from zmcache.core.flight import Outcome, Waiter, failure
from zmcache.core.wire import (
    FIRST_ERROR,
    FORWARDED,
    FROM_LOADER,
    GET,
    IS_NONE,
    LAST,
    LEASED,
    LEASED_NONE,
    PEEK,
    RELEASE,
    TAGS_FLAG,
    Answer,
    Change,
)
from zmcache.errors import PeerUnavailable, ZmcacheError, from_code
from zmcache.peers.batch import Batch, undone
from zmcache.peers.channel import Channel
from zmcache.peers.hearing import Promised
from zmcache.peers.mesh import ATTEMPTS, Mesh

_RELEASE_S: Final = 1.0


class Errand:
    """One key's request, kept whole so that it can be asked again elsewhere; ``batch`` is the one it went with."""

    __slots__ = (
        "batch",
        "change",
        "deadline_s",
        "flags",
        "given_up",
        "group",
        "looks",
        "on_answer",
        "promised",
        "trace",
    )

    def __init__(
        self, group: str, change: Change, deadline_s: float, on_answer: Waiter, trace: str | None, flags: int
    ) -> None:
        self.group, self.change, self.deadline_s = group, change, deadline_s
        self.on_answer, self.trace, self.flags = on_answer, trace, flags
        self.batch: Batch | None = None
        self.given_up = False
        self.looks = False
        """It only looks whether a copy is there, since the owner is slow."""
        self.promised: Promised | None = None
        """What is kept of the answer is told of."""


class Errands:
    """Those of node ``self_id``, over its mesh. Consumer of the batches they travel in. ``clock``: by which expiries are told."""

    def __init__(self, mesh: Mesh, self_id: str, clock: Callable[[], float]) -> None:
        self._mesh = mesh
        self._self_id = self_id
        self._clock = clock
        self._open: dict[tuple[Channel, int, int, str, int, str | None], Batch] = {}

    def ask_owner(self, errand: Errand) -> Errand:
        """Send it to the owner of its key, or to who stands in for that one."""
        channel = self._mesh.owner_channel(errand.change.key)
        if channel is not None and channel.usable:
            self.send(errand, channel, attempt=0)
        else:
            self._ask_elsewhere(errand, channel, attempt=1)
        return errand

    def send(self, errand: Errand, channel: Channel, *, attempt: int) -> None:
        """Send it there. With ``attempt=ATTEMPTS`` nobody else is asked, should this peer fail."""
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
            if errand.promised is not None:
                batch.keep_next()
            batch.add(change.key, errand, errand.deadline_s)
        else:
            batch.add_change(change, errand, errand.deadline_s)

    def give_up(self, asked: object) -> None:
        """See `zmcache.peering.Peers`."""
        if isinstance(asked, Errand) and asked.batch is not None:
            asked.given_up = True
            asked.batch.channel.forgo(asked.batch, asked)

    def _looked(self, errand: Errand) -> None:
        errand.looks, errand.flags = False, FORWARDED
        self.ask_owner(errand)

    def _ask_last(self, errand: Errand, channel: Channel) -> bool:
        """A peer sends askers on, and there is nobody else: now it is to do what it can. False: it was told so before, or is out of reach."""
        if errand.change.kind != GET or errand.flags & (LAST | PEEK) or not channel.usable:
            return False
        errand.flags |= LAST
        self.send(errand, channel, attempt=ATTEMPTS)
        return True

    def _ask_elsewhere(self, errand: Errand, failed: Channel | None, *, attempt: int, refused: bool = False) -> None:
        """Ask the first of the key's owners, as the ring is now, that did not just fail, unless that is this node. ``refused``: it said so itself."""
        errand.promised = None  # it is owners who tell
        for member in self._mesh.ring.owners(errand.change.key, ATTEMPTS):
            if member.node_id == self._self_id:
                break
            channel = self._mesh.channel_of(member.node_id)
            if channel is not None and channel is not failed and channel.usable:
                self.send(errand, channel, attempt=attempt)
                return
        if not (refused and failed is not None and self._ask_last(errand, failed)):
            unreachable = PeerUnavailable(f"nobody who could answer for {errand.change.key!r} can be reached")
            errand.on_answer(failure(unreachable))

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """From the channel."""
        now_s = self._clock()
        with_tags = _with_tags(batch, answer)
        for errand, status, value, life_ms, token in batch.fill(answer):
            if errand.looks:
                if status <= FROM_LOADER or status == IS_NONE:
                    ends_s = math.inf if life_ms < 0 else now_s + life_ms / 1000
                    errand.on_answer(Outcome(value, status, ends_s, None, 0, errand in with_tags))
                elif not errand.given_up:
                    self._looked(errand)
            elif status >= FIRST_ERROR:
                self._failed(batch, errand, from_code(status, str(value)), told=True)
            elif errand.given_up and status in (LEASED, LEASED_NONE):
                # Granted to nobody, who was cancelled meanwhile: the next one is not to wait until its time is over.
                release = Change(RELEASE, errand.change.key, token=token)
                soon_s = self._mesh.clock() + _RELEASE_S
                self.ask_owner(Errand(errand.group, release, soon_s, lambda _: None, None, FORWARDED))
            else:
                ends_s = math.inf if life_ms < 0 else now_s + life_ms / 1000
                promised, teller = errand.promised, None
                if promised is not None:
                    teller = promised.teller(self._mesh, batch, errand.change.key, answer, status)
                errand.on_answer(Outcome(value, status, ends_s, None, token, errand in with_tags, teller))

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """From the channel."""
        for errand in batch.unfilled():
            self._failed(batch, errand, error)

    def _failed(self, batch: Batch, errand: Errand, error: ZmcacheError, *, told: bool = False) -> None:
        """``told``: the peer itself says so, and so has not done it."""
        if errand.looks:
            self._looked(errand)
            return
        error = error if told else undone(batch, error)
        # A peer that says so itself is stopping: no answer either.
        if not isinstance(error, PeerUnavailable):
            errand.on_answer(failure(error))
        elif batch.attempt + 1 < ATTEMPTS:
            self._ask_elsewhere(errand, batch.channel, attempt=batch.attempt + 1, refused=told)
        elif not (told and self._ask_last(errand, batch.channel)):
            errand.on_answer(failure(error))


def _with_tags(batch: Batch, answer: Answer) -> Collection[Errand]:
    """Those whose value has tags; to be asked before they are filled."""
    if answer.value_flags is None:
        return ()
    positions = range(len(batch.keys)) if answer.positions is None else answer.positions
    return {
        batch.sinks[at]
        for at, flags in zip(positions, answer.value_flags, strict=False)
        if flags & TAGS_FLAG and at < len(batch.sinks) and batch.sinks[at] is not None
    }
