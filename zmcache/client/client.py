"""The life of a client: find the cluster, keep its ring fresh, hand out groups, close.

A client knows addresses, not etcd. It asks any node for the topology, keeps it, and asks again when an answer carries another epoch or a node
cannot be reached. Only a newer topology is adopted, so a node that lags behind cannot take a client back with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random as chance
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, cast

from zmcache.cache import Cache, Topology
from zmcache.cache.raw import Raw
from zmcache.client.group import ClientRaw
from zmcache.client.near import NearSettings
from zmcache.client.route import AnyRoute, OwnerRoute, Route
from zmcache.core.calls import DEFAULT_TIMEOUT_S, Duration, check_timeout
from zmcache.core.ring import Epoch, Member, Ring
from zmcache.core.tags import WHOLE_GROUP
from zmcache.core.wire import STATS, TOPOLOGY, Figures, Limits, Members, Reply
from zmcache.deadlines import Deadlines
from zmcache.errors import ConfigError, PeerUnavailable, ProtocolError, ZmcacheError
from zmcache.peers.building import build_ring
from zmcache.peers.channel import Channel, State
from zmcache.peers.following import Sessions
from zmcache.peers.mesh import Mesh
from zmcache.peers.pulse import BEAT_S
from zmcache.peers.telling import invalidate
from zmcache.transport.base import Transport

# A cluster that changes may answer with a new epoch many times a second; one question in this time is enough to follow it.
REFRESH_PAUSE_S: Final = 0.2
# A look at the topology without any sign of change, for clients that only ever met nodes which are gone.
_REFRESH_IDLE_S: Final = 5.0
# Whoever is in use answers a ping in this time, and says in it which ring it has.
_SPEAKS_WITHIN_S: Final = 2 * BEAT_S

_log = logging.getLogger("zmcache.client")


class Client(Cache):
    """A connection to a cluster; see `zmcache.connect`."""

    def __init__(
        self,
        addresses: list[str],
        *,
        route: Literal["owner", "any"],
        timeout_s: float,
        connect_timeout_s: float,
        limits: Limits,
        make_transport: Callable[[], Transport],
        on_error: str = "raise",
        near: NearSettings | None = None,
        hedge: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = chance.random,
    ) -> None:
        """``clock`` has to keep the pace of the event loop; ``random`` gives a number from 0 to 1 at each call."""
        super().__init__(on_error, limits, timeout_s, clock)
        self._clock = clock
        self._random = random
        self._addresses = addresses
        self._route_kind = route
        self._connect_timeout_s = connect_timeout_s
        self._make_transport = make_transport
        self._near = near
        self._hedge = hedge
        self._raws: list[ClientRaw] = []
        self._sessions: Sessions | None = None
        self._transport: Transport | None = None
        self._mesh: Mesh | None = None
        self._route: Route | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._wake: asyncio.Event | None = None
        self._hint: Channel | None = None
        self._behind: dict[Channel, float] = {}  # when they last spoke of an older ring

    async def _open(self) -> None:
        assert self._loop is not None
        self._wake = asyncio.Event()
        self._transport = self._make_transport()
        self._mesh = Mesh(
            self._transport,
            self._limits,
            Deadlines(self._loop),
            self_id=None,
            on_epoch=self._on_epoch,
            clock=self._clock,
            random=self._random,
        )
        self._sessions = Sessions(self._clock)
        if self._route_kind == "any":
            self._route = AnyRoute(self._mesh, self._addresses)
        else:
            self._route = OwnerRoute(self._mesh)
        try:
            await self._first_topology(self._mesh)
        except PeerUnavailable as error:
            # To be without a cache is allowed: it is found as soon as it is there.
            self._away.note("all", error)
            self._wake.set()
        self._refreshing = self._loop.create_task(self._keep_fresh(self._mesh), name="zmcache client topology")

    async def _close(self) -> None:
        refreshing, self._refreshing = self._refreshing, None
        if refreshing is not None:
            refreshing.cancel()
            await asyncio.wait([refreshing])
        for raw in self._raws:
            await raw.aclose()
        if self._sessions is not None:
            self._sessions.close()
        mesh, self._mesh = self._mesh, None
        if mesh is not None:
            # One turn of the loop: what the fills that have just ended say of their leases still has to be sent.
            await asyncio.sleep(0)
            mesh.close()
            mesh.deadlines.close()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _make_raw(self, name: str) -> Raw:
        assert self._route is not None
        assert self._wake is not None
        assert self._sessions is not None
        by_owner = self._route_kind == "owner"
        raw = ClientRaw(
            name, self._route, self._timeout_s, self._wake.set, self._clear, self._invalidate, self._sessions,
            near=self._near if by_owner else None, hedge=self._hedge if by_owner else 0.0,
        )  # fmt: skip
        self._raws.append(raw)
        return raw

    async def _clear(self, group: str, timeout: Duration | None) -> None:
        await self._invalidate(group, (WHOLE_GROUP,), timeout)

    async def _invalidate(self, group: str, tags: Sequence[str], timeout: Duration | None) -> None:
        mesh = self._ready()
        if not mesh.ring:
            raise PeerUnavailable("no node has answered yet")
        until_s = mesh.clock() + (self._timeout_s if timeout is None else check_timeout(timeout))
        await invalidate(mesh.channels(), group, tags, until_s, mesh.clock)

    async def topology(self, *, timeout: Duration | None = None) -> Topology:
        """Ask a node who is in the cluster. Raises `PeerUnavailable` when none answers."""
        mesh = self._ready()
        deadline_s = mesh.clock() + (self._timeout_s if timeout is None else check_timeout(timeout))
        return _topology(await self._any_answer(mesh, self._candidates(mesh), TOPOLOGY, deadline_s))

    async def statistics(self, *, timeout: Duration | None = None) -> dict[str, dict[str, float]]:
        """The counters of every node that answers, by node id; see `zmcache stats` for their names."""
        mesh = self._ready()
        deadline_s = mesh.clock() + (self._timeout_s if timeout is None else check_timeout(timeout))
        asked = [channel.query(STATS, deadline_s) for channel in mesh.channels() if channel.state is not State.DOWN]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return {
            answer.group: dict(zip(answer.names, answer.figures, strict=True))
            for answer in answers
            if isinstance(answer, Figures)
        }

    def ring(self) -> Ring:
        """The ring as this client has it."""
        return self._ready().ring

    def _ready(self) -> Mesh:
        self._check_open()
        assert self._mesh is not None
        return self._mesh

    # -- topology --------------------------------------------------------------------------------------------------

    async def _first_topology(self, mesh: Mesh) -> None:
        deadline_s = mesh.clock() + self._connect_timeout_s
        pause_s = 0.05
        while True:
            attempt_s = min(deadline_s, mesh.clock() + 2.0)
            try:
                answer = await self._any_answer(
                    mesh, [mesh.contact(address) for address in self._addresses], TOPOLOGY, attempt_s
                )
            except ZmcacheError as error:
                if mesh.clock() + pause_s >= deadline_s:
                    raise PeerUnavailable(f"no node answers at {', '.join(self._addresses)}: {error}") from error
                await asyncio.sleep(pause_s * (0.5 + self._random()))
                pause_s = min(1.0, pause_s * 2)
            else:
                await self._adopt(mesh, answer)
                return

    async def _any_answer(self, mesh: Mesh, channels: list[Channel], kind: int, deadline_s: float) -> Reply:
        """The first good answer to a question that is put to all of them at once."""
        asked = [channel.query(kind, deadline_s) for channel in channels]
        waiting = set(asked)
        error: BaseException | None = None
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                # Every one is looked at, or asyncio would report the failures among them as unseen; in the order in which they were asked,
                # for a set's own is another in every run.
                failures = {future: future.exception() for future in asked if future in done}
                for future, error in failures.items():
                    if error is None:
                        return future.result()
        finally:
            for future in waiting:
                future.cancel()
        raise error or PeerUnavailable("there is no node to ask")

    def _candidates(self, mesh: Mesh) -> list[Channel]:
        """Whom to ask for the topology: who spoke of a new one, else a few that are up, else everyone ever heard of."""
        if self._hint is not None and self._hint.state is State.UP:
            return [self._hint]
        up = [channel for channel in mesh.used if channel.state is State.UP]
        return up[:3] or [mesh.contact(address) for address in self._addresses] + mesh.channels()

    def _on_epoch(self, channel: Channel, epoch: Epoch) -> None:
        if self._mesh is None or self._wake is None:
            return
        if epoch.revision >= self._mesh.ring.epoch.revision:
            self._hint = channel
            self._wake.set()
        else:
            self._behind[channel] = self._clock()

    def _is_left_behind(self, mesh: Mesh) -> bool:
        """Whether nobody in use has a ring as new as ours. An etcd that has lost its data counts from the beginning, and then an older
        topology is the one there is. (Whoever merely lags behind is not alone, but for a moment.)
        """
        since_s = self._clock() - _SPEAKS_WITHIN_S
        states = mesh.states().values()
        in_use = [channel for channel in mesh.used if channel.usable and channel.state is not State.NEW]
        if not in_use:
            # Nobody to hear it from. Who was never asked may well have the ring that we have.
            return State.NEW not in states
        return all(self._behind.get(channel, -math.inf) > since_s for channel in in_use)

    async def _keep_fresh(self, mesh: Mesh) -> None:
        assert self._wake is not None
        while True:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes together with the event, and `aclose` would hang.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_IDLE_S):
                    await self._wake.wait()
            self._wake.clear()
            candidates, self._hint = self._candidates(mesh), None
            try:
                answer = await self._any_answer(mesh, candidates, TOPOLOGY, mesh.clock() + 2.0)
                await self._adopt(mesh, answer)
            except ZmcacheError as error:
                _log.debug("the topology could not be refreshed: %s", error)
            await asyncio.sleep(REFRESH_PAUSE_S)

    async def _adopt(self, mesh: Mesh, answer: Reply) -> None:
        topology = _topology(answer)
        if isinstance(answer, Members) and answer.groups is not None and answer.copies is not None:
            mesh.copies = dict(zip(answer.groups, answer.copies, strict=True))
        if not self._is_left_behind(mesh) and not _is_newer(topology, mesh.ring):
            return
        self._behind.clear()
        ring = await build_ring(topology.members, topology.revision, mesh.ring)
        moves = not ring.places_as(mesh.ring)
        mesh.adopt(ring)
        if moves:
            for raw in self._raws:
                raw.ring_changed()


def _is_newer(topology: Topology, ring: Ring) -> bool:
    # Nodes hold members that vanished all at once in their rings for a while (zmcache.node.membership). Of two rings of one
    # revision, the one that lacks some of the other's members is the one that has let go of them.
    return topology.revision > ring.epoch.revision or (
        topology.revision == ring.epoch.revision and set(topology.members) < set(ring.members)
    )


def _topology(reply: Reply) -> Topology:
    if not isinstance(reply, Members):
        raise ProtocolError(f"asked for the topology, got kind {reply.kind}")
    if not reply.node_ids:
        raise ProtocolError("got a topology without any node")
    rows = zip(reply.node_ids, reply.endpoints, reply.weights, reply.zones, reply.states, strict=True)
    return Topology(reply.revision, tuple(Member(*row) for row in rows))


def parse_addresses(addresses: str) -> list[str]:
    """``host:port,host:port`` as endpoints. Raises `ConfigError` for what cannot be an address."""
    endpoints = []
    for part in (part.strip() for part in addresses.split(",")):
        if not part:
            continue
        if "://" not in part:
            _, colon, port = part.rpartition(":")
            if not colon or not port.isdigit() or not 0 < int(port) < 65536:
                raise ConfigError(f"expected host:port, found {part!r}")
            part = f"tcp://{part}"
        endpoints.append(part)
    if not endpoints:
        raise ConfigError("expected at least one address, host:port[,host:port...]")
    return endpoints


def make_client(
    addresses: str | Sequence[str],
    make_transport: Callable[[], Transport],
    *,
    route: str = "owner",
    timeout: Duration = DEFAULT_TIMEOUT_S,
    connect_timeout: float = 5.0,
    limits: Limits | None = None,
    on_error: str = "raise",
    near: NearSettings | None = None,
    hedge: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    random: Callable[[], float] = chance.random,
) -> Client:
    """A client that is not yet connected. ``addresses``: text for `parse_addresses`, or endpoints. Raises `ConfigError` for a wrong argument.

    ``hedge``: the share of gets that may be asked twice. ``clock`` and ``random``: see `Client`.
    """
    if route not in ("owner", "any"):
        raise ConfigError(f"expected route 'owner' or 'any', found {route!r}")
    return Client(
        parse_addresses(addresses) if isinstance(addresses, str) else list(addresses),
        route=cast('Literal["owner", "any"]', route),
        timeout_s=check_timeout(timeout),
        connect_timeout_s=check_timeout(connect_timeout),
        limits=limits or Limits(),
        make_transport=make_transport,
        on_error=on_error,
        near=near,
        hedge=hedge,
        clock=clock,
        random=random,
    )
