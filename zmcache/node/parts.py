"""The parts of a running node, made whole in one go: each of those before it, and with what closes it at once after it.

Nothing is awaited meanwhile, and so nothing happens: what a part calls back finds all the others. They are closed in the opposite order, after a
start that failed at any point as well: first what begins anything by itself, then what is under way, at last the sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

from zmcache.calls import Group
from zmcache.config import NodeConfig, node_id_from
from zmcache.core import wire
from zmcache.core.ring import Member
from zmcache.core.versions import Versions
from zmcache.deadlines import Deadlines
from zmcache.discovery.base import Discovery
from zmcache.loading import Loader
from zmcache.node.away import Away
from zmcache.node.dispatch import Dispatcher
from zmcache.node.doubt import Doubt
from zmcache.node.figures import figures_of
from zmcache.node.followers import Followers
from zmcache.node.frontdesk import FrontDesk
from zmcache.node.handover import Handover
from zmcache.node.housekeeping import Housekeeping, Sweep
from zmcache.node.membership import Membership
from zmcache.node.presence import Presence
from zmcache.node.reactions import Reactions
from zmcache.node.repairing import Repairing
from zmcache.node.short import HandedOver, Shortage
from zmcache.node.usage import Usage
from zmcache.node.wiring import concerning, make_groups, make_loader
from zmcache.peers.mesh import Mesh
from zmcache.peers.remote import RemotePeers
from zmcache.transport.base import Transport


class Given(NamedTuple):
    """What a node is given besides its config. See `zmcache.node.Node`."""

    loaders: Mapping[str, Loader]
    transport: Callable[[], Transport]
    discovery: Callable[[Member], Discovery]
    clock: Callable[[], float]
    wall_s: Callable[[], float]
    loop_time: Callable[[], float]
    boot_time: Callable[[], float]
    random: Callable[[], float]
    leave: Callable[[bool], bool]
    """See `FrontDesk`."""


async def make_parts(config: NodeConfig, given: Given, closing: AsyncExitStack) -> Parts:
    """The parts of a node that has its address, and is not known to the others yet. Raises `ConfigError`. ``closing`` is given what closes them, one
    after another as they are made: where this fails it closes those that there are.
    """
    loaders: dict[str, Loader] = {}
    async with AsyncExitStack() as unowned:
        for name, group in config.groups.items():
            with concerning(f"groups.{name}.loader"):
                loader = given.loaders.get(name) or make_loader(group.loader, group.max_loads)
            if loader is not None:
                loaders[name] = loader
                unowned.push_async_callback(loader.aclose)
        return Parts(config, given, loaders, unowned, closing)


class Parts:
    """Made by `make_parts`, in the event loop that they belong to. ``unowned`` closes the ``loaders`` until there are groups, who close their own."""

    def __init__(
        self,
        config: NodeConfig,
        given: Given,
        loaders: Mapping[str, Loader],
        unowned: AsyncExitStack,
        closing: AsyncExitStack,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.began_s = given.loop_time()
        self._config, self._given, self._closing = config, given, closing
        # Until all parts are there, which is for ever where one cannot be made: what there is of them is being closed then.
        self._on_frame: Callable[[bytes, bytes], None] = lambda peer, frame: None
        member = self._open()
        node_id = member.node_id
        versions = Versions(node_id, given.wall_s(), given.loop_time)
        self._reach_others(node_id)
        self._make_groups(loaders, versions)
        unowned.pop_all()
        self._keep_alike(node_id, versions)
        self._answer(node_id)
        self._take_part(member)

    def _open(self) -> Member:
        """Bind the address. Returns what the node is at it."""
        settings, closing = self._config.node, self._closing
        self.deadlines = Deadlines(self.loop)
        closing.callback(self.deadlines.close)
        self.transport = self._given.transport()
        closing.callback(self.transport.close)
        with concerning("node.listen"):
            self.listener = self.transport.listen(settings.listen, lambda peer, frame: self._on_frame(peer, frame))
        closing.push_async_callback(self._close_listener)
        endpoint = settings.advertise or self.listener.endpoint
        node_id = settings.id or node_id_from(endpoint)
        return settings.member()._replace(node_id=node_id, endpoint=endpoint, protocol=wire.VERSION)

    def _reach_others(self, node_id: str) -> None:
        """The way to those who will be in the ring."""
        config, given, closing = self._config, self._given, self._closing
        self.mesh = Mesh(
            self.transport,
            config.limits,
            self.deadlines,
            self_id=node_id,
            on_epoch=lambda *_: None,
            on_back=lambda channel: self.reactions.on_back(channel),
            clock=given.loop_time,
            random=given.random,
        )
        self.mesh.copies = {name: group.copies for name, group in config.groups.items() if group.copies > 1}
        closing.callback(self.mesh.close)
        self.peers = RemotePeers(self.mesh, node_id, given.clock, lambda peer: self.reactions.on_short(peer))
        closing.callback(self.peers.hearings.close)
        closing.callback(self.peers.background.close)

    def _make_groups(self, loaders: Mapping[str, Loader], versions: Versions) -> None:
        """What is held here, and what the owners of the rest tell of it."""
        given = self._given
        self.groups: dict[str, Group] = make_groups(
            self._config,
            self.peers,
            self.deadlines,
            loaders,
            given.clock,
            given.random,
            versions,
            self.peers.tell_tags,
        )
        self._closing.push_async_callback(self._close_groups)
        for name, group in self.groups.items():
            self.peers.hearings.add(name, group)

    def _keep_alike(self, node_id: str, versions: Versions) -> None:
        """What sees to it that others have what this node has, and it what they have."""
        config, given, closing, mesh, groups = self._config, self._given, self._closing, self.mesh, self.groups
        self.handover = handover = Handover(
            mesh, groups, node_id, rate_bytes=float(config.node.handover_rate_bytes), clock=given.loop_time
        )
        closing.push_async_callback(handover.aclose)
        self.shortage = Shortage(mesh, groups, node_id, lambda: HandedOver(handover.handed_for, handover.lacking))
        closing.push_async_callback(self.shortage.aclose)
        self.repairing = Repairing(mesh, groups, node_id)
        closing.push_async_callback(self.repairing.aclose)
        # What was invalidated while this node was not there.
        self.repairing.doubt()
        mesh.on_cut_off = self.repairing.doubt
        self.followers = Followers(
            groups,
            self.listener.send_nowait,
            lambda: mesh.ring.epoch,
            config.limits,
            incarnation=versions.next(),
            clock=given.loop_time,
        )
        closing.callback(self.followers.close)
        self.usage = Usage(mesh, groups, node_id)
        closing.callback(self.usage.close)
        self.doubt = Doubt(mesh, node_id)
        closing.callback(self.doubt.close)
        self.away = Away(
            mesh, self.doubt, lambda: self.reactions.on_back_among_others(),
            within_s=config.node.join_timeout_s, clock=given.loop_time,
        )  # fmt: skip

    def _answer(self, node_id: str) -> None:
        """What answers who asks, and what is done about all that happens."""
        config, given = self._config, self._given
        self.membership = Membership(self.mesh, node_id, lambda: self.reactions.on_ring(), clock=given.loop_time)
        self._closing.push_async_callback(self.membership.aclose)
        self.housekeeping = Housekeeping(
            Sweep(self.away, self.membership, self.groups, clock=given.clock),
            lambda: self.reactions.on_standstill(),
            clock=given.boot_time,
        )
        self.desk = FrontDesk(
            node_id, self.mesh, self.peers, self.away, self.housekeeping, self.handover, self.doubt, self.repairing,
            figures=lambda: figures_of(self), leave=given.leave,
        )  # fmt: skip
        self.dispatcher = Dispatcher(
            self.desk,
            self.groups,
            config.limits,
            self.deadlines,
            self.listener.send_nowait,
            self.followers,
            clock=given.loop_time,
        )
        self.reactions = Reactions(
            self.mesh, self.groups, self.followers, self.handover, self.doubt, self.repairing, self.dispatcher,
            self.housekeeping.look,
        )  # fmt: skip
        for group in self.groups.values():
            group.tags.watch(self.reactions.on_tags)

    def _take_part(self, member: Member) -> None:
        """The way into the ring and out of it."""
        given, closing = self._given, self._closing
        self.discovery = given.discovery(member)
        closing.push_async_callback(self.discovery.stop)
        self.presence = Presence(
            member, self._config.node, self.mesh, self.discovery, self.membership, self.dispatcher, self.handover,
            self.doubt, clock=given.loop_time,
        )  # fmt: skip
        closing.callback(self._refuse)
        closing.callback(self.housekeeping.close)
        closing.callback(self.presence.close)
        self._on_frame = self.dispatcher.on_frame

    # -- closing ---------------------------------------------------------------------------------------------------

    def _refuse(self) -> None:
        """Whoever asks from now on is sent on to others."""
        self.dispatcher.serving = False

    async def _close_groups(self) -> None:
        for group in self.groups.values():
            await group.aclose()

    async def _close_listener(self) -> None:
        # One turn of the loop: what the groups have just told their waiters still has to be sent.
        await asyncio.sleep(0)
        self.listener.close()
