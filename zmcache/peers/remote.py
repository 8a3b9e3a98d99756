"""The `Peers` of a group in a node: a key of another node is asked of its owner, then of the owner's stand-in, in one hop.

What is asked of whom stands here. Who holds a key is `zmcache.peers.placement`; how a request goes once it is sent, and what becomes of it where
its peer is gone, `zmcache.peers.errands`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from zmcache.core.explained import Explanation
from zmcache.core.flight import Outcome, Waiter
from zmcache.core.wire import FILLS, FORWARDED, GET, NO_SUCH_KEY, PEEK, Change
from zmcache.peers.background import Background
from zmcache.peers.channel import Channel
from zmcache.peers.errands import Errand, Errands
from zmcache.peers.explanation import explanation_of
from zmcache.peers.hearing import Hearings
from zmcache.peers.mesh import ATTEMPTS, Mesh
from zmcache.peers.placement import Placement
from zmcache.peers.telling import invalidate


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
        self._mesh = mesh
        self._self_id = self_id
        self._errands = Errands(mesh, self_id, clock)
        self._placement = placement = Placement(mesh, self_id)
        # Some of these are asked for every request: whoever asks calls the one who knows, with nothing in between.
        self.is_ours, self.stands_in = placement.is_ours, placement.stands_in
        self.holds, self.holder, self.is_in_charge = placement.holds, placement.holder, placement.is_in_charge
        self.sees_all, self.receivers = placement.sees_all, placement.receivers
        self.reaches_holder, self.would_know = mesh.reaches_holder, mesh.would_know
        self.give_up = self._errands.give_up

    @property
    def ring_token(self) -> object:
        """The ring itself: each is built once and never changed."""
        return self._mesh.ring

    @property
    def is_settled(self) -> bool:
        """Whether nobody joins."""
        return self._mesh.next_ring is self._mesh.ring

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
            self._errands.send(Errand(group, copy, deadline_s, waiter, None, FORWARDED), receiver, attempt=ATTEMPTS)

    def ask_former(
        self, group: str, key: str, copies: int, window_s: float, deadline_s: float, on_answer: Waiter
    ) -> bool:
        """See `zmcache.peering.Peers`."""
        holders = self._placement.others_who_may_hold(key, copies, window_s)
        return self._peek(holders, group, key, deadline_s, on_answer)

    def _peek(self, holders: list[Channel], group: str, key: str, deadline_s: float, on_answer: Waiter) -> bool:
        """Ask the first of these that can be reached, and the next when it has nothing."""

        def answered(outcome: Outcome) -> None:
            nothing = outcome.error is not None or outcome.status == NO_SUCH_KEY
            if not nothing or not self._peek(holders, group, key, deadline_s, on_answer):
                on_answer(outcome)

        while holders:
            channel = holders.pop(0)
            if channel.usable:
                errand = Errand(group, Change(GET, key), deadline_s, answered, None, FORWARDED | PEEK)
                self._errands.send(errand, channel, attempt=ATTEMPTS)
                return True
        return False

    def ask(
        self, group: str, key: str, deadline_s: float, on_answer: Waiter, trace: str | None, *, keeps: bool = False
    ) -> object:
        """See `zmcache.peering.Peers`."""
        errand = Errand(group, Change(GET, key), deadline_s, on_answer, trace, FORWARDED)
        owner = self._mesh.owner_channel(key)
        if owner is not None and owner.usable and not owner.preferred:
            channel = self._mesh.quicker(group, key)
            if channel is not None:
                # What is not there is asked of the owner: so a missing key is still loaded once, and by its owner.
                errand.looks, errand.flags = True, FORWARDED | FILLS
                self._errands.send(errand, channel, attempt=ATTEMPTS)
                return errand
        elif keeps and owner is not None and owner.usable:
            errand.promised = self.hearings.promised(group, owner)
        return self._errands.ask_owner(errand)

    def change(self, group: str, change: Change, deadline_s: float, on_answer: Waiter, trace: str | None) -> object:
        """See `zmcache.peering.Peers`."""
        flags = FORWARDED | FILLS if change.kind == GET else FORWARDED
        return self._errands.ask_owner(Errand(group, change, deadline_s, on_answer, trace, flags))

    async def explain(self, group: str, key: str, deadline_s: float) -> Explanation:
        """See `zmcache.peering.Peers`."""
        return await explanation_of(self._mesh, group, key, deadline_s, self_id=self._self_id)

    async def tell_tags(
        self, group: str, tags: Sequence[str], until_s: float, least: int, on_version: Callable[[int], None]
    ) -> None:
        """Tell all other nodes that tags are invalidated; see `zmcache.peers.telling`."""
        mesh = self._mesh
        await invalidate(mesh.channels(), group, tags, until_s, mesh.clock, least, on_version)
