"""Who holds a key, as a node sees it: by the rings, and by which of the nodes it can reach.

While nodes come and go there are several rings (`zmcache.peers.mesh`): by the one in use a key has its owner and the others who hold it, by that of
those who join, the ones who will. While one of them cannot be reached, the next in order holds it in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from zmcache.copying import NOBODY, Receivers
from zmcache.core.ring import LEAVING, Member, Ring
from zmcache.peers.channel import Channel
from zmcache.peers.health import State
from zmcache.peers.mesh import ATTEMPTS, Mesh

# So many of the nodes that come next are looked at for one in whose place a copy can be.
_SPARES: Final = 2


class Placement:
    """That of keys among node ``self_id`` and the others of its mesh."""

    def __init__(self, mesh: Mesh, self_id: str) -> None:
        self._mesh = mesh
        self._self_id = self_id

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

    def holds(self, key: str, copies: int) -> bool:
        """See `zmcache.peering.Peers`."""
        mesh, me = self._mesh, self._self_id
        return (
            not mesh.ring
            or any(member.node_id == me for member in mesh.ring.owners(key, copies))
            or (mesh.next_ring is not mesh.ring and any(m.node_id == me for m in mesh.next_ring.owners(key, copies)))
        )

    def holder(self, copies: int) -> Callable[[str], bool]:
        """See `zmcache.peering.Peers`."""
        rings, me = {self._mesh.ring, self._mesh.next_ring}, self._self_id
        return lambda key: any(
            not ring or any(member.node_id == me for member in ring.owners(key, copies)) for ring in rings
        )

    def is_in_charge(self, key: str, copies: int) -> bool:
        """See `zmcache.peering.Peers`."""
        mesh = self._mesh
        return (
            not mesh.ring
            or self._is_among_first(mesh.ring, key, copies)
            or (mesh.next_ring is not mesh.ring and self._is_among_first(mesh.next_ring, key, copies))
        )

    def sees_all(self, key: str, copies: int) -> bool:
        """See `zmcache.peering.Peers`."""
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

    def others_who_may_hold(self, key: str, copies: int, window_s: float) -> list[Channel]:
        """Of whom to ask what is missing here, as they can be reached; see `zmcache.peering.Peers.ask_former`."""
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
