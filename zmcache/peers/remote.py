"""The `Peers` of a group in a node: a key of another node is asked of its owner, then of the owner's stand-in, in one hop.

An answer is an answer, "no such key" and a loader's error among them. Only a transport failure sends a request on, to the next of the key's
owners; when that is this node itself, or `ATTEMPTS` have failed, the outcome is `PeerUnavailable` and the group loads here. What is the
same done twice may be asked twice; of the rest, what may have been delivered is not asked again, and its outcome is `OutcomeUnknown`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from zmcache.copying import NOBODY, Receivers
from zmcache.core.explained import Explanation
from zmcache.core.flight import Outcome, Waiter, failure
from zmcache.core.ring import LEAVING, Member, Ring
from zmcache.core.wire import (
    FILLS,
    FIRST_ERROR,
    FORWARDED,
    FROM_LOADER,
    GET,
    IS_NONE,
    LAST,
    LEASED,
    LEASED_NONE,
    NO_SUCH_KEY,
    PEEK,
    RELEASE,
    TAGS_FLAG,
    Answer,
    Change,
)
from zmcache.errors import PeerUnavailable, ZmcacheError, from_code
from zmcache.peers.background import Background
from zmcache.peers.batch import Batch, undone
from zmcache.peers.channel import Channel
from zmcache.peers.explanation import explanation_of
from zmcache.peers.health import State
from zmcache.peers.hearing import Hearings, Promised
from zmcache.peers.mesh import ATTEMPTS, Mesh
from zmcache.peers.telling import invalidate

_RELEASE_S: Final = 1.0
# So many of the nodes that come next are looked at for one in whose place a copy can be.
_SPARES: Final = 2


class _Errand:
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


class RemotePeers:
    """Asks over a mesh on behalf of node ``self_id``. ``clock`` is that of its groups: expiries are told by it. ``on_short``: see `Background`."""

    def __init__(
        self,
        mesh: Mesh,
        self_id: str,
        clock: Callable[[], float] = time.monotonic,
        on_short: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.background = Background(mesh.limits, on_short)
        self.hearings = Hearings(clock)
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
        """Whether this node is the first of the key's owners, after the owner itself, that can be reached."""
        for member in self._mesh.ring.owners(key, ATTEMPTS)[1:]:
            if member.node_id == self._self_id:
                return True
            channel = self._mesh.channel_of(member.node_id)
            if channel is not None and channel.usable:
                return False
        return False

    @property
    def is_settled(self) -> bool:
        """Whether nobody joins."""
        return self._mesh.next_ring is self._mesh.ring

    def holds(self, key: str, copies: int) -> bool:
        """See `zmcache.group.Peers`."""
        mesh, me = self._mesh, self._self_id
        return (
            not mesh.ring
            or any(member.node_id == me for member in mesh.ring.owners(key, copies))
            or (mesh.next_ring is not mesh.ring and any(m.node_id == me for m in mesh.next_ring.owners(key, copies)))
        )

    def holder(self, copies: int) -> Callable[[str], bool]:
        """See `zmcache.group.Peers`."""
        rings, me = {self._mesh.ring, self._mesh.next_ring}, self._self_id
        return lambda key: any(
            not ring or any(member.node_id == me for member in ring.owners(key, copies)) for ring in rings
        )

    def is_in_charge(self, key: str, copies: int) -> bool:
        """See `zmcache.group.Peers`."""
        mesh = self._mesh
        return (
            not mesh.ring
            or self._is_among_first(mesh.ring, key, copies)
            or (mesh.next_ring is not mesh.ring and self._is_among_first(mesh.next_ring, key, copies))
        )

    def reaches_holder(self, key: str, copies: int) -> bool:
        """See `zmcache.group.Peers`."""
        return self._mesh.reaches_holder(key, copies)

    def would_know(self, key: str, copies: int) -> bool:
        """See `zmcache.group.Peers`."""
        return self._mesh.would_know(key, copies)

    def sees_all(self, key: str, copies: int) -> bool:
        """See `zmcache.group.Peers`."""
        mesh = self._mesh
        owners = mesh.ring.owners(key, copies)
        return (
            not mesh.catches_up
            and len(self._reachable(owners)) == len(owners)
            and (not owners or any(member.node_id == self._self_id for member in owners))
        )

    def _is_among_first(self, ring: Ring, key: str, copies: int) -> bool:
        first = self._reachable(ring.owners(key, copies + _SPARES))[:copies]
        return any(member.node_id == self._self_id for member in first)

    def receivers(self, key: str, copies: int) -> Receivers:
        """See `zmcache.copying.Holders`."""
        mesh, me = self._mesh, self._self_id
        if copies == 1 and mesh.next_ring is mesh.ring and self.is_ours(key):
            return NOBODY
        owners = mesh.ring.owners(key, copies + _SPARES)
        reachable = self._reachable(owners)
        # Whoever writes holds it: in its own place, or in that of one who is away.
        first = [mesh.channel_of(member.node_id) for member in reachable[:copies] if member.node_id != me]
        spares = [mesh.channel_of(member.node_id) for member in reachable[copies:] if member.node_id != me]
        beside: list[Channel | None] = []
        if mesh.next_ring is not mesh.ring:
            joined = [
                mesh.channel_of(m.node_id)
                for m in self._reachable(mesh.next_ring.owners(key, copies))
                if m.node_id != me
            ]
            beside = [channel for channel in joined if channel not in first]
        counts_self = len(first) < len(reachable[:copies]) or not reachable
        is_short = reachable[:copies] != list(owners[:copies])
        if not first and not spares and not beside and not is_short:
            return NOBODY
        on_trial = self._on_trial(owners[:copies]) if is_short else ()
        return Receivers(first, spares, beside, counts_self, is_short, on_trial)

    def _on_trial(self, members: Iterable[Member]) -> list[Channel]:
        channels = [self._mesh.channel_of(member.node_id) for member in members]
        return [channel for channel in channels if channel is not None and channel.state is State.TRIAL]

    def _reachable(self, members: Iterable[Member]) -> list[Member]:
        """Those that can be reached, this node among them."""
        mesh, me = self._mesh, self._self_id
        return [
            member
            for member in members
            if member.node_id == me or ((channel := mesh.channel_of(member.node_id)) is not None and channel.usable)
        ]

    def copy(
        self,
        receiver: object,
        group: str,
        copy: Change,
        deadline_s: float,
        on_answer: Waiter,
        *,
        background: bool = False,
    ) -> None:
        """See `zmcache.copying.Holders`."""
        assert isinstance(receiver, Channel)
        waiter = self.background.waiter(receiver, copy, on_answer, background=background)
        if waiter is not None:
            # Of nobody else, should this one fail: that is for who counts the copies.
            self._send(_Errand(group, copy, deadline_s, waiter, None, FORWARDED), receiver, attempt=ATTEMPTS)

    def ask_former(
        self, group: str, key: str, copies: int, window_s: float, deadline_s: float, on_answer: Waiter
    ) -> bool:
        """See `zmcache.group.Peers`."""
        return self._peek(self._who_may_hold(key, copies, window_s), group, key, deadline_s, on_answer)

    def _peek(self, holders: list[Channel], group: str, key: str, deadline_s: float, on_answer: Waiter) -> bool:
        """Ask the first of these that can be reached, and the next when it has nothing."""

        def answered(outcome: Outcome) -> None:
            nothing = outcome.error is not None or outcome.status == NO_SUCH_KEY
            if not nothing or not self._peek(holders, group, key, deadline_s, on_answer):
                on_answer(outcome)

        while holders:
            channel = holders.pop(0)
            if channel.usable:
                errand = _Errand(group, Change(GET, key), deadline_s, answered, None, FORWARDED | PEEK)
                self._send(errand, channel, attempt=ATTEMPTS)
                return True
        return False

    def _who_may_hold(self, key: str, copies: int, window_s: float) -> list[Channel]:
        mesh, members = self._mesh, list[Member]()
        if mesh.former_ring and (mesh.catches_up or mesh.clock() - mesh.adopted_s <= window_s):
            members += mesh.former_ring.owners(key, copies)
        members += (member for member in mesh.ring.members if member.state == LEAVING)
        if mesh.catches_up or (copies > 1 and mesh.known_ring is not mesh.ring):
            members += (*mesh.known_ring.owners(key, copies), *mesh.ring.owners(key, copies + 1))
        if not self.is_ours(key):
            # Asked in the place of those who cannot be reached from elsewhere: they may be, from here.
            members += mesh.ring.owners(key, copies)
        others = dict.fromkeys(member.node_id for member in members if member.node_id != self._self_id)
        channels = [mesh.channel_of(node_id) for node_id in others]
        return [channel for channel in channels if channel is not None and channel.usable][:ATTEMPTS]

    def ask(
        self, group: str, key: str, deadline_s: float, on_answer: Waiter, trace: str | None, *, keeps: bool = False
    ) -> object:
        """See `zmcache.group.Peers`."""
        errand = _Errand(group, Change(GET, key), deadline_s, on_answer, trace, FORWARDED)
        owner = self._mesh.owner_channel(key)
        if owner is not None and owner.usable and not owner.preferred:
            channel = self._mesh.quicker(group, key)
            if channel is not None:
                # What is not there is asked of the owner: so a missing key is still loaded once, and by its owner.
                errand.looks, errand.flags = True, FORWARDED | FILLS
                self._send(errand, channel, attempt=ATTEMPTS)
                return errand
        elif keeps and owner is not None and owner.usable:
            errand.promised = self.hearings.promised(group, owner)
        return self._ask_owner(errand)

    def _looked(self, errand: _Errand) -> None:
        errand.looks, errand.flags = False, FORWARDED
        self._ask_owner(errand)

    def change(self, group: str, change: Change, deadline_s: float, on_answer: Waiter, trace: str | None) -> object:
        """See `zmcache.group.Peers`."""
        flags = FORWARDED | FILLS if change.kind == GET else FORWARDED
        return self._ask_owner(_Errand(group, change, deadline_s, on_answer, trace, flags))

    async def explain(self, group: str, key: str, deadline_s: float) -> Explanation:
        """See `zmcache.peering.Peers`."""
        return await explanation_of(self._mesh, group, key, deadline_s, self_id=self._self_id)

    async def tell_tags(
        self, group: str, tags: Sequence[str], until_s: float, least: int, on_version: Callable[[int], None]
    ) -> None:
        """Tell all other nodes that tags are invalidated; see `zmcache.peers.telling`."""
        mesh = self._mesh
        await invalidate(mesh.channels(), group, tags, until_s, mesh.clock, least, on_version)

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
            self._ask_elsewhere(errand, channel, attempt=1)
        return errand

    def _ask_last(self, errand: _Errand, channel: Channel) -> bool:
        """A peer sends askers on, and there is nobody else: now it is to do what it can. False: it was told so before, or is out of reach."""
        if errand.change.kind != GET or errand.flags & (LAST | PEEK) or not channel.usable:
            return False
        errand.flags |= LAST
        self._send(errand, channel, attempt=ATTEMPTS)
        return True

    def _ask_elsewhere(self, errand: _Errand, failed: Channel | None, *, attempt: int, refused: bool = False) -> None:
        """Ask the first of the key's owners, as the ring is now, that did not just fail, unless that is this node. ``refused``: it said so itself."""
        errand.promised = None  # it is owners who tell
        for member in self._mesh.ring.owners(errand.change.key, ATTEMPTS):
            if member.node_id == self._self_id:
                break
            channel = self._mesh.channel_of(member.node_id)
            if channel is not None and channel is not failed and channel.usable:
                self._send(errand, channel, attempt=attempt)
                return
        if not (refused and failed is not None and self._ask_last(errand, failed)):
            unreachable = PeerUnavailable(f"nobody who could answer for {errand.change.key!r} can be reached")
            errand.on_answer(failure(unreachable))

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
            if errand.promised is not None:
                batch.keep_next()
            batch.add(change.key, errand, errand.deadline_s)
        else:
            batch.add_change(change, errand, errand.deadline_s)

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
                self._ask_owner(_Errand(errand.group, release, soon_s, lambda _: None, None, FORWARDED))
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

    def _failed(self, batch: Batch, errand: _Errand, error: ZmcacheError, *, told: bool = False) -> None:
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


def _with_tags(batch: Batch, answer: Answer) -> Collection[_Errand]:
    """Those whose value has tags; to be asked before they are filled."""
    if answer.value_flags is None:
        return ()
    positions = range(len(batch.keys)) if answer.positions is None else answer.positions
    return {
        batch.sinks[at]
        for at, flags in zip(positions, answer.value_flags, strict=False)
        if flags & TAGS_FLAG and at < len(batch.sinks) and batch.sinks[at] is not None
    }
