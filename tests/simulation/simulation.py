"""One history: a plan carried out on a simulated cluster, then everything healed, then a last look at every key; and what the checker says of it.

The same seed gives the same history, event for event: `Outcome.log` is the record to compare. Interpreters differ in how they hash text, which
decides where the store keeps what, and so in which order it is looked through: `simulate.py` runs this with PYTHONHASHSEED=0.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from hashlib import sha256
from typing import Final, NamedTuple
from unittest.mock import patch

from history_checker import Violation, check
from history_plan import ITEMS, PLAIN, Event, Plan, plan
from history_record import LEASE_LOST, SLOW, History
from simulated_calls import Caller
from simulated_cluster import NAMES, Process, SimulatedCluster
from simulated_groups import HOT_TTL_S, MOVED_TTL_S
from virtual_time import TICK_S, TimeStandsStill

from zmcache.core.ring import Member, Ring

_STARTS_WITHIN_S: Final = 10.0
_CALMS_WITHIN_S: Final = 25.0
_SETTLES_S: Final = MOVED_TTL_S + 2 * HOT_TTL_S + 1.0
_STOPS_WITHIN_S: Final = 6.0
_ROUTES: Final = ("owner", "any")
_KEYS: Final = [(group, f"{group[0]}{at}") for group in (ITEMS, PLAIN) for at in range(6)]


class Outcome(NamedTuple):
    """What came of a plan. ``log`` tells one history from another."""

    plan: Plan
    history: History
    violations: list[Violation]

    @property
    def log(self) -> str:
        history = self.history
        rows = (*history.operations, *history.loads, *history.disturbances, *history.calm, *history.errors)
        return "\n".join(map(repr, rows))

    @property
    def digest(self) -> str:
        return sha256(self.log.encode()).hexdigest()[:16]


def run_seed(seed: int) -> Outcome:
    """The history of that seed."""
    return run_plan(plan(seed))


def run_plan(drawn: Plan) -> Outcome:
    """A plan carried out."""
    with simulated(drawn) as cluster:
        Run(cluster, drawn.events).run()
    return Outcome(drawn, cluster.history, check(cluster.history))


@contextlib.contextmanager
def simulated(drawn: Plan, *, moved_ttl_s: float = MOVED_TTL_S) -> Iterator[SimulatedCluster]:
    """The cluster of a plan, before anything of it has happened; what is wrong with it by itself is in its history afterwards."""
    with _watched() as complaints, patch.object(Ring, "build", _small_ring):
        cluster = SimulatedCluster(drawn.setup, drawn.seed, moved_ttl_s=moved_ttl_s)
        try:
            yield cluster
        except TimeStandsStill as error:
            cluster.history.errors.append(str(error))
        finally:
            cluster.end()
    cluster.history.errors += complaints


class Run:
    """The carrying out of events on a cluster. What does not apply when its time comes is passed over."""

    def __init__(self, cluster: SimulatedCluster, events: Sequence[Event]) -> None:
        self._cluster, self._events = cluster, events
        self._world, self._errors = cluster.world, cluster.history.errors
        self._caller = Caller(cluster)
        self._do = {
            "call": self._call, "join": self._join, "leave": self._leave, "kill": self._kill, "start": self._start, "stop": self._stop,
            "cut": self._cut, "cut one way": self._cut_one_way, "heal": self._heal, "slow": self._slow, "lease": self._lease,
            "etcd away": cluster.etcd.go_away, "etcd back": cluster.etcd.come_back, "etcd empty": self._etcd_empty,
            "loader slow": self._loader_slow, "loader fails": self._loader_fails, "loader well": cluster.mood.be_well,
        }  # fmt: skip

    def run(self) -> None:
        cluster, world = self._cluster, self._world
        for name in cluster.setup.nodes:
            cluster.start_node(name)
        for route in _ROUTES:
            cluster.start_client(route)
        world.run(_STARTS_WITHIN_S, lambda: bool(cluster.calm))
        if not cluster.calm:
            self._errors.append("the cluster does not start")
            return
        at_s = world.now
        for event in self._events:
            at_s += event.after_s
            world.at(at_s, self._do[event.kind], *event.details)
        world.run(at_s + TICK_S)
        self._recover()
        self.look_at_all()
        self._end_all()

    def _recover(self) -> None:
        cluster, world = self._cluster, self._world
        cluster.heal_all()
        if not any(process.alive and not process.leaving for process in cluster.nodes.values()):
            cluster.start_node(cluster.setup.nodes[0])
        world.run(world.now + _CALMS_WITHIN_S, lambda: cluster.calm.for_s > _SETTLES_S)
        if not cluster.calm:
            self._errors.append(f"not calm within {_CALMS_WITHIN_S:g} s after everything was healed")

    def look_at_all(self) -> None:
        """Ask for every key, of a client and of a node, once all is well."""
        cluster, world = self._cluster, self._world
        for at, (group, key) in enumerate(_KEYS):
            for process in {cluster.clients[at % 2]: None, cluster.places[-1]: None}:
                self._caller.call(process, "get", group, key)
            world.run(world.now + 0.01)
        operations = cluster.history.operations
        world.run(world.now + 4.0, lambda: all(op.ended_s < math.inf or op.lost_caller for op in operations))

    def _end_all(self) -> None:
        cluster, world = self._cluster, self._world
        cluster.calm.stop_looking()
        ending = [
            process.loop.spawn(process.node.stop() if process.node else process.client.aclose())  # type: ignore[union-attr]
            for process in cluster.processes
            if process.alive and not process.leaving
        ]
        world.run(world.now + _STOPS_WITHIN_S, lambda: all(task.done() for task in ending))
        if not all(task.done() for task in ending):
            self._errors.append(f"a process does not stop within {_STOPS_WITHIN_S:g} s")
        self._errors.extend(
            f"a stop failed: {task.exception()!r}" for task in ending if task.done() and task.exception()
        )

    # -- events ------------------------------------------------------------------------------------------------------

    def _call(
        self, kind: str, group: str, key: str, where: int, timeout_s: float, life_s: float, give_up_s: float, times: int
    ) -> None:
        places = self._cluster.places
        for at in range(times if places else 0):
            process = places[(where + at) % len(places)]
            self.call(process, kind, group, key, where, timeout_s, life_s, give_up_s)
            give_up_s = math.inf  # of several one gives up

    def call(
        self,
        process: Process,
        kind: str,
        group: str,
        key: str,
        where: int,
        timeout_s: float,
        life_s: float,
        give_up_s: float,
    ) -> None:
        """Begin a call in that process now. ``where`` is a number drawn for it."""
        self._caller.call(process, kind, group, key, timeout_s=timeout_s, life_s=life_s, give_up_s=give_up_s)

    def _join(self) -> None:
        names = [name for name in NAMES if name not in self._cluster.nodes]
        if names:
            self._cluster.start_node(names[0])

    def _start(self, which: int) -> None:
        dead = [name for name, process in self._cluster.nodes.items() if not process.alive]
        if dead:
            self._cluster.start_node(dead[which % len(dead)])

    def _leave(self, which: int) -> None:
        if (name := self._one_of_several(which)) is not None:
            self._cluster.leave(name)

    def _kill(self, which: int) -> None:
        if (name := self._one_of_several(which)) is not None:
            self._cluster.kill(name)

    def _stop(self, which: int, for_s: float) -> None:
        running = [process.name for process in self._cluster.processes if process.alive and not process.loop.stopped]
        if running:
            self._cluster.stop(running[which % len(running)], for_s)

    def _cut(self, one: int, other: int, *, one_way: bool = False) -> None:
        hosts = self._cluster.hosts
        here, there = hosts[one % len(hosts)], hosts[other % len(hosts)]
        if here != there:
            self._cluster.cut(here, there, one_way=one_way)

    def _cut_one_way(self, one: int, other: int) -> None:
        self._cut(one, other, one_way=True)

    def _heal(self, one: int, other: int) -> None:
        cuts = self._cluster.network.cuts
        if cuts:
            self._cluster.heal(*cuts[one % len(cuts)])

    def _slow(self, one: int, other: int, by_s: float) -> None:
        hosts = self._cluster.hosts
        self._cluster.slow(hosts[one % len(hosts)], hosts[other % len(hosts)], by_s)

    def _lease(self, which: int) -> None:
        if (name := self._one_of_several(which)) is not None:
            self._cluster.note(LEASE_LOST, name)
            self._cluster.etcd.revoke_lease_of(name)

    def _etcd_empty(self) -> None:
        for name in self._cluster.nodes:
            self._cluster.note(LEASE_LOST, name)
        self._cluster.etcd.lose_data()

    def _loader_slow(self, by_s: float) -> None:
        self._cluster.note(SLOW)
        self._cluster.mood.slow_s = by_s

    def _loader_fails(self) -> None:
        self._cluster.note(SLOW)
        self._cluster.mood.fails = True

    def _one_of_several(self, which: int) -> str | None:
        """A node that serves, while others do."""
        serving = [name for name, process in self._cluster.nodes.items() if process.serving and not process.leaving]
        return serving[which % len(serving)] if len(serving) > 1 else None


_real_build = Ring.build
_rings: dict[frozenset[Member], Ring] = {}


def _small_ring(
    members: Iterable[Member], revision: int, *, points: int = 0, previous: Ring | None = None, rest: object = None
) -> Ring:
    """`Ring.build` with 32 points a node, placed once for each membership: what is searched for does not depend on how even the shares are."""
    key = frozenset(members)
    known = _rings.get(key)
    if known is None:
        known = _rings[key] = _real_build(sorted(key), revision, points=32)
    # Built anew it would be the same, but for its revision. Each that asks has one of its own, as a process has.
    ring = copy(known)
    ring.epoch = ring.epoch._replace(revision=revision)
    return ring


@contextlib.contextmanager
def _watched() -> Iterator[list[str]]:
    """What the library logs as an error: none of it should ever be."""
    complaints: list[str] = []
    handler = _Listening(complaints)
    log = logging.getLogger("zmcache")
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.ERROR)
    log.propagate = False
    try:
        yield complaints
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]


class _Listening(logging.Handler):
    def __init__(self, complaints: list[str]) -> None:
        super().__init__()
        self._complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        self._complaints.append(self.format(record))
