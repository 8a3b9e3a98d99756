"""Nodes and clients as simulated processes, over a simulated wire and etcd: the real code, in a world of its own.

What is done to them is told in the names of `history_plan`; what they are asked, and what came of it, is written down in a `History`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from random import Random
from typing import Final

from history_plan import ITEMS, Setup
from history_record import (
    CUT,
    JOINED,
    KILLED,
    LEASE_LOST,
    LEFT,
    SLOW,
    STOOD_STILL,
    Disturbance,
    History,
)
from simulated_calm import Calm
from simulated_discovery import SimulatedDiscovery
from simulated_etcd import NAME as ETCD
from simulated_etcd import SimulatedEtcd
from simulated_groups import MOVED_TTL_S, make_groups, promises_of
from simulated_loader import LoaderMood, SimulatedLoader
from simulated_network import Network
from simulated_transport import SimulatedTransport
from virtual_time import ProcessLoop, World

from zmcache.client import Client, make_client
from zmcache.config import NodeConfig, NodeSettings
from zmcache.errors import DiscoveryError
from zmcache.node import Node
from zmcache.node.housekeeping import SUSPECTED_S

# After a standstill a node keeps for a short time only what it is sent: it may have lain in its sockets.
BACKLOG_S: Final = 1.1
DRAIN_S: Final = 3.0
NAMES: Final = "abcde"
_BEGINS_S: Final = 1_800_000_000.0  # of the wall clock
_SKEWS_S: Final = {"b": 0.02, "c": -0.03}


class Process:
    """One process of the cluster, by the name of its host; ``serving`` once its node has started."""

    def __init__(self, loop: ProcessLoop, incarnation: int) -> None:
        self.loop, self.name, self.incarnation = loop, loop.name, incarnation
        self.node: Node | None = None
        self.client: Client | None = None
        self.serving = self.leaving = False

    @property
    def alive(self) -> bool:
        return not self.loop.dead

    @property
    def takes_calls(self) -> bool:
        """Whether somebody in it can make a call now."""
        return self.alive and not self.loop.stopped and self.serving and not self.leaving


class SimulatedCluster:
    """See the module's docstring. ``seed`` gives the chances of everything that happens by itself."""

    def __init__(self, setup: Setup, seed: int, *, moved_ttl_s: float = MOVED_TTL_S) -> None:
        self.setup = setup
        self.world = World()
        self.random = Random(f"cluster {seed}")
        self.network = Network(self.world, Random(f"network {seed}"), delay_s=setup.delay_s)
        self.etcd = SimulatedEtcd(self.world, self.network, Random(f"etcd {seed}"), lease_s=setup.lease_s)
        self.mood = LoaderMood(self.random, setup.load_s)
        self.groups = make_groups(setup, moved_ttl_s)
        self.history = History(groups=promises_of(self.groups))
        self.nodes: dict[str, Process] = {}
        self.clients: list[Process] = []
        self._incarnations = 0
        self.calm = Calm(self)

    # -- processes ---------------------------------------------------------------------------------------------------

    def start_node(self, name: str) -> None:
        process = self.nodes[name] = self._process(name)
        self.note(JOINED, name)
        # The clocks of real machines agree to some milliseconds.
        skew_s = _SKEWS_S.get(name, 0.0)
        node = process.node = Node(
            NodeConfig(
                cluster="simulated",
                node=NodeSettings(id=name, listen=endpoint(name), drain_timeout_s=DRAIN_S),
                groups=self.groups,
            ),
            loaders={
                ITEMS: SimulatedLoader(
                    self.mood, self.world, f"{name}.{process.incarnation}", ITEMS, self.history.loads
                )
            },
            transport=lambda: SimulatedTransport(self.network, process.loop),
            discovery=lambda member: SimulatedDiscovery(self.etcd, process.loop, lambda: self.note(LEASE_LOST, name)),
            clock=process.loop.time,
            loop_time=process.loop.time,
            boot_time=process.loop.time,
            wall_s=lambda: _BEGINS_S + self.world.now + skew_s,
            random=self.random.random,
        )

        async def run() -> None:
            try:
                await node.start()
            except DiscoveryError:
                self.kill(name)  # as a process does that cannot start
            else:
                process.serving = True
                self.note(JOINED, name)

        process.loop.spawn(run())

    def start_client(self, route: str, names: Iterable[str] = NAMES) -> None:
        """``names``: of the nodes whose addresses it is given."""
        process = self._process(f"client{len(self.clients)}")
        self.clients.append(process)
        addresses = [endpoint(name) for name in names]
        process.client = client = make_client(
            addresses,
            lambda: SimulatedTransport(self.network, process.loop),
            route=route,
            clock=process.loop.time,
            random=self.random.random,
        )

        async def run() -> None:
            await client.open()
            process.serving = True

        process.loop.spawn(run())

    def leave(self, name: str) -> None:
        process = self.nodes[name]
        process.leaving = True
        self.note(LEFT, name)
        node = process.node
        assert node is not None

        async def run() -> None:
            await node.drain()
            await node.stop()
            self._count_evictions(process)
            self._ended(process)
            self.note(LEFT, name)

        process.loop.spawn(run())

    def kill(self, name: str) -> None:
        process = self.nodes[name]
        self.note(KILLED, name)
        self._count_evictions(process)
        self._ended(process)

    def stop(self, name: str, for_s: float) -> None:
        loop = self._by_name(name).loop
        self.note(STOOD_STILL if for_s >= SUSPECTED_S - 0.3 else SLOW, name)
        loop.stop_process()
        self.network.stopped(loop)
        self.world.after(for_s, self._go_on, loop, loop.stopped_s)

    def cut(self, here: str, there: str, *, one_way: bool) -> None:
        self.note(CUT, here)
        self.network.cut(here, there)
        if not one_way:
            self.network.cut(there, here)

    def heal(self, here: str, there: str) -> None:
        self.note(CUT, here)
        self.network.heal(here, there)
        self.network.heal(there, here)

    def slow(self, here: str, there: str, by_s: float) -> None:
        self.note(SLOW, here)
        self.network.slow(here, there, by_s)

    def heal_all(self) -> None:
        """Undo all that went wrong, but for the dead."""
        self.note(CUT)
        self.network.heal_all()
        self.etcd.come_back()
        self.mood.be_well()
        for process in self.processes:
            if process.loop.stopped:
                self._go_on(process.loop, process.loop.stopped_s)

    def note(self, kind: str, node: str = "") -> None:
        """Something goes wrong, or changes, now."""
        self.history.disturbances.append(Disturbance(kind, self.world.now, node))
        self.calm.end()
        if kind == STOOD_STILL:
            self.calm.distrust(BACKLOG_S)

    # -- what there is -----------------------------------------------------------------------------------------------

    @property
    def processes(self) -> list[Process]:
        return [*self.nodes.values(), *self.clients]

    @property
    def places(self) -> list[Process]:
        """Where a call can be made now."""
        return [process for process in (*self.clients, *self.clients, *self.nodes.values()) if process.takes_calls]

    @property
    def hosts(self) -> list[str]:
        """Whatever a wire leads to."""
        return [
            *(name for name, process in self.nodes.items() if process.alive),
            *(process.name for process in self.clients),
            ETCD,
        ]

    def end(self) -> None:
        """No more is written down."""
        self.calm.end(math.inf)
        for process in self.nodes.values():
            if process.alive:
                self._count_evictions(process)
        for process in self.processes:
            self._take_errors(process)
        self.world.end()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _process(self, name: str) -> Process:
        self._incarnations += 1
        random = self.random
        loop = ProcessLoop(
            self.world,
            name,
            began_s=-random.randrange(1_000, 100_000),
            thread_s=lambda: 0.0002 + 0.02 * random.random() ** 6,
        )
        return Process(loop, self._incarnations)

    def _by_name(self, name: str) -> Process:
        return next(process for process in self.processes if process.name == name)

    def _ended(self, process: Process) -> None:
        self._take_errors(process)
        process.loop.kill()
        process.serving = False
        self.network.killed(process.loop)
        for operation in self.history.operations:
            if operation.place == place_of(process) and operation.ended_s == math.inf:
                operation.lost_caller = True

    def _take_errors(self, process: Process) -> None:
        for context in process.loop.errors:
            self.history.errors.append(f"{process.name}: {context.get('message')}: {context.get('exception')!r}")
        process.loop.errors.clear()

    def _go_on(self, loop: ProcessLoop, stopped_s: float) -> None:
        if loop.stopped and loop.stopped_s == stopped_s and not loop.dead:
            self.note(STOOD_STILL if self.world.now - stopped_s >= SUSPECTED_S - 0.3 else SLOW, loop.name)
            loop.continue_process()

    def _count_evictions(self, process: Process) -> None:
        node = process.node
        if node is not None and node._made is not None:
            for name, group in node._made.groups.items():
                self.history.groups[name].evictions += group._shard.store.statistics().evictions


def endpoint(name: str) -> str:
    return f"mem://{name}"


def place_of(process: Process) -> str:
    """As it stands in a history."""
    return f"{process.name}.{process.incarnation}"
