"""The life of a node: start, serve, drain, stop.

Start is all or nothing: loaders are made, the address is bound, the membership is found, the first ring is built; where others serve already,
the node joins: they hand over what it is to hold. Only then are requests served. Whatever fails takes down what was there before it. Drain leaves the
ring first, hands over what the node holds, and goes on answering until it is quiet, so that nobody meets a closed door: others route
around a leaving node as soon as they hear of it, and a request that is under way is finished. Stop is for after that, and for emergencies.

A node owns its groups, sockets and timers; two nodes live in one process without knowing of each other. It belongs to the event loop that started it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random as chance
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from zmcache.calls import Group
from zmcache.config import NodeConfig, load_node
from zmcache.core.ring import Member, Ring
from zmcache.discovery.base import Discovery
from zmcache.errors import LifecycleError, UnknownGroup
from zmcache.loading import Loader
from zmcache.node.figures import figures_of
from zmcache.node.housekeeping import SUSPECTED_S, time_since_boot_s
from zmcache.node.parts import Given, Parts, make_parts
from zmcache.node.reload import Changes, changes, with_budgets
from zmcache.node.wiring import make_discovery, make_transport
from zmcache.transport.base import Transport

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
        self._given = Given(
            loaders=dict(loaders or {}),
            transport=transport or (lambda: make_transport(config)),
            discovery=discovery or (lambda member: make_discovery(config, member)),
            clock=clock,
            wall_s=wall_s,
            loop_time=loop_time,
            boot_time=boot_time,
            random=random,
            leave=self._leave,
        )
        self._pid = os.getpid()
        self._started = self._stopped = False
        self._made: Parts | None = None
        self._closing = AsyncExitStack()
        self.on_leave: Callable[[bool], None] | None = None
        """Called when somebody asks this node to leave the ring and end; with True: and to begin again. None: nobody may."""

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
            self._parts.groups[name].resize(budget_bytes)
        self.config = with_budgets(self.config, found.budgets)
        return found

    # -- start and stop --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve. Raises `ConfigError` (an address in use, a loader that cannot be found), `DiscoveryError`, or `LifecycleError` where it is stopped
        meanwhile; then nothing runs.
        """
        if self._started:
            raise LifecycleError("a node is started once; make another")
        self._started = True
        try:
            self._made = await make_parts(self.config, self._given, self._closing)
            await self._begin(self._made)
        except BaseException:
            await self.stop()
            raise

    async def _begin(self, parts: Parts) -> None:
        await parts.presence.announce(parts.reactions.on_lease_lost)
        self._check_not_stopped()
        parts.repairing.begin()
        # While it joins, too: who has vanished is let go of.
        parts.housekeeping.begin()
        await parts.presence.join()
        self._check_not_stopped()
        # What was kept in its place while it was away, or is not equal everywhere for whatever reason.
        parts.reactions.begin_doubt()
        member = parts.presence.member
        _log.debug("node %s serves at %s (bound to %s)", member.node_id, member.endpoint, parts.listener.endpoint)

    def _check_not_stopped(self) -> None:
        # By another task, while this one waited: what is closed is not to begin anything.
        if self._stopped:
            raise LifecycleError("the node was stopped before it served")

    async def drain(self) -> None:
        """Leave the ring, hand over, go on answering until it is quiet and nothing is in flight, at most ``drain_timeout``."""
        if self._made is not None and self._made.dispatcher.serving and not self._stopped:
            await self._made.presence.leave()

    async def stop(self) -> None:
        """Stop at once: off the list of members, everything closed, who still waits is told. Idempotent."""
        if not self._stopped:
            self._stopped = True
            await self._closing.aclose()

    # -- what a program that embeds a node uses --------------------------------------------------------------------

    def group(self, name: str) -> Group:
        """The group of that name. Raises `UnknownGroup`, and `LifecycleError` before start, after stop, or in another loop."""
        parts = self._made
        if parts is None or self._stopped:
            raise LifecycleError("the node does not run: use it inside `async with`, or between start() and stop()")
        if self._pid != os.getpid():
            raise LifecycleError("the node was started before a fork; each process needs one of its own")
        if asyncio.get_running_loop() is not parts.loop:
            raise LifecycleError("the node belongs to another event loop")
        try:
            return parts.groups[name]
        except KeyError:
            raise UnknownGroup(f"there is no group {name!r}; there are: {', '.join(parts.groups) or 'none'}") from None

    @property
    def member(self) -> Member:
        """As the others see it."""
        return self._parts.presence.member

    def ring(self) -> Ring:
        """The ring in use."""
        return self._parts.mesh.ring

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives ``key`` to this node."""
        return self._parts.peers.is_ours(key)

    def statistics(self) -> dict[str, float]:
        """Counters by name, as `zmcache stats` prints them."""
        return {name: figure for block in figures_of(self._parts) for name, figure in block.items()}

    @property
    def handed_over(self) -> bool:
        """Whether it leaves, and what it held is held elsewhere."""
        return self._made is not None and self._made.presence.handed_over

    # -- for tests -------------------------------------------------------------------------------------------------

    def clock_moved(self) -> None:
        """The clock that the node was given has jumped ahead."""
        for group in self._parts.groups.values():
            group.clock_moved()

    def lease_lost(self) -> None:
        """The node was off the list for a while, and others took its keys."""
        self._parts.reactions.on_lease_lost()

    def stood_still(self, for_s: float) -> None:
        """As far as the others can tell the process did not run for that long."""
        if for_s >= SUSPECTED_S:
            self._parts.reactions.on_standstill()

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _parts(self) -> Parts:
        if self._made is None:
            raise LifecycleError("the node has not been started")
        return self._made

    def _leave(self, anew: bool) -> bool:
        if self.on_leave is None:
            return False
        self._parts.loop.call_soon(self.on_leave, anew)
        return True
