"""``scaling``: what more nodes bring, and what they cost.

1. Live: 1, 2, 4 and 8 nodes, each a process with the same budget, are asked the same by the same callers. More nodes hold more keys. All of them,
   and the generator, share this machine's processors, so more nodes cannot answer more here; the processor time of a request is what to look at.
   They are asked in rounds, the smallest cluster first in one and last in the next, so that what else the machine does falls on all; of the
   rounds the one with the median cost counts. The largest cluster is asked once more in each, by as many callers for each node as the one
   node has: the same callers on more nodes make smaller batches for each, and what that costs is not what the nodes cost.
2. Simulated, on the product's own ring: 10, 100 and 1,000 nodes. How even the shares are, which keys change owners when a node comes or goes, and
   what a new ring costs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from ..simulation import ring_figures
from ..workloads import Synthetic, Zipf
from .base import Experiment, Record, Setting
from .scaling_live import Load, ask
from .scaling_section import section

_EXPONENT: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is asked. Each node holds ``node_share`` of ``keys``; in each of ``rounds`` it is asked for ``seconds`` after ``warmup_s``.
    ``ring_keys`` are looked up in each simulated ring, before and after, and ``asked`` requests for them are drawn.
    """

    live: Sequence[int] = (1, 2, 4, 8)
    rounds: int = 3
    keys: int = 20_000
    node_share: float = 0.1
    callers: int = 64
    seconds: float = 5.0
    warmup_s: float = 2.0
    simulated: Sequence[int] = (10, 100, 1_000)
    ring_keys: int = 200_000
    asked: int = 500_000


QUICK: Final = Effort(live=(1, 2, 4), rounds=1, seconds=3.0, ring_keys=50_000, asked=100_000)


async def run(setting: Setting) -> Record:
    """Measure. Raises `LoadgenError` where a cluster does not start."""
    return await measured(setting, QUICK if setting.quick else Effort())


async def measured(setting: Setting, effort: Effort) -> Record:
    """The same, with so much effort."""
    *live, crowd = await _live(setting, effort)
    return {
        "cores": os.cpu_count(),
        "callers": effort.callers,
        "keys": effort.keys,
        "node_share": effort.node_share,
        "exponent": _EXPONENT,
        "rounds": effort.rounds,
        "seconds_each": effort.seconds,
        "live": live,
        "crowd": crowd,
        "ring_keys": effort.ring_keys,
        "rings": await _rings(setting, effort),
    }


async def _live(setting: Setting, effort: Effort) -> list[dict[str, Any]]:
    """Each cluster with the same callers; last the largest with as many for each node."""
    load = Load(
        keys=effort.keys,
        exponent=_EXPONENT,
        node_share=effort.node_share,
        callers=effort.callers,
        seconds=effort.seconds,
        warmup_s=effort.warmup_s,
        seed=setting.seed,
    )
    cells = [(nodes, effort.callers) for nodes in effort.live]
    cells.append((effort.live[-1], effort.callers * effort.live[-1]))
    found: dict[tuple[int, int], list[dict[str, Any]]] = {cell: [] for cell in cells}
    for turn in range(effort.rounds):
        setting.say(f"clusters of {', '.join(map(str, effort.live))}: round {turn + 1} of {effort.rounds}")
        for nodes, callers in cells if turn % 2 == 0 else reversed(cells):
            found[nodes, callers].append(await ask(setting.folder, nodes, replace(load, callers=callers)))
    return [of_rounds(rows) for rows in found.values()]


def of_rounds(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The round with the median cost, how far the rounds lie apart, and whatever went wrong in any of them."""
    costs = sorted(row["node_cpu_us"] for row in rows)
    median = sorted(rows, key=lambda row: row["node_cpu_us"])[len(rows) // 2]
    return {
        **median,
        "costs_us": costs,
        "rates": sorted(row["requests_per_s"] for row in rows),
        "failed": sum(row["failed"] for row in rows),
        "valid": all(row["valid"] for row in rows),
        "bottlenecks": list(dict.fromkeys(reason for row in rows for reason in row["bottlenecks"])),
    }


async def _rings(setting: Setting, effort: Effort) -> list[dict[str, Any]]:
    keys = [f"key:{number}" for number in range(effort.ring_keys)]
    drawn = Synthetic(keys=effort.ring_keys, distribution=Zipf(_EXPONENT), seed=setting.seed, prefix="key:")
    asked = [str(request[2]) for request in islice(drawn.requests(), effort.asked)]
    rings = []
    for nodes in effort.simulated:
        setting.say(f"a ring of {nodes:,} nodes")
        figures = await asyncio.to_thread(ring_figures, nodes, keys, asked)
        # A node opens a connection to another when it first needs it, so at most one to each.
        rings.append({**figures._asdict(), "connections": nodes - 1})
    return rings


EXPERIMENT: Final = Experiment(
    "scaling",
    "What more nodes bring and cost: balance, hits, rate and cost of a request live; keys moved and rings of 10 to 1,000 simulated.",
    run,
    section,
)
