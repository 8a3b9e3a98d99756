"""The life of a node: start, serve, drain, stop.

Start is all or nothing: loaders are made, the address is bound, the membership is found, the first ring is built; where others serve already,
the node joins: they hand over what it is to hold. Only then are requests served. Whatever fails takes down what was there before it. Drain leaves the
ring first, hands over what the node holds, and goes on answering until it is quiet, so that nobody meets a closed door: others route
around a leaving node as soon as they hear of it, and a request that is under way is finished. Stop is for after that, and for emergencies.

A node owns its groups, sockets and timers; two nodes live in one process without knowing of each other. It belongs to the event loop that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random as chance
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final, Self

from zmcache.calls import Group
from zmcache.config import NodeConfig, load_node, node_id_from
from zmcache.core import wire
from zmcache.core.ring import JOINING, LEAVING, SERVING, Epoch, Member, Ring
from zmcache.core.versions import Versions
from zmcache.deadlines import Deadlines
from zmcache.discovery.base import Discovery, Snapshot
from zmcache.errors import DiscoveryError, LifecycleError, UnknownGroup
from zmcache.loading import Loader
from zmcache.node.about import figures_frame, members_frame
from zmcache.node.away import Away
from zmcache.node.dispatch import Dispatcher
from zmcache.node.doubt import Doubt
from zmcache.node.figures import figures_of
from zmcache.node.followers import Followers
from zmcache.node.handover import Handover
from zmcache.node.housekeeping import SUSPECTED_S, Housekeeping, Sweep, time_since_boot_s
from zmcache.node.membership import Membership
from zmcache.node.reload import Changes, changes, with_budgets
from zmcache.node.repairing import Repairing
from zmcache.node.short import HandedOver, Shortage
from zmcache.node.usage import Usage
from zmcache.node.wiring import concerning, make_discovery, make_groups, make_loader, make_transport
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import Mesh
from zmcache.peers.remote import RemotePeers
from zmcache.peers.telling import relay
from zmcache.transport.base import Listener, Transport

_PUBLISHED_S: Final = 5.0  # until what was published is in this node's own ring
_ASKS_AGAIN_S: Final = 1.0
_LOOKS_AGAIN_S: Final = 0.1
_RELAYED_S: Final = 2.0
_QUIET_S: Final = 0.5  # no request for this long: everyone has heard that the node is leaving

_log = logging.getLogger("zmcache.node")


class Node:
    """One process's share of the mesh. ``async with Node.from_yaml(path) as node: items = node.group("items")``.

    ``loaders`` (by group) replace what the config names. ``transport`` and ``discovery`` replace the real ones, for tests; so do
    ``clock``, by which entries end, ``loop_time``, by which requests wait (it has to keep the pace of the event loop), ``boot_time``, by which
    standstills are noticed, and ``random``, a number from 0 to 1 at each call.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        loaders: Mapping[str, Loader] | None = None,
        transport: Callable[[], Transport] | None = None,
        discovery: Callable[[Member], Discovery] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_s: Callable[[], float] = time.time,
        loop_time: Callable[[], float] = time.monotonic,
        boot_time: Callable[[], float] = time_since_boot_s,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.config = config
        self._wall_s = wall_s
        self._clock = clock
        self._loop_time = loop_time
        self._boot_time = boot_time
        self._random = random
        self._given_loaders = dict(loaders or {})
        self._make_transport = transport or (lambda: make_transport(config))
        self._make_discovery = discovery or (lambda member: make_discovery(config, member))
        self._loaders: dict[str, Loader] = {}
        self._groups: dict[str, Group] = {}
        self._started = self._stopped = False
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: Transport | None = None
        self._listener: Listener | None = None
        self._deadlines: Deadlines | None = None
        self._mesh: Mesh | None = None
        self._membership: Membership | None = None
        self._discovery: Discovery | None = None
        self._dispatcher: Dispatcher | None = None
        self._peers: RemotePeers | None = None
        self._member: Member | None = None
        self._housekeeping: Housekeeping | None = None
        self._handover: Handover | None = None
        self._doubt: Doubt | None = None
        self._usage: Usage | None = None
        self._shortage: Shortage | None = None
        self._away: Away | None = None
        self._followers: Followers | None = None
        self._repairing: Repairing | None = None
        self._followed_by = Ring.EMPTY
        self.on_leave: Callable[[bool], None] | None = None
        """Called when somebody asks this node to leave the ring and end; with True: and to begin again. None: nobody may."""
        self._started_s = 0.0
        self.handed_over = False
        """Whether it leaves, and what it held is held elsewhere."""
        self.lease_losses = 0
        self.standstills = 0

    @classmethod
    def from_yaml(cls, path: str | Path, *, node_id: str | None = None) -> Self:
        """A node as a file says. ``node_id`` picks one of a cluster file. Raises `ConfigError`."""
        return cls(load_node(path, node_id=node_id))

    async def __aenter__(self) -> Self:
        """Start; see `start` for what is raised."""
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Leave the ring, then stop."""
        await self.drain()
        await self.stop()

    def reconfigure(self, config: NodeConfig) -> Changes:
        """Take over what can be changed while the node serves: its groups' budgets. What else is different waits for a restart, and is told.

        A smaller budget is reached within seconds, in slices, while the group serves.
        """
        found = changes(self.config, config)
        for name, (_, budget_bytes) in found.budgets.items():
            self._groups[name].resize(budget_bytes)
        self.config = with_budgets(self.config, found.budgets)
        return found

    # -- start and stop --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve. Raises `ConfigError` (an address in use, a loader that cannot be found) or `DiscoveryError`; then nothing runs."""
        if self._started:
            raise LifecycleError("a node is started once; make another")
        self._started = True
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop_time()
        try:
            await self._start(self._loop)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        config = self.config
        for name, group in config.groups.items():
            with concerning(f"groups.{name}.loader"):
                loader = self._given_loaders.get(name) or make_loader(group.loader, group.max_loads)
            if loader is not None:
                self._loaders[name] = loader
        self._deadlines = Deadlines(loop)
        self._transport = self._make_transport()
        with concerning("node.listen"):
            self._listener = self._transport.listen(config.node.listen, lambda peer, frame: self._on_frame(peer, frame))
        endpoint = config.node.advertise or self._listener.endpoint
        node_id = config.node.id or node_id_from(endpoint)
        self._member = config.node.member()._replace(node_id=node_id, endpoint=endpoint, protocol=wire.VERSION)
        self._mesh = Mesh(
            self._transport,
            config.limits,
            self._deadlines,
            self_id=node_id,
            on_epoch=lambda *_: None,
            on_back=lambda channel: self._on_back(channel),
            clock=self._loop_time,
            random=self._random,
        )
        self._mesh.copies = {name: group.copies for name, group in config.groups.items() if group.copies > 1}
        self._peers = RemotePeers(self._mesh, node_id, self._clock, self._on_short)
        versions = Versions(node_id, self._wall_s(), self._loop_time)
        self._groups = make_groups(
            config,
            self._peers,
            self._deadlines,
            self._loaders,
            self._clock,
            self._random,
            versions,
            self._peers.tell_tags,
        )
        for name, held in self._groups.items():
            self._peers.hearings.add(name, held)
        self._handover = Handover(
            self._mesh,
            self._groups,
            node_id,
            rate_bytes=float(config.node.handover_rate_bytes),
            clock=self._loop_time,
        )
        self._doubt = Doubt(self._mesh, node_id)
        self._usage = Usage(self._mesh, self._groups, node_id)
        self._away = Away(
            self._mesh, self._doubt, self._on_back_among_others,
            within_s=config.node.join_timeout_s, clock=self._loop_time,
        )  # fmt: skip
        handover = self._handover
        self._shortage = Shortage(
            self._mesh, self._groups, node_id, lambda: HandedOver(handover.handed_for, handover.lacking)
        )
        self._repairing = Repairing(self._mesh, self._groups, node_id)
        # What was invalidated while this node was not there.
        self._repairing.doubt()
        self._mesh.on_cut_off = self._repairing.doubt
        for held in self._groups.values():
            held.tags.watch(self._look_at_tags)
        self._followers = Followers(
            self._groups,
            self._listener.send_nowait,
            lambda: self.epoch,
            config.limits,
            incarnation=versions.next(),
            clock=self._loop_time,
        )
        self._dispatcher = Dispatcher(
            self,
            self._groups,
            config.limits,
            self._deadlines,
            self._listener.send_nowait,
            self._followers,
            clock=self._loop_time,
        )
        self._membership = Membership(self._mesh, node_id, self._on_ring, clock=self._loop_time)
        self._discovery = self._make_discovery(self._member)
        if config.node.join_timeout_s > 0:
            self._member = self._member._replace(state=JOINING)
        await self._discovery.start(self._member, self._on_snapshot, self._on_lease_lost)
        await self._membership.wait_ring()
        self._repairing.begin()
        # While it joins, too: who has vanished is let go of.
        sweep = Sweep(self._away, self._membership, self._groups, clock=self._clock)
        self._housekeeping = Housekeeping(sweep, self._on_standstill, clock=self._boot_time)
        self._housekeeping.begin()
        self._member = await self._join(self._member)
        self._dispatcher.serving = True
        # What was kept in its place while it was away, or is not equal everywhere for whatever reason.
        self._begin_doubt()
        _log.debug("node %s serves at %s (bound to %s)", node_id, endpoint, self._listener.endpoint)

    async def _join(self, member: Member) -> Member:
        """Return when this node is to serve: it has been given what it is to hold, nobody serves who could give it, or it took too long."""
        assert self._mesh is not None
        assert self._doubt is not None
        assert self._discovery is not None
        assert self._membership is not None
        assert self._dispatcher is not None
        mine = self._mesh.ring.member(member.node_id)
        serving = member._replace(state=SERVING)
        if mine is None or mine.state != JOINING:
            # A static list, or the members last seen: nobody asks how this node is; or not before etcd is back.
            if member.state == JOINING:
                with contextlib.suppress(DiscoveryError):
                    await self._discovery.update(serving)
            return serving
        if any(other.state == SERVING for other in self._mesh.ring.members):
            within_s = self.config.node.join_timeout_s
            given_up: list[bool] = []
            self._doubt.begin(within_s, lambda: given_up.append(True), ask=False)
            await self._doubt.wait_over()
            if given_up:
                _log.warning("%s serves without having been handed over all that it is to hold", member.node_id)
        # Before it is known: who hears of it asks at once.
        self._dispatcher.serving = True
        try:
            await self._discovery.update(serving)
            await self._membership.wait_state(member.node_id, SERVING, _PUBLISHED_S)
        except DiscoveryError as error:
            # The others hear of it when it can be published; until then they keep what they own.
            _log.info("the others are not told yet that %s serves: %s", member.node_id, error)
        return serving

    async def drain(self) -> None:
        """Leave the ring, hand over, go on answering until it is quiet and nothing is in flight, at most ``drain_timeout``."""
        if self._dispatcher is None or not self._dispatcher.serving or self._stopped:
            return
        assert self._discovery is not None
        assert self._member is not None
        assert self._mesh is not None
        self._member = self._member._replace(state=LEAVING)
        alone = len(self._mesh.ring.members) <= 1
        try:
            await self._discovery.update(self._member)
        except DiscoveryError as error:
            if not alone:
                _log.info("the others are not told that this node leaves: %s", error)
            alone = True  # nobody will route around it, so there is no quiet to wait for
        deadline_s = self._loop_time() + self.config.node.drain_timeout_s
        if not alone:
            await self._hand_over_all(deadline_s)
        quiet_since_s = max(self._loop_time(), self._dispatcher.last_request_s)
        while (now_s := self._loop_time()) < deadline_s:
            quiet_since_s = max(quiet_since_s, self._dispatcher.last_request_s)
            if not self._dispatcher.late and (alone or now_s - quiet_since_s >= _QUIET_S):
                break
            await asyncio.sleep(0.02)

    async def _hand_over_all(self, deadline_s: float) -> None:
        """Return when what this node holds is held elsewhere, as far as that can be done until then."""
        assert self._membership is not None
        assert self._handover is not None
        try:
            async with asyncio.timeout(max(0.0, deadline_s - self._loop_time())):
                is_told = await self._membership.wait_state(self.member.node_id, LEAVING, _PUBLISHED_S)
                await self._handover.wait_settled()
                # Who cannot be reached now may be back before the time is over, or be let go of, and others get its part.
                while self._handover.short:
                    await asyncio.sleep(_LOOKS_AGAIN_S)
                    await self._handover.wait_settled()
                self.handed_over = is_told
        except TimeoutError:
            pass  # told below, as is all else that keeps it from being whole
        if not self.handed_over:
            _log.warning("%s leaves before all that it held has been handed over", self.member.node_id)

    async def stop(self) -> None:
        """Stop at once: off the list of members, everything closed, who still waits is told. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        if self._housekeeping is not None:
            self._housekeeping.close()
        if self._dispatcher is not None:
            self._dispatcher.serving = False
        if self._discovery is not None:
            await self._discovery.stop()
        if self._membership is not None:
            await self._membership.aclose()
        if self._doubt is not None:
            self._doubt.close()
        if self._usage is not None:
            self._usage.close()
        if self._followers is not None:
            self._followers.close()
        if self._repairing is not None:
            await self._repairing.aclose()
        if self._shortage is not None:
            await self._shortage.aclose()
        if self._handover is not None:
            await self._handover.aclose()
        for group in self._groups.values():
            await group.aclose()
        for name, loader in self._loaders.items():
            # A group closes its own; after a start that failed early there are loaders without one.
            if name not in self._groups:
                await loader.aclose()
        if self._peers is not None:
            self._peers.background.close()
            self._peers.hearings.close()
        if self._mesh is not None:
            self._mesh.close()
        if self._listener is not None:
            # One turn of the loop: what the groups have just told their waiters still has to be sent.
            await asyncio.sleep(0)
            self._listener.close()
        if self._transport is not None:
            self._transport.close()
        if self._deadlines is not None:
            self._deadlines.close()

    # -- what a program that embeds a node uses --------------------------------------------------------------------

    def group(self, name: str) -> Group:
        """The group of that name. Raises `UnknownGroup`, and `LifecycleError` before start, after stop, or in another loop."""
        if self._loop is None or self._stopped:
            raise LifecycleError("the node does not run: use it inside `async with`, or between start() and stop()")
        if self._pid != os.getpid():
            raise LifecycleError("the node was started before a fork; each process needs one of its own")
        if asyncio.get_running_loop() is not self._loop:
            raise LifecycleError("the node belongs to another event loop")
        try:
            return self._groups[name]
        except KeyError:
            raise UnknownGroup(f"there is no group {name!r}; there are: {', '.join(self._groups) or 'none'}") from None

    def clock_moved(self) -> None:
        """For tests: the clock that the node was given has jumped ahead."""
        for group in self._groups.values():
            group.clock_moved()

    def lease_lost(self) -> None:
        """For tests: the node was off the list for a while, and others took its keys."""
        self._on_lease_lost()

    def stood_still(self, for_s: float) -> None:
        """For tests: as far as the others can tell the process did not run for that long."""
        if for_s >= SUSPECTED_S:
            self._on_standstill()

    @property
    def member(self) -> Member:
        """As the others see it."""
        if self._member is None:
            raise LifecycleError("the node has not been started")
        return self._member

    def ring(self) -> Ring:
        """The ring in use."""
        if self._mesh is None:
            raise LifecycleError("the node has not been started")
        return self._mesh.ring

    def statistics(self) -> dict[str, float]:
        """Counters by name, as `zmcache stats` prints them."""
        return {name: figure for block in self._figures() for name, figure in block.items()}

    def _figures(self) -> Iterator[dict[str, float]]:
        if self._mesh is None or self._dispatcher is None or self._membership is None:
            raise LifecycleError("the node has not been started")
        short = {} if self._shortage is None else self._shortage.counts
        blocks = figures_of(self._dispatcher, self._mesh, self._membership, self._groups, short, self.member.node_id)
        yield {
            "uptime_s": round(self._loop_time() - self._started_s, 3),
            "lease_losses": self.lease_losses,
            "standstills": self.standstills,
            "handed_over": float(self.handed_over),
            "doubting": float(self._doubt is not None and not self._doubt.is_over),
            "tags.doubting": float(self._repairing is not None and self._repairing.in_doubt),
            "tags.repaired": float(0 if self._repairing is None else self._repairing.repaired),
            **next(blocks),
            **(self._handover.statistics() if self._handover is not None else {}),
        }
        yield from blocks

    # -- for the dispatcher ----------------------------------------------------------------------------------------

    @property
    def epoch(self) -> Epoch:
        """That of the ring in use."""
        assert self._mesh is not None
        return self._mesh.ring.epoch

    @property
    def node_id(self) -> str:
        """See `zmcache.node.dispatch.Desk`."""
        return self.member.node_id

    @property
    def is_away(self) -> bool:
        """See `zmcache.node.dispatch.Desk`."""
        return self._away is not None and self._away.is_away

    def would_know(self, key: str, copies: int) -> bool:
        """See `zmcache.node.dispatch.Desk`."""
        return self._mesh is None or self._mesh.would_know(key, copies)

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives ``key`` to this node."""
        assert self._peers is not None
        return self._peers.is_ours(key)

    def look_back(self) -> None:
        """Notice now whether the node stood still."""
        if self._housekeeping is not None:
            self._housekeeping.look()

    def members_frame(self, request_id: int) -> bytes:
        """The answer to TOPOLOGY, encoded."""
        assert self._mesh is not None
        return members_frame(request_id, self.ring(), self._mesh.copies, self.config.limits)

    def figures_frame(self, request_id: int) -> bytes:
        """The answer to STATS, encoded."""
        return figures_frame(request_id, self.epoch, self.member.node_id, self._figures(), self.config.limits)

    def on_doubt(self, peer: str, number: int, epoch: Epoch) -> None:
        """See `zmcache.node.dispatch.Desk`."""
        if self._handover is not None:
            self._handover.on_doubt(peer, number, epoch)

    def on_handed(self, peer: str, number: int) -> None:
        """A node has handed over to this one."""
        if self._doubt is not None:
            self._doubt.handed(peer, number)

    def compare(self, request: wire.Digests, answer: Callable[[bytes], None]) -> bool:
        """See `zmcache.node.dispatch.Desk`."""
        if self._handover is None:
            return False
        return self._handover.compare(request.sender, request.group, request.digests, answer)

    def on_invalidated(self, request: wire.Invalidate) -> None:
        """See `zmcache.node.dispatch.Desk`."""
        # Whoever has other members in its ring may not know of all who are in this one.
        if self._mesh is not None and request.digest != self.epoch.digest:
            relay(self._mesh.channels(), request, self._loop_time() + _RELAYED_S)

    def on_other_tags(self, peer: str) -> None:
        """See `zmcache.node.dispatch.Desk`."""
        if self._repairing is not None:
            self._repairing.ask_soon(peer)

    def leave(self, *, anew: bool) -> bool:
        """See `zmcache.node.dispatch.Desk`."""
        if self.on_leave is None or self._loop is None:
            return False
        self._loop.call_soon(self.on_leave, anew)
        return True

    # -- callbacks -------------------------------------------------------------------------------------------------

    def _on_frame(self, peer: bytes, frame: bytes) -> None:
        if self._dispatcher is not None:
            self._dispatcher.on_frame(peer, frame)

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        assert self._membership is not None
        self._membership.on_snapshot(snapshot)

    def _on_ring(self) -> None:
        for group in self._groups.values():
            group.ring_changed()
        ring = self.ring()
        is_first, moved = not self._followed_by, not ring.places_as(self._followed_by)
        if self._followers is not None and moved:
            self._followers.moved()
        for group in self._groups.values() if moved else ():
            group.owners_changed()
        self._followed_by = ring
        if self._handover is not None:
            self._handover.on_ring()
        mesh = self._mesh
        # Who was to join may be gone again: what was handed over for its sake goes back.
        is_unknown = mesh is not None and mesh.next_ring is ring and mesh.known_ring is not ring
        if (moved or is_unknown) and not is_first and mesh is not None and mesh.copies:
            # Who holds what this node is to hold from now on may need longer to hand it over than former owners are asked for.
            self._begin_doubt()

    def _look_at_tags(self) -> None:
        """Before anything with tags is given. Who reaches none of several others is likely to be away itself, and told of nothing."""
        self.look_back()
        if self._mesh is not None and self._mesh.is_cut_off:
            self._doubt_tags()

    def _doubt_tags(self) -> None:
        if self._repairing is not None:
            self._repairing.doubt()

    def _on_back(self, channel: Channel) -> None:
        if self._repairing is not None:
            self._repairing.ask_soon(channel.name)
        if self._handover is not None and self._mesh is not None and self._mesh.channel_of(channel.name) is channel:
            self._handover.on_peer_back(channel.name)
            if self._doubt is not None:
                self._doubt.on_back(channel.name)

    def _on_short(self, peer: str) -> None:
        # It lacks copies, though it was there all the time.
        if self._handover is not None:
            self._handover.on_peer_back(peer)

    def _on_lease_lost(self) -> None:
        self.lease_losses += 1
        self._doubt_tags()
        for group in self._groups.values():
            group.ring_changed(lease_lost=True)
        self._begin_doubt()

    def _on_back_among_others(self) -> None:
        _log.warning(
            "this node was cut off from the others, or stood still; it serves again when it has what was written meanwhile"
        )
        for group in self._groups.values():
            group.ring_changed(lease_lost=True)
        self._begin_doubt()

    def _begin_doubt(self, *, again: bool = False) -> None:
        """Others may have been written to in this node's place. What it holds it keeps, and asks until all of them have told it: to let go of it
        would lose for good what only this node holds.
        """
        if self._doubt is not None and self._dispatcher is not None and self._dispatcher.serving:
            within_s = min((group.settings.moved_ttl_s for group in self._groups.values()), default=0.0)
            asks_again = partial(self._begin_doubt, again=True)
            self._doubt.begin(max(within_s, _ASKS_AGAIN_S), asks_again, again=again)

    def _on_standstill(self) -> None:
        # Alone, nobody stood in for it.
        if len(self.ring().members) > 1:
            self.standstills += 1
            if self._mesh is not None:
                # What was written meanwhile others have: they are asked until it is here (`Away`).
                self._mesh.was_cut_off = True
            self._doubt_tags()
            for group in self._groups.values():
                group.stood_still()
            self._begin_doubt()
