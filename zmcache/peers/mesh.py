"""The members of the ring and the channels to them, kept in step; and where a key is asked, first and second.

A mesh is what nodes and clients have in common. It knows who owns a key and has one channel per member, made when first needed and closed when
the member goes: of a thousand members a client may use ten, and a new ring is not to hold its loop for the others. It decides nothing
about answers: that is the consumer's (`zmcache.peers.errands` in a node, `zmcache.client` in a client).
"""

from __future__ import annotations

import asyncio
import math
import random as chance
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from zmcache.core.ring import Epoch, Member, Ring
from zmcache.core.wire import Limits
from zmcache.deadlines import Deadlines
from zmcache.peers.channel import Channel, State, of_another_loop
from zmcache.peers.looking import look_elsewhere
from zmcache.peers.ownloop import OwnLoop
from zmcache.peers.pauses import Pauses
from zmcache.peers.pulse import BEAT_JITTER, BEAT_S
from zmcache.peers.slowness import judge
from zmcache.transport.base import Transport

# How many of a key's owners are asked, one after another, while those before cannot be reached: two nodes may die in one moment.
ATTEMPTS: Final = 3


class Mesh:
    """One ring and its channels. ``self_id`` is the node that has no channel to itself (None in a client)."""

    def __init__(
        self,
        transport: Transport,
        limits: Limits,
        deadlines: Deadlines,
        *,
        self_id: str | None,
        on_epoch: Callable[[Channel, Epoch], None],
        on_back: Callable[[Channel], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.ring = Ring.EMPTY
        self.next_ring = Ring.EMPTY
        """That of those who join, too; the ring itself where nobody does."""
        self.former_ring = Ring.EMPTY
        self.known_ring = Ring.EMPTY
        """The last one by which this node has been given all that it is to hold, as the others say (`zmcache.node.doubt`); else the first."""
        self.adopted_s = -math.inf
        """When the ring took the former one's place, by ``clock``."""
        self.catches_up = False
        """Whether other nodes may hold what this one lacks; it is being handed over."""
        self.by_index: list[Channel | None] = []
        """The channels parallel to the ring's members; None for this node itself, and where none was needed yet: see `channel_at`."""
        self.was_cut_off = False
        """Whether it was (`is_cut_off`) since this was last set to False."""
        self.on_cut_off: Callable[[], None] = lambda: None
        """Called when it is."""
        self._unreached: set[Channel] = set()
        self.copies: Mapping[str, int] = {}
        """How many nodes hold each key, of those groups where it is more than one."""
        self.limits = limits
        self.deadlines = deadlines
        self.clock = clock
        self._random = random
        self._self_id = self_id
        self._transport = transport
        self._on_epoch = on_epoch
        self._on_back = on_back
        self._channels: dict[str, Channel] = {}
        self._extra: dict[str, Channel] = {}
        self._loop = asyncio.get_running_loop()
        self._own_loop = OwnLoop(
            self._loop, lambda: any(channel.health.pulse.waits for channel in self._all_channels())
        )
        self._beat_timer: asyncio.TimerHandle | None = self._loop.call_later(BEAT_S, self._beat)
        self._look_timer: asyncio.TimerHandle | None = None

    def adopt(self, ring: Ring, next_ring: Ring | None = None) -> None:
        """Use this ring from now on; channels of members that are gone, or have moved to another endpoint, are closed."""
        wanted = {member.node_id: member.endpoint for member in ring.members}
        gone = [channel for channel in self._channels.values() if wanted.get(channel.name) != channel.endpoint]
        for channel in gone:
            del self._channels[channel.name]
        if not ring.places_as(self.ring):
            self.former_ring, self.adopted_s = self.ring, self.clock()
        if not self.known_ring or self._self_id is None or not self.copies or self.known_ring.places_as(ring):
            self.known_ring = ring
        self.ring, self.next_ring = ring, next_ring or ring
        self.by_index = [self._channels.get(member.node_id) for member in ring.members]
        for channel in self._all_channels():
            channel.epoch = ring.epoch
        # Last: what is under way there fails now and is asked again, by the new ring and of nobody who goes as well.
        for channel in gone:
            channel.close()

    def contact(self, endpoint: str) -> Channel:
        """A channel to an address that need not be a member's, such as one that a client was given."""
        channel = self._extra.get(endpoint)
        if channel is None:
            channel = self._extra[endpoint] = self._new_channel(endpoint, endpoint)
        return channel

    def owner_channel(self, key: str) -> Channel | None:
        """The channel to the owner of ``key``; None when that is this node, or the ring is empty."""
        if not self.ring:
            return None
        index = self.ring.owner_index(key)
        return self.by_index[index] or self.channel_at(index)

    def channel_at(self, index: int) -> Channel | None:
        """The channel to the ring's member of that index, made if need be; None for this node itself."""
        return self.channel_of(self.ring.members[index].node_id)

    def channel_of(self, node_id: str) -> Channel | None:
        """The channel to a member; None for this node itself and for strangers.

        Raises `LifecycleError` where one would have to be made in another event loop, or in none.
        """
        channel = self._channels.get(node_id)
        if channel is None and node_id != self._self_id and (index := self.ring.index(node_id)) is not None:
            endpoint = self.ring.members[index].endpoint
            channel = self.by_index[index] = self._channels[node_id] = self._new_channel(node_id, endpoint)
        return channel

    def quicker(self, group: str, key: str) -> Channel | None:
        """Who holds a copy of ``key`` and is not slow, where its owner is; None: nobody but the owner is to be asked."""
        copies = self.copies.get(group, 1)
        for member in self.ring.owners(key, copies)[1:] if copies > 1 else ():
            channel = self.channel_of(member.node_id)
            if channel is not None and channel.preferred:
                return channel
        return None

    def _look(self) -> None:
        now_s = self.clock()
        for channel in self._all_channels():
            if channel.is_late:
                look_elsewhere(channel, now_s, self.other_holder)
            else:
                channel.probe()

    def other_holder(self, group: str, key: str, slow: Channel) -> Channel | None:
        """Who holds a copy of ``key`` and is not slow, but for ``slow``; None: there is none."""
        copies = self.copies.get(group, 1)
        for member in self.ring.owners(key, copies) if copies > 1 else ():
            channel = self.channel_of(member.node_id)
            if channel is not None and channel is not slow and channel.preferred:
                return channel
        return None

    @property
    def is_cut_off(self) -> bool:
        """Whether of several members that were needed so far not one can be reached: so it is likely to be this end that is away."""
        return len(self._channels) == len(self._unreached) > 1

    def reaches_holder(self, key: str, copies: int) -> bool:
        """Whether this node, or one that it can reach, is among the ``copies`` that hold ``key``. About 0.1 us where all members can be reached."""
        return not self._unreached or self._reaches_one(self.ring.owners(key, copies))

    def would_know(self, key: str, copies: int) -> bool:
        """Whether what is not found from here is not there: `reaches_holder`, and where this node is one, it has been given what it is to hold, or
        reaches one who held the key before. Another holder answers for itself. As quick as `reaches_holder`.
        """
        if not self._unreached:
            return True
        owners = self.ring.owners(key, copies)
        if self.known_ring is self.ring or all(member.node_id != self._self_id for member in owners):
            return self._reaches_one(owners)
        held = [member for member in self.known_ring.owners(key, copies) if member.node_id in self.ring]
        return not held or self._reaches_one(held)

    def _reaches_one(self, members: Iterable[Member]) -> bool:
        for member in members:
            channel = self.channel_of(member.node_id)
            if channel is None or channel.usable:
                return True
        return False

    @property
    def used(self) -> list[Channel]:
        """The channels to members that were needed so far."""
        return list(self._channels.values())

    def channels(self) -> list[Channel]:
        """One to every member but this node."""
        every = [self.channel_of(member.node_id) for member in self.ring.members]
        return [channel for channel in every if channel is not None]

    def states(self) -> dict[str, State]:
        """The state of the channel to each member but this node."""
        others = [member.node_id for member in self.ring.members if member.node_id != self._self_id]
        return {name: self._channels[name].state if name in self._channels else State.NEW for name in others}

    def close(self) -> None:
        """Close every channel."""
        for timer in (self._beat_timer, self._look_timer):
            if timer is not None:
                timer.cancel()
        self._beat_timer = self._look_timer = None
        self._own_loop.close()
        for channel in self._all_channels():
            channel.close()

    def _new_channel(self, name: str, endpoint: str) -> Channel:
        # `_get` and not `get`: a thread without a loop is another one, too.
        if asyncio._get_running_loop() is not self._loop:
            raise of_another_loop()
        channel = Channel(
            name, endpoint, self._transport, self.limits, self.deadlines, self._on_epoch, self._on_back, self.clock,
            ran_s=self._own_loop.ran_s,
            # A node asks on behalf of its callers, and it is they who back off.
            pauses=Pauses(self._random) if self._self_id is None else None,
            on_state=self._on_state,
        )  # fmt: skip
        channel.epoch = self.ring.epoch
        return channel

    def _on_state(self, channel: Channel) -> None:
        if channel.usable or channel.state is State.CLOSED or self._channels.get(channel.name) is not channel:
            self._unreached.discard(channel)
        else:
            self._unreached.add(channel)
            if self.is_cut_off:
                self.was_cut_off = True
                self.on_cut_off()

    def _all_channels(self) -> list[Channel]:
        return [*self._channels.values(), *self._extra.values()]

    def _beat(self) -> None:
        self._beat_timer = self._loop.call_later(BEAT_S * (1 + BEAT_JITTER * self._random()), self._beat)
        channels = self._all_channels()
        for channel in channels:
            channel.beat()
        # One an endpoint: a member may have been contacted at a given address, too, and is no peer of its own.
        judged = {channel.endpoint: channel.health.latency for channel in reversed(channels) if channel.usable}
        judge(list(judged.values()), self._loop.time())
        for channel in channels:
            if channel.usable and channel.health.latency is not judged[channel.endpoint]:
                channel.health.latency.slow = judged[channel.endpoint].slow
        for channel in channels:
            channel.weigh()
        self._look()
        # Between two beats as well: who waits for a slow peer notices half a second.
        self._look_timer = self._loop.call_later(BEAT_S / 2, self._look)
        self._own_loop.watch()
