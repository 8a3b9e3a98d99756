"""One run: a cluster from nothing, load, the fault, rest again, a last look; then the record against the promises.

    start -> fill -> load ... fault ... at rest ... load ends -> last look -> check

It is no run when the cluster does not come to rest, when a node ends that nobody ended, or when there were too few operations to prove anything.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

import zmcache
from faults.acts.members import full_disk, no_full_disk
from faults.acts.processes import clocked
from faults.catalogue import APART, LOOPBACK, Fault
from faults.checking.promises import Violation
from faults.children import Child, Failed
from faults.cluster import BRIEF_S, BUDGETS_BYTES, KNOWS_COPIES, Cluster
from faults.driver import ITEMS, KEPT, MIXED, STILL, Driver
from faults.namespaces import Namespaces, why_not
from faults.network import Loopback, Network
from faults.proxy import Relays
from faults.recorded import read_record
from faults.stage import Stage
from faults.verdict import Result, Times, judge
from faults.worker import Orders

TIMEOUT_S: Final = 2.0
_BEFORE_S: Final = 1.5
_AFTER_S: Final = BRIEF_S + 0.5  # what is kept for a short time only is gone then
_REST_S: Final = 40.0
_LIMIT_S: Final = 150.0
_OVERHEAD_BYTES: Final = 120 << 20  # of a process, besides its budgets (P5)
_ROUTES: Final = {1: "owner", 2: "any"}
_FILLER: Final = 98
_LAST: Final = 99

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class How:
    """What a run is told besides its fault.

    ``copies``, ``acks``: R and W in place of the fault's own. ``relays``: even where each node could have a network of its own.
    ``sabotage``: the nodes keep one copy whatever is promised, so that one can see that it is noticed. ``callers``: in each of the two workers.
    """

    seed: int
    copies: int | None = None
    acks: int | None = None
    relays: bool = False
    sabotage: bool = False
    callers: int = 10

    def of(self, fault: Fault) -> tuple[int, int]:
        """R and W for this fault."""
        copies = self.copies or max(fault.copies, self.acks or 1)
        return copies, self.acks or min(fault.acks, copies)


async def run(fault: Fault, folder: Path, how: How) -> Result:
    """What became of it."""
    copies, acks = how.of(fault)
    result = Result(fault=fault.name, what=fault.what, copies=copies, acks=acks, seed=how.seed)
    result.not_here = _why_not(fault, folder)
    if result.not_here:
        return result
    if how.sabotage:
        result.notes.append("sabotaged: its nodes keep one copy")
    elif result.copies > 1 and not KNOWS_COPIES:
        result.notes.append("this zmcache keeps one copy: its configs know no `copies`")
    try:
        async with asyncio.timeout(_LIMIT_S):
            await _run(fault, folder, result, how)
    except Failed as failed:
        result.problems.append(str(failed))
    except TimeoutError:
        result.problems.append(f"not over after {_LIMIT_S:g} s")
    except zmcache.ZmcacheError as error:
        result.problems.append(f"{type(error).__name__}: {error}")
    return result


def _why_not(fault: Fault, folder: Path) -> str | None:
    return no_full_disk(folder / "probe") if fault.start == "no room" else None


def is_apart(fault: Fault, *, relays: bool) -> bool:
    """Whether it is run with a network of its own for each node."""
    return fault.network == APART and not relays and why_not() is None


async def _run(fault: Fault, folder: Path, result: Result, how: How) -> None:
    network: Network = (
        Loopback()
        if fault.network == LOOPBACK
        else Namespaces(folder)
        if is_apart(fault, relays=how.relays)
        else Relays(result.seed)
    )
    if fault.network != LOOPBACK:
        result.notes.append(
            "each node with a network of its own" if isinstance(network, Namespaces) else "relays between the nodes"
        )
    rng = random.Random(result.seed)
    victim, leaver = rng.sample(sorted(fault.nodes), 2)
    copies, acks = (1, 1) if how.sabotage else (result.copies, result.acks)
    async with Cluster(folder, network, copies, acks, static=fault.static) as cluster:
        stage = Stage(
            cluster, network, folder, rng, victim, leaver, result.seed, TIMEOUT_S,
            copies_again=KNOWS_COPIES and result.copies > 1,
        )  # fmt: skip
        await _start(fault, stage)
        if fault.calm:
            await cluster.wait_rest(_REST_S)
        calm_s = time.monotonic()
        await _fill(stage)
        reloads_max = await _reloads_max(fault, stage, result.copies) if fault.reloads else None
        workers = [_worker(number, route, stage, how.callers) for number, route in _ROUTES.items()]
        try:
            times, calm = await _under_load(fault, stage, workers, calm_s)
            await _end_workers(workers)
        finally:
            for worker in workers:
                worker.kill()
        last_look_s = await _last_look(stage)
        seen = await _look_at_nodes(cluster, fault, result)
    record = read_record(folder)
    record.outages, record.calm, record.last_look_s = stage.outages, calm if fault.calm else [], last_look_s
    result.notes += stage.notes
    judge(result, fault, record, times, reloads_max=reloads_max, seen=seen)


async def _under_load(
    fault: Fault, stage: Stage, workers: list[Child], calm_s: float
) -> tuple[Times, list[tuple[float, float]]]:
    for worker in workers:
        await worker.wait_said("^ready$")
    load_s = time.monotonic()
    await asyncio.sleep(_BEFORE_S)
    fault_s = time.monotonic()
    await fault.act(stage)
    over_s = time.monotonic()
    if fault.calm:
        await stage.cluster.wait_rest(_REST_S)
        stage.repaired()
    rest_s = time.monotonic()
    await asyncio.sleep(_AFTER_S)
    end_s = time.monotonic()
    for worker in workers:
        if not worker.is_running:
            raise Failed(f"{worker.name} ended with {worker.code}: {worker.said()[-800:]}")
    # Who was told a moment ago may still ask by the ring that was before.
    return Times(load_s, fault_s, over_s, rest_s, end_s), [(calm_s, fault_s), (rest_s + 1.0, end_s)]


async def _start(fault: Fault, stage: Stage) -> None:
    usual = [
        name for name in fault.nodes if fault.start == "usual" or (fault.start == "clocked" and name != stage.victim)
    ]
    starts = [stage.cluster.start(*usual)] if usual else []
    if fault.start == "clocked":
        starts.append(stage.cluster.start(stage.victim, program=clocked(stage.folder / f"clock-{stage.victim}")))
    elif fault.start == "no room":
        for name in fault.nodes:
            state = stage.folder / f"state-{name}"
            starts.append(stage.cluster.start(name, more=f", state_dir: {state}", prefix=full_disk(state)))
    await asyncio.gather(*starts)


def _worker(number: int, route: str, stage: Stage, callers: int) -> Child:
    orders = Orders(number, stage.cluster.addresses, str(stage.folder), stage.seed, stage.timeout_s, route, callers)
    command = [sys.executable, "-m", "faults.worker", msgspec.json.encode(orders).decode()]
    return Child(f"worker-{number}", command, stage.folder)


async def _end_workers(workers: list[Child]) -> None:
    for worker in workers:
        worker.close_input()
    for worker in workers:
        if code := await worker.wait_ended(15.0):
            raise Failed(f"{worker.name} ended with {code}: {worker.said()[-800:]}")


async def _fill(stage: Stage) -> None:
    """Every key is written, or loaded, before anything happens."""
    async with zmcache.connect(stage.cluster.addresses) as cache, Driver(cache, _FILLER, stage.folder, 5.0) as driver:
        await _some_at_a_time(STILL + KEPT, lambda key: driver.set("kept", key))
        await _some_at_a_time(ITEMS, lambda key: driver.get("items", key))


async def _last_look(stage: Stage) -> float:
    """Get what was written, by somebody who knows nothing; from when on."""
    began_s = time.monotonic()
    async with zmcache.connect(stage.cluster.addresses) as cache, Driver(cache, _LAST, stage.folder, 5.0) as driver:
        await _some_at_a_time(STILL + KEPT, lambda key: driver.get("kept", key))
        await _some_at_a_time(MIXED, lambda key: driver.get("mixed", key))
    return began_s


async def _some_at_a_time(keys: Iterable[str], do: Callable[[str], Awaitable[T]], most: int = 16) -> None:
    left = iter(keys)

    async def go_on() -> None:
        for key in left:
            await do(key)

    await asyncio.gather(*(go_on() for _ in range(most)))


async def _reloads_max(fault: Fault, stage: Stage, copies: int) -> int:
    """How many keys may be loaded again when the victim dies: its share with one copy, a hundredth of it with more."""
    async with zmcache.connect(stage.cluster.addresses) as cache:
        ring = cache.ring()
    share = sum(ring.owner(key).node_id == stage.victim for key in ITEMS)
    return share if copies == 1 else max(1, share // 100)


async def _look_at_nodes(cluster: Cluster, fault: Fault, result: Result) -> list[Violation]:
    """What is wrong with the nodes themselves, though their callers may not have noticed."""
    result.problems += cluster.ended_by_themselves()
    figures: dict[str, dict[str, float]] = {}
    with suppress(zmcache.ZmcacheError):
        figures = await cluster.statistics()
    evicted = sum(value for each in figures.values() for name, value in each.items() if name.endswith(".evictions"))
    if evicted:
        result.problems.append(f"{evicted:g} entries were evicted: what is lost cannot be told from them")
    told = cluster.tracebacks()
    result.notes += [f"traceback of {text}" for text in told[:5]]
    most = BUDGETS_BYTES + _OVERHEAD_BYTES + fault.extra_bytes
    return [
        Violation("P5", "", time.monotonic(), f"{name} takes {resident >> 20} MiB, at most {most >> 20} are its share")
        for name, resident in cluster.resident_bytes().items()
        if resident > most
    ]
