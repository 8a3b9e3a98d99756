"""``latency``: how long the sample application takes to show an item, with the database alone and with the cache before it.

1. The database starts, and a rate is chosen at which it alone is busy for a third of the time: both sides bear it.
2. Rounds: in each the same requests, at this rate in an open loop, three ways: from the database alone; through the cache,
   whose client asks the owner of each key; and through the cache by way of one node, as an application does that can reach
   only that one. They take turns, so that whatever else the machine does falls on all. Both ways through the cache begin
   with none of the items in it, and keep over the rounds what they have.
3. Each page is timed in the application, by where its item came from: so hits and misses are told apart, and time that the
   generator was late is in the response time alone.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from hdrh.histogram import HdrHistogram

from ..load.figures import Figures
from ..load.recorder import HITS, STEPS_PER_US, Counted, histogram
from ..targets.base import Target
from ..targets.zmcache_client import open_zmcache
from ..workloads import Synthetic, Workload, Zipf
from .base import Experiment, Record, Setting
from .database import Opened, open_database
from .latency_section import RUNS, section
from .sample_app import (
    NODES,
    TIMEOUT_S,
    WARMING,
    Application,
    asked,
    bearable_rate,
    cache_before,
    from_database,
    together,
    warm,
)

_ENOUGH: Final = {"p50": 10, "p99": 100, "p99.9": 1000}
"""Of fewer samples that percentile is not told: it would be the longest, whatever that is."""

_POINTS_PER_HALVING: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """``keys``: asked for by Zipf's law. ``seconds``: of each way in each of ``rounds``. ``rate``: None: the one that the database bears."""

    keys: int = 2_000
    rounds: int = 3
    seconds: float = 15.0
    exponent: float = 0.99
    rate: float | None = None


QUICK: Final = Effort(keys=500, rounds=2, seconds=3.5)


async def run(setting: Setting) -> Record:
    """Measure."""
    return await measured(setting, QUICK if setting.quick else Effort())


async def measured(setting: Setting, effort: Effort) -> Record:
    """The same, with so much effort."""
    setting.say("starting the database")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(setting, rows=effort.keys + WARMING))
        items = await stack.enter_async_context(from_database(database))
        bears = await bearable_rate(items)
        rate = effort.rate or bears["rate"]
        setting.say(f"starting {NODES} nodes before {database.name}")
        ways = {"database": _Way(items)}
        addresses = await stack.enter_async_context(cache_before(database, setting.folder, {"owner": {}, "any": {}}))
        for route, nodes in (("owner", addresses), ("any", addresses[:1])):
            cache = await stack.enter_async_context(
                open_zmcache(",".join(nodes), route, route=route, timeout_s=TIMEOUT_S)
            )
            await warm(cache, first=effort.keys)
            ways[route] = _Way(cache)
        for turn in range(effort.rounds):
            workload = Synthetic(
                keys=effort.keys, distribution=Zipf(effort.exponent), seed=setting.seed * effort.rounds + turn
            )
            for name, way in ways.items():
                setting.say(f"round {turn + 1} of {effort.rounds}, {RUNS[name]}, {rate:g} requests a second")
                await way.ask(workload, rate, effort.seconds, database)
        return {
            "database": database.description,
            "bears": bears,
            "rate": rate,
            "keys": effort.keys,
            "exponent": effort.exponent,
            "rounds": effort.rounds,
            "seconds_each": effort.seconds,
            "runs": {name: way.record() for name, way in ways.items()},
        }


class _Way:
    """One way to the items, over all rounds."""

    def __init__(self, items: Target) -> None:
        self._application = Application(items)
        self._rounds: list[Figures] = []
        self._queries = 0

    async def ask(self, workload: Workload, rate: float, seconds: float, database: Opened) -> None:
        """One round."""
        before = await database.queries()
        self._rounds.append(await asked(self._application, workload, rate, seconds))
        self._queries += await database.queries() - before

    def record(self) -> Record:
        """All rounds together."""
        responses = HdrHistogram.decode(self._rounds[0]["histograms"]["all"])
        for shown in self._rounds[1:]:
            responses.add(HdrHistogram.decode(shown["histograms"]["all"]))
        tiers = {tier: each for tier, each in self._application.times.counted().items() if each.number}
        pages = sum(each.number for each in tiers.values())
        hits = sum(each.number for tier, each in tiers.items() if tier in HITS)
        return {
            **together(self._rounds),
            "hit_ratio": round(hits / pages, 6) if pages else None,
            "queries": self._queries,
            "response_us": {"mean": round(responses.get_mean_value() / 1000, 1), **_percentiles(responses)},
            "tiers": {tier: _latency(each) for tier, each in tiers.items()},
        }


def _percentiles(filled: HdrHistogram) -> Record:
    """In microseconds, of nanoseconds; None where there are too few samples for one."""
    count = filled.get_total_count()
    return {
        name: round(filled.get_value_at_percentile(float(name[1:])) / 1000, 1) if count >= enough else None
        for name, enough in _ENOUGH.items()
    }


def _latency(counted: Counted) -> Record:
    """In microseconds. ``points``: (percentile, time), no further than there are samples for."""
    filled = histogram(counted)
    steps = range(_POINTS_PER_HALVING * counted.number.bit_length())
    rests = [rest for step in steps if (rest := 2.0 ** (-step / _POINTS_PER_HALVING)) * counted.number >= 1]
    at = filled.get_percentile_to_value_dict([100 * (1 - rest) for rest in rests])
    return {
        "count": counted.number,
        "mean": round(counted.total / counted.number / STEPS_PER_US, 1),
        **_percentiles(filled),
        "max": round(counted.longest / STEPS_PER_US, 1),
        "points": [[round(percentile, 6), round(value / 1000, 1)] for percentile, value in at.items()],
    }


EXPERIMENT: Final = Experiment(
    "latency",
    "How long a sample application takes to show an item: from the database alone, and with the cache before it, by tier.",
    run,
    section,
)
