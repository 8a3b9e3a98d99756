"""``elasticity``: what it costs those who ask that a node joins, and that one dies, while the load goes on.

1. A database, and three nodes before it. Every value is written to the cache first, and all of them fit: in the calm nothing is loaded,
   so whatever the database is asked afterwards is the price of a change.
2. A steady open loop asks; nobody waits because somebody else does.
3. After a while a fourth node joins. Later one of the first three is killed (SIGKILL): it says nothing, its memory is gone, and the ring
   learns of it when its lease is over, which is left at the default as people have it.
4. Second by second: hits, p99, failures, and the queries that the database itself has counted. What a change cost is the difference
   to the calm before the first one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zmcache

from ..beside import Scripted
from ..cluster import Cluster
from ..load.figures import Figures
from ..load.opening import opened
from ..load.plan import Destination, Open, Plan
from ..load.run import measure
from ..script import Event
from ..workloads import Synthetic, Zipf
from .base import Experiment, Record, Setting
from .database import Opened, open_database, value_of
from .elasticity_findings import findings
from .elasticity_section import section
from .elasticity_watch import Watch

FIRST: Final = ("node-1", "node-2", "node-3")
JOINS: Final = "node-4"
KILLED: Final = "node-2"
LEASE_S: Final = 10.0
"""A node's, unless its file says otherwise; a cluster file cannot."""

_GROUP: Final = "items"
_ZIPF: Final = 0.99
_WRITERS: Final = 64
_KEPT: Final = (
    "valid", "bottlenecks", "partial", "requests", "requests_per_s", "skipped", "errors", "hit_ratio", "latency_us", "service_us", "tiers",
    "nodes", "generator",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """``rate`` requests a second for ``rows`` keys, for ``seconds``; the events happen at ``join_s`` and ``kill_s``."""

    rows: int = 5_000
    rate: float = 1_000.0
    warmup_s: float = 3.0
    join_s: float = 15.0
    kill_s: float = 60.0
    seconds: float = 120.0


# A kill is followed for a lease, and for the short time that stand-ins keep what they loaded. Few rows are soon loaded again.
QUICK: Final = Effort(rows=500, warmup_s=1.0, join_s=4.0, kill_s=9.0, seconds=28.0)


async def run(setting: Setting) -> Record:
    """Measure. Raises `LoadgenError` where there is no database or no etcd, or the nodes do not start."""
    return await measured(setting, QUICK if setting.quick else Effort())


async def measured(setting: Setting, effort: Effort) -> Record:
    """The same, with so much effort."""
    keys = [str(number) for number in range(effort.rows)]
    setting.say(f"starting a database with {effort.rows:,} rows")
    async with open_database(setting, rows=effort.rows) as database:
        setting.say(f"starting etcd and {len(FIRST)} nodes before {database.name}")
        async with Cluster.from_file(_cluster_file(setting.folder, database), first=FIRST) as cluster:
            addresses = ",".join(cluster.addresses)
            async with zmcache.connect(addresses) as client:
                setting.say(f"writing {effort.rows:,} values to the cache")
                await _fill(client.group(_GROUP), keys)
                watch = Watch(Scripted(cluster, _script(effort)), client, database.queries, keys)
                setting.say(
                    f"{effort.rate:,.0f} requests a second for {effort.seconds:g} s: {JOINS} joins after {effort.join_s:g} s,"
                    f" {KILLED} is killed after {effort.kill_s:g} s"
                )
                plan = _plan(effort, addresses, setting.seed)
                figures = await measure(plan, opened, stop=asyncio.Event(), beside=watch.beside)
                await watch.count_now()
    return _record(effort, database, figures, watch)


def _record(effort: Effort, database: Opened, figures: Figures, watch: Watch) -> Record:
    # A last row of less than a second says little about a rate.
    rows: list[dict[str, Any]] = [row for row in figures["series"] if row["second"] + 1 <= effort.seconds]
    counts = [(round(at_s, 3), count - watch.counts[0][1]) for at_s, count in watch.counts]
    return {
        "database": database.description,
        "nodes": list(FIRST),
        "joins": JOINS,
        "killed": KILLED,
        "lease_s": LEASE_S,
        "rows": effort.rows,
        "zipf": _ZIPF,
        "rate": effort.rate,
        "seconds": effort.seconds,
        "run": {name: figures[name] for name in _KEPT},
        "events": figures["events"],
        "series": rows,
        "queries": counts,
        "changes": watch.changes,
        **findings(rows, figures["events"], counts, watch.changes, keys=effort.rows),
    }


def _script(effort: Effort) -> list[Event]:
    return [Event(at_s=effort.join_s, do="start", node=JOINS), Event(at_s=effort.kill_s, do="kill", node=KILLED)]


def _plan(effort: Effort, addresses: str, seed: int) -> Plan:
    return Plan(
        destination=Destination(target=f"zmcache:{addresses}", group=_GROUP, route="owner"),
        workload=Synthetic(keys=effort.rows, distribution=Zipf(_ZIPF), seed=seed),
        loop=Open(rate=effort.rate, arrivals="constant"),
        duration_s=effort.seconds,
        warmup_s=effort.warmup_s,
    )


def _cluster_file(folder: Path, database: Opened) -> Path:
    path = folder / "elasticity.yaml"
    config = {
        "cluster": "elasticity",
        "etcd": "embedded",
        "nodes": [{"id": node_id, "listen": "tcp://127.0.0.1:0"} for node_id in (*FIRST, JOINS)],
        "groups": {_GROUP: {"budget": "64MiB", "loader": dict(database.loader)}},
    }
    path.touch(mode=0o600)  # the loader's URL holds a password
    path.write_text(json.dumps(config))  # JSON is YAML
    return path


async def _fill(group: zmcache.CacheGroup[bytes], keys: Sequence[str]) -> None:
    """Write what the database would answer, so that its rather costly queries need not be made for it."""
    left = iter(keys)

    async def write() -> None:
        for key in left:
            await group.set(key, value_of(key))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_WRITERS):
            tasks.create_task(write())


EXPERIMENT: Final = Experiment(
    "elasticity",
    "What it costs while serving that a node joins, and that another is killed: keys moved, hit ratio, p99, queries, failures, recovery.",
    run,
    section,
)
