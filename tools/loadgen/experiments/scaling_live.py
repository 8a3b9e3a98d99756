"""One cluster of ``scaling``, live: started, filled, asked and ended, with what its processes and connections were meanwhile.

Every key is written before anything counts, so that each node is full however fast the machine is: a hit ratio that was still
climbing would tell how long one had waited. What a node takes is the system's own count, in `/proc`, over the seconds that count.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from ..bench.servers import LOOPBACK, free_port
from ..cluster import Cluster
from ..load.opening import opened
from ..load.plan import Closed, Destination, Plan
from ..load.run import measure
from ..simulation import budget_bytes
from ..workloads import ConstantSize, Synthetic, Zipf

_GROUP: Final = "items"
_PREFIX: Final = "key:"
_VALUE_BYTES: Final = 128  # what the loader gives, too, so that a budget is a number of items
_ESTABLISHED: Final = "01"  # as /proc/net/tcp writes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a cluster is asked: ``keys`` with a Zipf ``exponent`` by ``callers``, for ``seconds`` after ``warmup_s``.
    Each node holds ``node_share`` of the keys, 0 to 1.
    """

    keys: int
    exponent: float
    node_share: float
    callers: int
    seconds: float
    warmup_s: float
    seed: int


class Watch:
    """What is seen of nodes from outside while a run counts: their processor time in seconds, and connections at the end."""

    def __init__(self, pids: Sequence[int], ports: Sequence[int]) -> None:
        self.cpu_s = 0.0
        self.connections = 0
        self._pids = pids
        self._ports = ports

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[Sequence[Mapping[str, object]]]:
        """As `measure` wants it; nothing happens to the nodes."""
        before_s = sum(map(cpu_s, self._pids))
        try:
            yield ()
        finally:
            self.cpu_s = sum(map(cpu_s, self._pids)) - before_s
            self.connections = connections_at(self._ports)


async def ask(folder: Path, nodes: int, load: Load) -> dict[str, Any]:
    """Start so many nodes, ask them and end them. Raises `LoadgenError` where they do not start or nobody answers."""
    ports = [free_port() for _ in range(nodes)]
    file = folder / f"{nodes}-nodes.yaml"
    file.write_text(yaml.safe_dump(_cluster(load, ports)), encoding="utf-8")
    async with Cluster.from_file(file) as cluster:
        watch = Watch([serving.pid for serving in cluster.serving.values()], ports)
        workload = Synthetic(
            keys=load.keys,
            distribution=Zipf(load.exponent),
            sizes=ConstantSize(_VALUE_BYTES),
            seed=load.seed,
            prefix=_PREFIX,
        )
        plan = Plan(
            destination=Destination(target=f"zmcache:{','.join(cluster.addresses)}", group=_GROUP),
            workload=workload,
            loop=Closed(callers=load.callers),
            duration_s=load.seconds,
            warmup_s=load.warmup_s,
            load_first=True,
        )
        shown = await measure(plan, opened, stop=asyncio.Event(), beside=watch.beside)
    return _row(nodes, load.callers, shown, watch)


def _cluster(load: Load, ports: Sequence[int]) -> dict[str, Any]:
    items = max(1, round(load.keys * load.node_share))
    group = {
        # What hot copies would take is taken from nobody: clients ask the owner, so there are none.
        "budget": budget_bytes(items, _VALUE_BYTES, key=f"{_PREFIX}0"),
        "hot_share": 0,
        "loader": {"import": "zmcache.examples:echo", "batch": True},
    }
    nodes = [
        {"id": f"node-{number}", "listen": f"tcp://{LOOPBACK}:{port}", "drain_timeout": "0s"}
        for number, port in enumerate(ports, 1)
    ]
    return {"cluster": "scaling", "nodes": nodes, "groups": {_GROUP: group}}


def _row(nodes: int, callers: int, shown: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    requests = [node["requests"] for node in shown["nodes"].values()]
    answered = max(1, shown["requests"])
    return {
        "nodes": nodes,
        "callers": callers,
        "requests_per_s": shown["requests_per_s"],
        "failed": shown["errors"]["total"],
        "hit_ratio": shown["hit_ratio"],
        "p50_us": shown["latency_us"]["all"]["p50"],
        "p99_us": shown["latency_us"]["all"]["p99"],
        "fullest": round(max(requests) * len(requests) / max(1, sum(requests)), 3),
        "node_cpu_us": round(watch.cpu_s / answered * 1e6, 2),
        "generator_cpu_us": round(shown["generator"]["cpu_share"] * shown["seconds"] / answered * 1e6, 2),
        "connections": watch.connections,
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
