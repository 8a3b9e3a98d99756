"""``scaling``: what more nodes bring, and what they cost.

1. Live: 1, 2, 4 and 8 nodes, each a process with the same budget, are asked the same by the same callers. More nodes hold more keys. All of them,
   and the generator, share this machine's processors, so more nodes cannot answer more here; the processor time of a request is what to look at.
2. Simulated, on the product's own ring: 10, 100 and 1,000 nodes. How even the shares are, which keys change owners when a node comes or goes, and
   what a new ring costs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import yaml

from ..bench.servers import LOOPBACK, free_port
from ..cluster import Cluster
from ..load.opening import opened
from ..load.plan import Closed, Destination, Plan
from ..load.run import measure
from ..simulation import budget_bytes, ring_figures
from ..workloads import Synthetic, Zipf
from .base import Experiment, Record, Setting
from .scaling_section import section

_GROUP: Final = "items"
_VALUE_BYTES: Final = 128
_EXPONENT: Final = 0.99
_ESTABLISHED: Final = "01"  # as /proc/net/tcp writes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is asked. Each node holds ``node_share`` of ``keys``; it is asked for ``seconds`` after ``warmup_s``. ``ring_keys`` are looked
    up in each simulated ring, before and after.
    """

    live: Sequence[int] = (1, 2, 4, 8)
    keys: int = 50_000
    node_share: float = 0.1
    callers: int = 64
    seconds: float = 8.0
    warmup_s: float = 6.0
    simulated: Sequence[int] = (10, 100, 1_000)
    ring_keys: int = 200_000
    asked: int = 500_000


QUICK: Final = Effort(live=(1, 2, 4), keys=20_000, seconds=3.0, warmup_s=3.0, ring_keys=50_000, asked=100_000)


async def run(setting: Setting) -> Record:
    """Measure. Raises `LoadgenError` where a cluster does not start."""
    return await measured(setting, QUICK if setting.quick else Effort())


async def measured(setting: Setting, effort: Effort) -> Record:
    """The same, with so much effort."""
    live = []
    for nodes in effort.live:
        setting.say(f"{nodes} {'node' if nodes == 1 else 'nodes'}, {effort.callers} callers")
        live.append(await _live(setting, effort, nodes))
    rings = []
    ring_keys = [f"key:{number}" for number in range(effort.ring_keys)]
    drawn = Synthetic(keys=effort.ring_keys, distribution=Zipf(_EXPONENT), seed=setting.seed, prefix="key:")
    asked = [str(request[2]) for request in islice(drawn.requests(), effort.asked)]
    for nodes in effort.simulated:
        setting.say(f"a ring of {nodes:,} nodes")
        figures = await asyncio.to_thread(ring_figures, nodes, ring_keys, asked)
        rings.append({**figures._asdict(), "connections": nodes - 1})
    return {
        "cores": os.cpu_count(),
        "callers": effort.callers,
        "keys": effort.keys,
        "node_share": effort.node_share,
        "exponent": _EXPONENT,
        "live": live,
        "ring_keys": effort.ring_keys,
        "rings": rings,
    }


async def _live(setting: Setting, effort: Effort, nodes: int) -> dict[str, Any]:
    ports = [free_port() for _ in range(nodes)]
    file = setting.folder / f"{nodes}-nodes.yaml"
    file.write_text(yaml.safe_dump(_cluster(effort, ports)))
    costs: list[Mapping[str, object]] = []
    async with Cluster.from_file(file) as cluster:
        pids = [serving.pid for serving in cluster.serving.values()]
        connections: list[int] = []

        @asynccontextmanager
        async def watched() -> AsyncIterator[Sequence[Mapping[str, object]]]:
            before_s = sum(map(cpu_s, pids))
            try:
                yield ()
            finally:
                connections.append(connections_at(ports))
                costs.append({"cpu_s": sum(map(cpu_s, pids)) - before_s})

        plan = Plan(
            destination=Destination(target=f"zmcache:{','.join(cluster.addresses)}", group=_GROUP),
            workload=Synthetic(keys=effort.keys, distribution=Zipf(_EXPONENT), seed=setting.seed),
            loop=Closed(callers=effort.callers),
            duration_s=effort.seconds,
            warmup_s=effort.warmup_s,
        )
        shown = await measure(plan, opened, stop=asyncio.Event(), beside=watched)
    return _figures(nodes, shown, float(str(costs[0]["cpu_s"])), connections[0])


def _cluster(effort: Effort, ports: Sequence[int]) -> dict[str, Any]:
    items = max(1, round(effort.keys * effort.node_share))
    group = {
        # What hot copies would take is taken from nobody: clients ask the owner, so there are none.
        "budget": budget_bytes(items, _VALUE_BYTES, key="key:0"),
        "hot_share": 0,
        "loader": {"import": "zmcache.examples:echo", "batch": True},
    }
    nodes = [
        {"id": f"node-{number}", "listen": f"tcp://{LOOPBACK}:{port}", "drain_timeout": "0s"}
        for number, port in enumerate(ports, 1)
    ]
    return {"cluster": "scaling", "nodes": nodes, "groups": {_GROUP: group}}


def _figures(nodes: int, shown: dict[str, Any], node_cpu_s: float, connections: int) -> dict[str, Any]:
    requests = [node["requests"] for node in shown["nodes"].values()]
    answered = max(1, shown["requests"])
    return {
        "nodes": nodes,
        "requests_per_s": shown["requests_per_s"],
        "failed": shown["errors"]["total"],
        "hit_ratio": shown["hit_ratio"],
        "p50_us": shown["latency_us"]["all"]["p50"],
        "p99_us": shown["latency_us"]["all"]["p99"],
        "fullest": round(max(requests) * len(requests) / max(1, sum(requests)), 3),
        "node_cpu_us": round(node_cpu_s / answered * 1e6, 2),
        "generator_cpu_us": round(shown["generator"]["cpu_share"] * shown["seconds"] / answered * 1e6, 2),
        "connections": connections,
        "valid": shown["valid"],
        "bottlenecks": shown["bottlenecks"],
    }


def cpu_s(pid: int) -> float:
    """The processor time that a process has taken, in seconds; 0.0 of one that is gone."""
    try:
        # The name, in brackets, may hold anything; user and system time are the 12th and 13th field after it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connections_at(ports: Sequence[int]) -> int:
    """How many TCP connections stand at these ports of this machine; each is counted once, where it was accepted."""
    wanted = {f"{port:04X}" for port in ports}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].rpartition(":")[2] in wanted and row[3] == _ESTABLISHED for row in rows)


EXPERIMENT: Final = Experiment(
    "scaling",
    "What more nodes bring and cost: balance, hits, rate and cost of a request live; keys moved and rings of 10 to 1,000 simulated.",
    run,
    section,
)
