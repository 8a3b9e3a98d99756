"""What happens to a running node, and what it does then: its ring moves, a peer is back, its lease is lost, it stood still or was cut off.

Others may have been written to in its place, or told of tags that it has not heard of. So most of it ends in a doubt: of what it holds
(`zmcache.node.doubt`), of tags (`zmcache.node.repairing`), or of both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from zmcache.core.ring import Ring
from zmcache.group import LocalGroup
from zmcache.node.dispatch import Dispatcher
from zmcache.node.doubt import Doubt
from zmcache.node.followers import Followers
from zmcache.node.handover import Handover
from zmcache.node.repairing import Repairing
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import Mesh

_ASKS_AGAIN_S: Final = 1.0

_log = logging.getLogger("zmcache.node")


class Reactions:
    """``look_back`` notices now whether the node stood still, and calls `on_standstill` if so."""

    def __init__(
        self,
        mesh: Mesh,
        groups: Mapping[str, LocalGroup],
        followers: Followers,
        handover: Handover,
        doubt: Doubt,
        repairing: Repairing,
        dispatcher: Dispatcher,
        look_back: Callable[[], None],
    ) -> None:
        self._mesh = mesh
        self._groups = groups
        self._followers = followers
        self._handover = handover
        self._doubt = doubt
        self._repairing = repairing
        self._dispatcher = dispatcher
        self._look_back = look_back
        self._followed_by = Ring.EMPTY
        self.lease_losses = 0
        self.standstills = 0

    def on_ring(self) -> None:
        """The mesh has adopted another ring, or other members."""
        for group in self._groups.values():
            group.ring_changed()
        mesh = self._mesh
        ring = mesh.ring
        is_first, moved = not self._followed_by, not ring.places_as(self._followed_by)
        if moved:
            self._followers.moved()
            for group in self._groups.values():
                group.owners_changed()
        self._followed_by = ring
        self._handover.on_ring()
        # Who was to join may be gone again: what was handed over for its sake goes back.
        is_unknown = mesh.next_ring is ring and mesh.known_ring is not ring
        if (moved or is_unknown) and not is_first and mesh.copies:
            # Who holds what this node is to hold from now on may need longer to hand it over than former owners are asked for.
            self.begin_doubt()

    def on_back(self, channel: Channel) -> None:
        """What is at the other end can be reached again."""
        self._repairing.ask_soon(channel.name)
        if self._mesh.channel_of(channel.name) is channel:
            self._handover.on_peer_back(channel.name)
            self._doubt.on_back(channel.name)

    def on_short(self, peer: str) -> None:
        """It lacks copies, though it was there all the time."""
        self._handover.on_peer_back(peer)

    def on_lease_lost(self) -> None:
        """The node was off the list for a while, and others took its keys."""
        self.lease_losses += 1
        self._repairing.doubt()
        for group in self._groups.values():
            group.ring_changed(lease_lost=True)
        self.begin_doubt()

    def on_back_among_others(self) -> None:
        """The node could reach none of the others, and can again."""
        _log.warning(
            "this node was cut off from the others, or stood still; it serves again when it has what was written meanwhile"
        )
        for group in self._groups.values():
            group.ring_changed(lease_lost=True)
        self.begin_doubt()

    def on_standstill(self) -> None:
        """The process did not run for so long that others may have taken it for dead."""
        # Alone, nobody stood in for it.
        if len(self._mesh.ring.members) > 1:
            self.standstills += 1
            # What was written meanwhile others have: they are asked until it is here (`Away`).
            self._mesh.was_cut_off = True
            self._repairing.doubt()
            for group in self._groups.values():
                group.stood_still()
            self.begin_doubt()

    def on_tags(self) -> None:
        """Before anything with tags is given. Who reaches none of several others is likely to be away itself, and told of nothing."""
        self._look_back()
        if self._mesh.is_cut_off:
            self._repairing.doubt()

    def begin_doubt(self, *, again: bool = False) -> None:
        """Others may have been written to in this node's place. What it holds it keeps, and asks until all of them have told it: to let go of it
        would lose for good what only this node holds.
        """
        if self._dispatcher.serving:
            within_s = min((group.settings.moved_ttl_s for group in self._groups.values()), default=0.0)
            asks_again = partial(self.begin_doubt, again=True)
            self._doubt.begin(max(within_s, _ASKS_AGAIN_S), asks_again, again=again)
