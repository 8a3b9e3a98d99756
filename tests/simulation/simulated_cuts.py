"""Histories in which a node is cut off from the others, but not from its clients, while one leaves and one joins; and what may not be.

The ordinary histories judge a get in calm only, since a cut has two sides. Here everything was set, and acknowledged by two holders, while all was
well, nothing is deleted, ends or is evicted, one node is cut off at the most, and clients reach all of them. So

    lost     no get finds nothing, or what a loader has brought: one who holds it can be reached, and whoever cannot may say so, but not that
             there is no such key
    failed   no get fails in the end, when all is well again

When the cut, the changes of the members and the news of them come, and to whom, is drawn from the seed: the moment of suspicion, the end of the
leave, the hand-over and the ring's arrival at the node that is cut off, whose way to etcd may stay open, fall in all orders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import Any, Final, NamedTuple

from history_plan import ITEMS, PLAIN, Plan, Setup
from history_record import DONE, FAILED, LEASE_LOST, MISS, OPEN, VALUE, Operation
from history_times import Violation
from simulated_calls import Caller
from simulated_cluster import NAMES, SimulatedCluster, place_of
from simulated_etcd import NAME as ETCD
from simulation import simulated

from zmcache.errors import PartialResult, ZmcacheError

# Longer than it takes to suspect a node that was cut off, as it is by default.
MOVED_TTL_S: Final = 3.0
KEYS: Final = 20  # of each group; a client asks for as many of them at once in bulk
_READ_EVERY_S: Final = 0.012
_GOES_ON_S: Final = 2.5  # asking, when all is healed
_CALM_WITHIN_S: Final = 25.0


class Cut(NamedTuple):
    """What is to happen. Times are seconds since about the moment of the cut; inf: never."""

    setup: Setup
    victim: str
    leaver: str
    spared: str
    """That one alone can still be reached; "": nobody."""
    ways: tuple[bool, bool]
    """Whether what the victim sends is lost, and what it is sent."""
    spread_s: float
    etcd_s: float
    leaves_s: float
    joins_s: float
    returns_s: float
    lease_ends_s: float
    heals_s: float
    sets: float
    """Of the calls, besides gets."""


def draw(seed: int) -> Cut:
    """That of this seed."""
    random = Random(f"cut {seed}")
    count = random.choice((3, 4, 4, 4, 5))
    nodes = random.sample(NAMES[:count], count)
    setup = Setup(
        kind="cut",
        nodes=tuple(sorted(nodes)),
        copies=2,
        acks=2,
        ttl_s=None,
        budget_bytes=1 << 20,
        lease_s=random.choice((2.0, 3.0, 10.0)),
        delay_s=random.choice((0.0002, 0.001, 0.005)),
        load_s=random.choice((0.002, 0.02, 0.1)),
    )
    joins_at = (random.uniform(-0.6, 0.3), random.uniform(0.0, 3.0), math.inf)
    return Cut(
        setup=setup,
        victim=nodes[0],
        leaver=nodes[1],
        spared=random.choice(("", "", "", NAMES[-1], nodes[-1])),
        ways=random.choice(((True, True),) * 4 + ((True, False), (False, True))),
        spread_s=random.choice((0.0, 0.01, 0.5)),
        etcd_s=random.choice((0.0, random.uniform(0.0, 3.0), random.uniform(0.0, 3.0), math.inf)),
        leaves_s=random.choice((*joins_at, random.uniform(0.0, 3.0))),
        joins_s=random.choice(joins_at),
        returns_s=random.choice((math.inf, math.inf, random.uniform(1.0, 4.0))),
        lease_ends_s=random.choice((math.inf, math.inf, math.inf, random.uniform(0.0, 3.0))),
        heals_s=random.uniform(1.0, 7.0),
        sets=random.choice((0.0, 0.0, 0.2)),
    )


class CutRun:
    """Carries one of them out."""

    def __init__(self, cluster: SimulatedCluster, cut: Cut, random: Random) -> None:
        self._cluster, self._cut, self._random = cluster, cut, random
        self._world, self._caller = cluster.world, Caller(cluster)
        self._operations = cluster.history.operations
        self._keys = {group: [f"{group[0]}{at}" for at in range(KEYS)] for group in (ITEMS, PLAIN)}
        self._asked_from = self._looked_from = math.inf

    def run(self) -> None:
        cluster, world, cut = self._cluster, self._world, self._cut
        for name in cut.setup.nodes:
            cluster.start_node(name)
        for route, names in (("owner", NAMES), ("any", NAMES), ("any", cut.victim)):
            cluster.start_client(route, names)
        if not self._is_calm_for(0.0) or not self._set_all():
            cluster.history.errors.append("it does not begin")
            return
        # Each has its beats and its lease's at moments of its own.
        world.run(world.now + self._random.uniform(0.7, 1.7))
        self._asked_from = len(self._operations)
        begins_s = world.now + 0.7
        until_s = begins_s + cut.heals_s + _GOES_ON_S
        self._plan(begins_s)
        self._call_until(until_s)
        world.run(until_s)
        if not self._is_calm_for(2.0):
            cluster.history.errors.append("not calm when everything was healed")
        self._looked_from = len(self._operations)
        for group, keys in self._keys.items():
            for key in keys:
                for client in cluster.clients:
                    self._caller.call(client, "get", group, key)
        world.run(world.now + 4.0, self._all_ended)

    def violations(self) -> list[Violation]:
        """See the module's docstring."""
        found: list[Violation] = []
        for read in self._operations:
            if read.kind != "get" or read.number < self._asked_from:
                continue
            if read.outcome == MISS or (read.outcome == VALUE and b"|loaded " in (read.result or b"")):
                found.append(Violation("lost", str(read)))
            elif read.outcome == OPEN or (read.outcome == FAILED and read.number >= self._looked_from):
                found.append(Violation("failed", str(read)))
        return found

    # -- its parts ---------------------------------------------------------------------------------------------------

    def _is_calm_for(self, for_s: float) -> bool:
        calm = self._cluster.calm
        self._world.run(self._world.now + _CALM_WITHIN_S, lambda: bool(calm) and calm.for_s >= for_s)
        return bool(calm)

    def _set_all(self) -> bool:
        for group, keys in self._keys.items():
            for key in keys:
                self._caller.call(self._cluster.clients[0], "set", group, key)
        self._world.run(self._world.now + 4.0, self._all_ended)
        return all(each.outcome == DONE for each in self._operations)

    def _all_ended(self) -> bool:
        return all(each.ended_s < math.inf for each in self._operations)

    def _plan(self, begins_s: float) -> None:
        cluster, world, cut = self._cluster, self._world, self._cut
        for other in NAMES:
            if other in (cut.victim, cut.spared):
                continue
            for is_lost, link in zip(cut.ways, ((cut.victim, other), (other, cut.victim)), strict=True):
                if is_lost:
                    world.at(begins_s + self._random.uniform(0.0, cut.spread_s), self._cut_off, link)
        if cut.etcd_s < cut.heals_s:
            world.at(begins_s + cut.etcd_s, self._cut_off, (cut.victim, ETCD))
        if cut.lease_ends_s < cut.heals_s:
            world.at(begins_s + cut.lease_ends_s, self._end_lease)
        if cut.leaves_s < math.inf:
            world.at(begins_s + cut.leaves_s, self._leave)
            if cut.returns_s < math.inf:
                world.at(begins_s + cut.leaves_s + cut.returns_s, self._return)
        newcomers = [name for name in NAMES if name not in cut.setup.nodes]
        if cut.joins_s < math.inf and newcomers:
            world.at(begins_s + cut.joins_s, cluster.start_node, newcomers[-1])
        world.at(begins_s + cut.heals_s, cluster.heal_all)

    def _cut_off(self, link: tuple[str, str]) -> None:
        self._cluster.cut(*link, one_way=True)

    def _leave(self) -> None:
        if self._cluster.nodes[self._cut.leaver].serving:
            self._cluster.leave(self._cut.leaver)

    def _return(self) -> None:
        if not self._cluster.nodes[self._cut.leaver].alive:
            self._cluster.start_node(self._cut.leaver)

    def _end_lease(self) -> None:
        self._cluster.note(LEASE_LOST, self._cut.victim)
        self._cluster.etcd.revoke_lease_of(self._cut.victim)

    def _call_until(self, until_s: float) -> None:
        if self._world.now >= until_s:
            return
        random = self._random
        client = random.choices(self._cluster.clients, (2, 1, 3))[0]
        group = random.choice((ITEMS, PLAIN))
        timeout_s = random.choice((1.0, 3.0, 3.0))
        if random.random() < 0.05:
            client.loop.spawn(self._get_many(client, group, timeout_s))
        else:
            kind = "set" if random.random() < self._cut.sets else "get"
            for _ in range(random.choice((1, 1, 3))):
                self._caller.call(client, kind, group, random.choice(self._keys[group]), timeout_s=timeout_s)
        self._world.after(random.expovariate(1 / _READ_EVERY_S), self._call_until, until_s)

    async def _get_many(self, process: Any, group: str, timeout_s: float) -> None:
        operations = [
            Operation(len(self._operations) + at, "get", group, key, place_of(process), self._world.now, timeout_s)
            for at, key in enumerate(self._keys[group])
        ]
        self._operations += operations
        values: Mapping[str, Any] = {}
        errors: Mapping[str, ZmcacheError] = {}
        try:
            values = await process.client.group(group).get_many(self._keys[group], timeout=timeout_s)
        except PartialResult as error:
            values, errors = error.values, error.errors
        except ZmcacheError as error:
            errors = dict.fromkeys(self._keys[group], error)
        for operation in operations:
            operation.ended_s, operation.result = self._world.now, values.get(operation.key)
            if operation.key in errors:
                operation.outcome, operation.error = FAILED, repr(errors[operation.key])
            else:
                operation.outcome = MISS if operation.result is None else VALUE


class Ended(NamedTuple):
    """What came of a history."""

    reads: list[Operation]
    violations: list[Violation]
    errors: list[str]


def run_cut(seed: int) -> Ended:
    """The history of that seed."""
    return carried_out(draw(seed), seed)


def carried_out(cut: Cut, seed: int) -> Ended:
    """A history of this cut. ``seed``: of all else that is left to chance."""
    with simulated(Plan(seed, cut.setup, ()), moved_ttl_s=MOVED_TTL_S) as cluster:
        run = CutRun(cluster, cut, Random(f"calls {seed}"))
        run.run()
    reads = [each for each in cluster.history.operations if each.kind == "get"]
    return Ended(reads, run.violations(), cluster.history.errors)
