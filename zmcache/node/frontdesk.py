"""What the dispatcher asks of its node: who it is, what is its own, and what is to become of a word from another node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.node.about import figures_frame, members_frame
from zmcache.node.away import Away
from zmcache.node.doubt import Doubt
from zmcache.node.handover import Handover
from zmcache.node.housekeeping import Housekeeping
from zmcache.node.repairing import Repairing
from zmcache.peers.mesh import Mesh
from zmcache.peers.remote import RemotePeers
from zmcache.peers.telling import relay

_RELAYED_S: Final = 2.0


class FrontDesk:
    """The dispatcher's `Desk`, which says what each is for. ``figures``: all that the node counts, in blocks. ``leave``: what is to be done where
    this node is asked to leave (True: and to begin anew), and whether it will.
    """

    def __init__(
        self,
        node_id: str,
        mesh: Mesh,
        peers: RemotePeers,
        away: Away,
        housekeeping: Housekeeping,
        handover: Handover,
        doubt: Doubt,
        repairing: Repairing,
        *,
        figures: Callable[[], Iterable[Mapping[str, float]]],
        leave: Callable[[bool], bool],
    ) -> None:
        self._node_id = node_id
        self._mesh = mesh
        self._peers = peers
        self._away = away
        self._housekeeping = housekeeping
        self._handover = handover
        self._doubt = doubt
        self._repairing = repairing
        self._figures = figures
        self._leave = leave

    @property
    def node_id(self) -> str:
        """See `Desk`."""
        return self._node_id

    @property
    def epoch(self) -> Epoch:
        """See `Desk`."""
        return self._mesh.ring.epoch

    @property
    def is_away(self) -> bool:
        """See `Desk`."""
        return self._away.is_away

    def would_know(self, key: str, copies: int) -> bool:
        """See `Desk`."""
        return self._mesh.would_know(key, copies)

    def is_ours(self, key: str) -> bool:
        """See `Desk`."""
        return self._peers.is_ours(key)

    def look_back(self) -> None:
        """See `Desk`."""
        self._housekeeping.look()

    def members_frame(self, request_id: int) -> bytes:
        """See `Desk`."""
        return members_frame(request_id, self._mesh.ring, self._mesh.copies, self._mesh.limits)

    def figures_frame(self, request_id: int) -> bytes:
        """See `Desk`."""
        return figures_frame(request_id, self.epoch, self._node_id, self._figures(), self._mesh.limits)

    def on_doubt(self, peer: str, number: int, epoch: Epoch) -> None:
        """See `Desk`."""
        self._handover.on_doubt(peer, number, epoch)

    def on_handed(self, peer: str, number: int) -> None:
        """See `Desk`."""
        self._doubt.handed(peer, number)

    def compare(self, request: wire.Digests, answer: Callable[[bytes], None]) -> bool:
        """See `Desk`."""
        return self._handover.compare(request.sender, request.group, request.digests, answer)

    def on_invalidated(self, request: wire.Invalidate) -> None:
        """See `Desk`."""
        # Whoever has other members in its ring may not know of all who are in this one.
        if request.digest != self.epoch.digest:
            relay(self._mesh.channels(), request, self._mesh.clock() + _RELAYED_S)

    def on_other_tags(self, peer: str) -> None:
        """See `Desk`."""
        self._repairing.ask_soon(peer)

    def leave(self, *, anew: bool) -> bool:
        """See `Desk`."""
        return self._leave(anew)
