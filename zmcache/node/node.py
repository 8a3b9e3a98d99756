"""The life of a node: start, serve, drain, stop.

Start is all or nothing: loaders are made, the address is bound, the membership is found, the first ring is built, and only then
are requests served; whatever fails takes down what was there before it. Drain leaves the ring first and goes on answering until
it is quiet, so that nobody meets a closed door: others route around a leaving node as soon as they hear of it, and a request that
is under way is finished. Stop is for after that, and for emergencies.

A node owns its groups, sockets and timers; two nodes live in one process without knowing of each other. It belongs to the event loop that started it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from zmcache.calls import Group
from zmcache.config import NodeConfig, load_node, node_id_from
from zmcache.core import wire
from zmcache.core.ring import Epoch, Member, Ring
from zmcache.core.settings import GroupSettings
from zmcache.deadlines import Deadlines
from zmcache.discovery.base import Discovery, Snapshot
from zmcache.errors import ConfigError, DiscoveryError, LifecycleError, UnknownGroup
from zmcache.loading import Loader
from zmcache.node.dispatch import Dispatcher
from zmcache.node.figures import figures_of
from zmcache.node.membership import Membership
from zmcache.node.wiring import make_discovery, make_loader, make_transport
from zmcache.peers.mesh import Mesh
from zmcache.peers.pulse import BEAT_S, MISSED_BEATS
from zmcache.peers.remote import RemotePeers
from zmcache.transport.base import Listener, Transport

_HOUSEKEEPING_S: Final = 0.5
# A loop that stood still for so long may be suspected by its peers. Less than this and housekeeping's own pause is no suspicion.
_STANDSTILL_S: Final = MISSED_BEATS * BEAT_S
_QUIET_S: Final = 0.5  # no request for this long: everyone has heard that the node is leaving

_log = logging.getLogger("zmcache.node")


@contextmanager
def _concerning(path: str) -> Iterator[None]:
    """A `ConfigError` that comes out of the block is about the setting at ``path``."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(error.expected, path=path) from error


class Node:
    """One process's share of the mesh. ``async with Node.from_yaml(path) as node: items = node.group("items")``.

    ``loaders`` (by group) replace what the config names. ``transport`` and ``discovery`` replace the real ones, for tests.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        loaders: Mapping[str, Loader] | None = None,
        transport: Callable[[], Transport] | None = None,
        discovery: Callable[[Member], Discovery] | None = None,
    ) -> None:
        self.config = config
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
        self._housekeeping: asyncio.TimerHandle | None = None
        self._started_s = 0.0
        self._kept_house_s = 0.0
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

    # -- start and stop --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve. Raises `ConfigError` (an address in use, a loader that cannot be found) or `DiscoveryError`; then nothing runs."""
        if self._started:
            raise LifecycleError("a node is started once; make another")
        self._started = True
        self._loop = asyncio.get_running_loop()
        self._started_s = time.monotonic()
        try:
            await self._start(self._loop)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        config = self.config
        for name, group in config.groups.items():
            with _concerning(f"groups.{name}.loader"):
                loader = self._given_loaders.get(name) or make_loader(group.loader, group.max_loads)
            if loader is not None:
                self._loaders[name] = loader
        self._deadlines = Deadlines(loop)
        self._transport = self._make_transport()
        with _concerning("node.listen"):
            self._listener = self._transport.listen(config.node.listen, lambda peer, frame: self._on_frame(peer, frame))
        endpoint = config.node.advertise or self._listener.endpoint
        node_id = config.node.id or node_id_from(endpoint)
        self._member = config.node.member()._replace(node_id=node_id, endpoint=endpoint, protocol=wire.VERSION)
        self._mesh = Mesh(self._transport, config.limits, self._deadlines, self_id=node_id, on_epoch=lambda *_: None)
        self._peers = RemotePeers(self._mesh, node_id)
        for name, group in config.groups.items():
            settings = GroupSettings(**{field: getattr(group, field) for field in GroupSettings.__struct_fields__})
            self._groups[name] = Group(
                name,
                settings,
                config.limits,
                self._peers,
                self._deadlines,
                loader=self._loaders.get(name),
                random=random.random,
            )
        self._dispatcher = Dispatcher(self, self._groups, config.limits, self._deadlines, self._listener.send_nowait)
        self._membership = Membership(self._mesh, node_id, self._on_ring)
        self._discovery = self._make_discovery(self._member)
        await self._discovery.start(self._member, self._on_snapshot, self._on_lease_lost)
        await self._membership.wait_ring()
        self._dispatcher.serving = True
        self._kept_house_s = time.monotonic()
        self._keep_house()
        _log.debug("node %s serves at %s (bound to %s)", node_id, endpoint, self._listener.endpoint)

    async def drain(self) -> None:
        """Leave the ring, go on answering until it is quiet and nothing is in flight, at most ``drain_timeout``."""
        if self._dispatcher is None or not self._dispatcher.serving or self._stopped:
            return
        assert self._discovery is not None
        assert self._member is not None
        assert self._mesh is not None
        self._member = self._member._replace(state="leaving")
        alone = len(self._mesh.ring.members) <= 1
        try:
            await self._discovery.update(self._member)
        except DiscoveryError as error:
            _log.info("leaving without a word: %s", error)
            alone = True
        deadline_s = time.monotonic() + self.config.node.drain_timeout_s
        quiet_since_s = max(time.monotonic(), self._dispatcher.last_request_s)
        while (now_s := time.monotonic()) < deadline_s:
            quiet_since_s = max(quiet_since_s, self._dispatcher.last_request_s)
            if not self._dispatcher.late and (alone or now_s - quiet_since_s >= _QUIET_S):
                break
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stop at once: off the list of members, everything closed, who still waits is told. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        if self._dispatcher is not None:
            self._dispatcher.serving = False
        if self._discovery is not None:
            await self._discovery.stop()
        if self._membership is not None:
            await self._membership.aclose()
        for group in self._groups.values():
            await group.aclose()
        for name, loader in self._loaders.items():
            # A group closes its own; after a start that failed early there are loaders without one.
            if name not in self._groups:
                await loader.aclose()
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
        if self._mesh is None or self._dispatcher is None or self._membership is None:
            raise LifecycleError("the node has not been started")
        return {
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "lease_losses": self.lease_losses,
            "standstills": self.standstills,
            **figures_of(self._dispatcher, self._mesh, self._membership, self._groups, self.member.node_id),
        }

    # -- for the dispatcher ----------------------------------------------------------------------------------------

    @property
    def epoch(self) -> Epoch:
        """That of the ring in use."""
        assert self._mesh is not None
        return self._mesh.ring.epoch

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives ``key`` to this node."""
        assert self._peers is not None
        return self._peers.is_ours(key)

    def members_answer(self, request_id: int) -> wire.Members:
        """The answer to TOPOLOGY."""
        members = self.ring().members
        return wire.Members(
            *wire.header(wire.MEMBERS, request_id, self.epoch),
            [m.node_id for m in members],
            [m.endpoint for m in members],
            [m.weight for m in members],
            [m.zone for m in members],
            [m.state for m in members],
        )

    def figures_answer(self, request_id: int) -> wire.Figures:
        """The answer to STATS."""
        figures = self.statistics()
        header = wire.header(wire.FIGURES, request_id, self.epoch, group=self.member.node_id)
        return wire.Figures(*header, list(figures), list(figures.values()))

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

    def _on_lease_lost(self) -> None:
        self.lease_losses += 1
        self._doubt_everything()

    def _doubt_everything(self) -> None:
        for group in self._groups.values():
            group.ring_changed(lease_lost=True)

    def _keep_house(self) -> None:
        assert self._loop is not None
        assert self._membership is not None
        now_s = time.monotonic()
        stood_s, self._kept_house_s = now_s - self._kept_house_s, now_s
        if stood_s >= _STANDSTILL_S and len(self.ring().members) > 1:
            # The race: long before a lease is lost, who stands in for a silent owner acknowledges sets and deletes in its place.
            _log.warning("the loop stood still for %.1f s: others may have been written to meanwhile", stood_s)
            self.standstills += 1
            self._doubt_everything()
        self._membership.check_held()
        # A full slice means that there is more: come back soon, but let the loop serve in between.
        more = sum(group.expire() for group in self._groups.values()) > 0
        self._housekeeping = self._loop.call_later(0.005 if more else _HOUSEKEEPING_S, self._keep_house)
