"""Which channel a key goes to: its owner's, by the ring that the client has learnt, or any of the nodes that it was given."""

from __future__ import annotations

from typing import Final, Protocol

from zmcache.core.wire import FORWARDED
from zmcache.peers.channel import Channel, State
from zmcache.peers.mesh import ATTEMPTS, Mesh

_REFUSES_S: Final = 0.5  # a node that starts takes about as long


class Route(Protocol):
    """The choice of a channel for the keys of one group; made once a key, so it is on the hot path."""

    mesh: Mesh
    retry_flags: int  # header flags of what is asked again elsewhere

    def of(self, group: str) -> Route:
        """The same for another group."""

    def owner_channel(self, key: str) -> Channel:
        """Where to write first."""

    def channel(self, key: str) -> Channel:
        """Where to read first."""

    def channels(self, keys: list[str]) -> dict[Channel, list[str]]:
        """`channel` for many keys at once: which of them, in order, go where."""

    def other_channel(self, key: str, failed: Channel) -> Channel | None:
        """Where to ask after ``failed`` turned out to be gone; None when there is nowhere else."""

    def last_resort(self, key: str) -> Channel | None:
        """Somebody who answers, though it has sent askers on: there is nobody else."""

    def refused(self, channel: Channel) -> None:
        """The node there answers, and says that it does not serve: it is starting or stopping."""


class OwnerRoute:
    """Each key straight to its owner; to the owner's stand-in while the owner cannot be reached.

    While the owner is slow, reads go to who holds a copy and is not. That one asks the owner for what it does not have: so a missing key is
    still loaded once, and by its owner.
    """

    # The stand-in is to answer by itself: it may not know yet that the owner hangs, and would wait for it all over again.
    retry_flags = FORWARDED

    def __init__(self, mesh: Mesh, group: str = "") -> None:
        self.mesh = mesh
        self._group = group

    def of(self, group: str) -> OwnerRoute:
        """The same for another group."""
        return OwnerRoute(self.mesh, group)

    def owner_channel(self, key: str) -> Channel:
        """Where to write first."""
        mesh = self.mesh
        index = mesh.ring.owner_index(key)
        channel = mesh.by_index[index] or mesh.channel_at(index)
        assert channel is not None  # only a node's own place in its mesh is None
        if channel.usable:
            return channel
        return self.other_channel(key, channel) or channel

    def channel(self, key: str) -> Channel:
        """Where to read first."""
        mesh = self.mesh
        index = mesh.ring.owner_index(key)
        channel = mesh.by_index[index] or mesh.channel_at(index)
        assert channel is not None  # only a node's own place in its mesh is None
        return channel if channel.preferred else self._instead_of(channel, key)

    def _instead_of(self, owner: Channel, key: str) -> Channel:
        return (self.mesh.quicker(self._group, key) if owner.usable else self.other_channel(key, owner)) or owner

    def channels(self, keys: list[str]) -> dict[Channel, list[str]]:
        """`channel` for many keys at once: which of them, in order, go where."""
        mesh = self.mesh
        owners = mesh.ring.owner_indexes(keys)
        by_owner: dict[int, list[str]] = {}
        if owners.count(owners[0]) == len(owners):
            by_owner[owners[0]] = keys
        else:
            for owner, key in zip(owners, keys, strict=True):
                if owner in by_owner:
                    by_owner[owner].append(key)
                else:
                    by_owner[owner] = [key]
        by_channel: dict[Channel, list[str]] = {}
        for owner, mine in by_owner.items():
            channel = mesh.by_index[owner] or mesh.channel_at(owner)
            assert channel is not None  # only a node's own place in its mesh is None
            if channel.preferred:
                by_channel[channel] = mine + by_channel.get(channel, [])
            else:
                for key in mine:
                    by_channel.setdefault(self._instead_of(channel, key), []).append(key)
        return by_channel

    def refused(self, channel: Channel) -> None:
        """The ring will say so soon; until then its keys' next owners are asked, one after another."""

    def last_resort(self, key: str) -> Channel | None:
        """The first of the key's owners that can be reached."""
        channels = [self.mesh.channel_of(member.node_id) for member in self.mesh.ring.owners(key, ATTEMPTS)]
        return next((channel for channel in channels if channel is not None and channel.usable), None)

    def other_channel(self, key: str, failed: Channel) -> Channel | None:
        """The first of the key's owners, as the ring is now, that is not the one that failed."""
        mesh = self.mesh
        for member in mesh.ring.owners(key, ATTEMPTS):
            channel = mesh.channel_of(member.node_id)
            if channel is not None and channel is not failed and channel.usable:
                return channel
        return None


class AnyRoute:
    """Every key to one of the given nodes, in turn, a whole turn of the loop to the same one so that batches stay whole.

    While none of them can be reached it is one of the members that the client has learnt of: who was given may be gone, or be tried again only later.
    """

    retry_flags = 0

    def __init__(self, mesh: Mesh, endpoints: list[str]) -> None:
        self.mesh = mesh
        self._given = frozenset(endpoints)
        self._channels = [mesh.contact(endpoint) for endpoint in endpoints]
        self._turn = 0
        self._current = self._channels[0]
        self._refused_s: dict[str, float] = {}  # by address: a member may have been given, too

    def of(self, group: str) -> AnyRoute:
        """The same for another group."""
        return self

    def owner_channel(self, key: str) -> Channel:
        """Where to write first."""
        return self.channel(key)

    def channel(self, key: str) -> Channel:
        """Where to ask first: the next of those that are not slow, else of those that can be reached."""
        current = self._current
        if current.collecting and current.usable:
            return current
        turns = [(self._turn + step) % len(self._channels) for step in range(1, len(self._channels) + 1)]
        may = [turn for turn in turns if self._channels[turn].usable and not self._has_refused(self._channels[turn])]
        self._turn = next((turn for turn in may if self._channels[turn].preferred), may[0] if may else turns[0])
        current = self._channels[self._turn]
        self._current = current if may else self._member() or current
        return self._current

    def channels(self, keys: list[str]) -> dict[Channel, list[str]]:
        """All to where the first goes."""
        return {self.channel(keys[0]): keys} if keys else {}

    def other_channel(self, key: str, failed: Channel) -> Channel | None:
        """Another of the given nodes, or a member."""
        for channel in self._channels[self._turn :] + self._channels[: self._turn]:
            if channel.endpoint != failed.endpoint and channel.usable and not self._has_refused(channel):
                return channel
        return self._member(failed)

    def last_resort(self, key: str) -> Channel | None:
        """The first of the key's owners that can be reached, one of the given nodes, or a member; of them one that has not sent askers on."""
        mesh = self.mesh
        owners = [mesh.channel_of(member.node_id) for member in mesh.ring.owners(key, ATTEMPTS)]
        up = [channel for channel in (*owners, *self._channels, *mesh.used) if channel and channel.state is State.UP]
        return next((channel for channel in up if not self._has_refused(channel)), up[0] if up else None)

    def refused(self, channel: Channel) -> None:
        """Of many given nodes several may be starting at once: the others are asked for a while."""
        now_s = self.mesh.clock()
        lately = {endpoint: at_s for endpoint, at_s in self._refused_s.items() if now_s - at_s < _REFUSES_S}
        self._refused_s = lately | {channel.endpoint: now_s}

    def _has_refused(self, channel: Channel) -> bool:
        at_s = self._refused_s.get(channel.endpoint)
        return at_s is not None and self.mesh.clock() - at_s < _REFUSES_S

    def _member(self, failed: Channel | None = None) -> Channel | None:
        """One who answers; else one whose address was not given, and so has not turned out to be gone."""
        found = None
        for channel in self.mesh.channels():
            if (failed is not None and channel.endpoint == failed.endpoint) or self._has_refused(channel):
                continue
            if channel.state is State.UP:
                return channel
            if channel.usable and channel.endpoint not in self._given:
                found = channel
        return found
