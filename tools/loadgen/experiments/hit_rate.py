"""``hit-rate``: how many reads a cache of which size answers, beside the best that any could.

1. Streams of keys: Zipf with three exponents, drawn as the generator draws them, and the traces that were given.
2. Each is read through the product's own store, in memory, at cache sizes that are shares of the stream's distinct keys, and
   through Belady's algorithm, which knows what comes. Both begin empty, so the first read of each key is a miss for either.
3. One Zipf stream is sent to a real node with such a budget. Its hit ratio beside the simulated one shows whether to believe the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ..bench import clients, servers
from ..load.opening import opened
from ..load.plan import Closed, Destination, Plan
from ..load.run import measure
from ..requests import READ, READ_MANY
from ..simulation import DEFAULT_POLICY, Stream, budget_bytes, most_hits, next_uses, replay, same_length
from ..workloads import Synthetic, TraceWorkload, Workload, Zipf
from .base import Experiment, Record, Setting
from .hit_rate_section import section

_VALUE_BYTES: Final = 128  # of the live check; in simulations values are empty, as only their number counts
_PREFIX: Final = "item:"
_CALLERS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is read: ``reads`` of each drawn stream over ``keys``, at most ``trace_reads`` of each trace, ``live_reads`` of the node."""

    exponents: Sequence[float] = (0.8, 0.99, 1.2)
    keys: int = 100_000
    reads: int = 1_000_000
    trace_reads: int = 1_000_000
    shares: Sequence[float] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    live_reads: int = 200_000
    live_share: float = 0.1


QUICK: Final = Effort(keys=20_000, reads=150_000, trace_reads=200_000, live_reads=30_000)


async def run(setting: Setting) -> Record:
    """Measure. Raises `TraceError` for a trace that cannot be read, `NotMeasurable` where no node starts."""
    return await measured(setting, QUICK if setting.quick else Effort())


async def measured(setting: Setting, effort: Effort) -> Record:
    """The same, with so much effort."""
    streams: list[dict[str, Any]] = []
    for exponent in effort.exponents:
        drawn = Synthetic(keys=effort.keys, distribution=Zipf(exponent), seed=setting.seed)
        tokens = _tokens(drawn, effort.reads)
        streams.append(await _stream(setting, effort, f"Zipf {exponent:g}", tokens))
    for trace in setting.traces:
        tokens = _tokens(TraceWorkload(path=trace, limit=effort.trace_reads), effort.trace_reads)
        streams.append(await _stream(setting, effort, trace_name(trace), tokens))
    return {"policy": DEFAULT_POLICY, "streams": streams, "live": await _live(setting, effort)}


def trace_name(path: Path) -> str:
    """Without what only says how it is packed."""
    return path.name.removesuffix(".xz").removesuffix(".trace")


def _tokens(workload: Workload, limit: int) -> list[int]:
    """Which keys are read, in order, as small whole numbers."""
    numbers: dict[int | str, int] = {}
    return [numbers.setdefault(token, len(numbers)) for token in islice(_read(workload), limit)]


def _read(workload: Workload) -> Iterator[int | str]:
    for op, token, *_ in workload.requests():
        if op == READ and isinstance(token, int | str):
            yield token
        elif op == READ_MANY and isinstance(token, list):
            yield from token


async def _stream(setting: Setting, effort: Effort, name: str, tokens: list[int]) -> dict[str, Any]:
    distinct = len(set(tokens))
    setting.say(f"{name}: {len(tokens):,} reads of {distinct:,} keys")
    drawn, after = Stream(same_length(tokens)), next_uses(tokens)
    sizes = sorted({max(1, round(share * distinct)) for share in effort.shares})
    points = []
    for items in sizes:
        await asyncio.sleep(0)  # an interrupt is heard between two of them, a second apart
        best = most_hits(tokens, after, items) / len(tokens)
        points.append({"items": items, "hit_ratio": round(_simulated(drawn, items), 6), "best": round(best, 6)})
    return {"name": name, "reads": len(tokens), "distinct": distinct, "points": points}


def _simulated(stream: Stream, items: int) -> float:
    """The hit ratio of the product's store with room for so many."""
    return replay(stream, budget_bytes(items, 0, key=stream.keys[0])).ratio


async def _live(setting: Setting, effort: Effort) -> dict[str, Any]:
    """The middle one of the drawn streams, through a client and a node."""
    exponent = effort.exponents[len(effort.exponents) // 2]
    items = max(1, round(effort.live_share * effort.keys))
    setting.say(f"the same through a node: Zipf {exponent:g}, room for {items:,} items")
    drawn = Synthetic(keys=effort.keys, distribution=Zipf(exponent), seed=setting.seed, prefix=_PREFIX)
    # A lone node has no hot copies, and the part of the budget that they would have is not to be kept for them.
    group = {**clients.ITEMS, "budget": budget_bytes(items, _VALUE_BYTES, key=f"{_PREFIX}0"), "hot_share": 0}
    async with servers.node({clients.GROUP: group}) as server:
        plan = Plan(
            destination=Destination(target=f"zmcache:{server.address}", group=clients.GROUP),
            workload=drawn,
            loop=Closed(callers=_CALLERS),
            requests=effort.live_reads,
        )
        shown = await measure(plan, opened, stop=asyncio.Event())
    simulated = _simulated(Stream(same_length(_tokens(drawn, effort.live_reads))), items)
    return {
        "name": f"Zipf {exponent:g}",
        "items": items,
        "reads": shown["reads"],
        "failed": shown["errors"]["total"],
        # Of callers that wait for one load all but one would have been hits, had they come one after the other.
        "hit_ratio": round(1 - shown["loads"]["loaded"] / max(1, shown["reads"]), 6),
        "simulated": round(simulated, 6),
    }


EXPERIMENT: Final = Experiment(
    "hit-rate",
    "How many reads a cache of which size answers from memory, for Zipf streams and traces, beside the best that any cache could.",
    run,
    section,
)
