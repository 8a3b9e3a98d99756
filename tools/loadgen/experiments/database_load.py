"""``database-load``: how many queries reach the database for the same traffic, with and without the cache; and what a stampede is.

1. The same requests at the same rate, in an open loop, to the sample application: with the database alone, and with the cache before it.
   What is loaded expires, so that the cache keeps asking. The database counts its queries, and is asked for the count once a second.
2. Several times the traffic, with the cache only: how many queries there are depends on the items and their lives, and hardly on how often
   they are asked for. Whether that holds is measured.
3. A stampede: callers that all want one item which nobody has asked for before. With the cache they come by several clients, and by way of
   every node; without coalescing they come to an application that fills a dict by hand (look, query, store), as most do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Final

from ..load.figures import Figures
from ..targets.aside import CacheAside
from ..targets.base import Answer
from ..targets.plain import DictTarget
from ..targets.zmcache_client import open_zmcache
from ..workloads import Synthetic, Zipf
from .base import Experiment, Record, Setting
from .database import Opened, open_database
from .database_load_section import section
from .sample_app import (
    TIMEOUT_S,
    WARMING,
    Application,
    FromDatabase,
    asked,
    bearable_rate,
    cache_before,
    from_database,
    together,
    warm,
)

_STAMPEDE_CLIENTS: Final = 4  # for each node
_STAMPEDE_LIMIT_S: Final = 60.0
_SAMPLE_S: Final = 1.0

Handler = Callable[[str], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """``ttl_s``: life of what was loaded. ``more``: how many times the traffic in the third run. ``callers``: of the stampede.
    ``rate``: of the first two; None: what the database bears alone.
    """

    keys: int = 1_000
    seconds: float = 40.0
    exponent: float = 0.99
    ttl_s: float = 20.0
    more: int = 5
    callers: int = 1_000
    rate: float | None = None


QUICK: Final = Effort(keys=200, seconds=7.0, ttl_s=4.0)


async def run(setting: Setting) -> Record:
    """Measure."""
    return await measured(setting, QUICK if setting.quick else Effort())


async def measured(setting: Setting, effort: Effort) -> Record:
    """The same, with so much effort."""
    setting.say("starting the database")
    # The stampede's item is one of its own: nobody may have asked for it.
    cold = str(effort.keys + WARMING)
    async with (
        open_database(setting, rows=effort.keys + WARMING + 1) as database,
        from_database(database) as items,
    ):
        bears = await bearable_rate(items)
        rate = effort.rate or bears["rate"]
        setting.say(f"{database.name} alone, {rate:g} requests a second")
        runs = {"alone": await _run(Application(items), database, setting, effort, rate)}
        lives = {"ttl": f"{effort.ttl_s:g}s"}
        async with cache_before(database, setting.folder, {"cached": lives, "more": lives}) as addresses:
            for name, times in (("cached", 1), ("more", effort.more)):
                setting.say(f"with the cache before it, {rate * times:g} requests a second")
                async with open_zmcache(",".join(addresses), name, timeout_s=TIMEOUT_S) as cache:
                    await warm(cache, first=effort.keys)
                    runs[name] = await _run(Application(cache), database, setting, effort, rate * times)
            setting.say(f"a stampede of {effort.callers:,} callers, with the cache and without coalescing")
            async with _doors(addresses, "cached") as doors:
                coalesced = await _stampede(doors, cold, effort.callers, database)
        aside = await _stampede([_aside(items).read], cold, effort.callers, database)
        return {
            "database": database.description,
            "bears": bears,
            "rate": rate,
            "more": effort.more,
            "keys": effort.keys,
            "exponent": effort.exponent,
            "ttl_s": effort.ttl_s,
            "seconds_each": effort.seconds,
            "runs": runs,
            "stampede": {"callers": effort.callers, "cached": coalesced, "aside": aside},
        }


async def _run(application: Application, database: Opened, setting: Setting, effort: Effort, rate: float) -> Record:
    workload = Synthetic(keys=effort.keys, distribution=Zipf(effort.exponent), seed=setting.seed)
    counts: list[tuple[float, int]] = []

    @asynccontextmanager
    async def counted() -> AsyncIterator[Sequence[Mapping[str, object]]]:
        sampling = asyncio.create_task(_sample(database, counts))
        try:
            yield ()
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)

    before = await database.queries()
    shown = await asked(application, workload, rate, effort.seconds, counted)
    queries = await database.queries() - before
    return _reported(shown, queries, [(0.0, before), *counts], rate)


async def _sample(database: Opened, counts: list[tuple[float, int]]) -> None:
    """The database's count, once a second from now on."""
    began_s = perf_counter()
    while True:
        await asyncio.sleep(_SAMPLE_S)
        count = await database.queries()
        counts.append((perf_counter() - began_s, count))


def _reported(shown: Figures, queries: int, counts: Sequence[tuple[float, int]], rate: float) -> Record:
    steps = pairwise(counts)
    return {
        **together([shown]),
        "hit_ratio": shown["hit_ratio"],
        "rate": rate,
        "queries": queries,
        "queries_per_s": round(queries / shown["seconds"], 2),
        # In the middle of each stretch that was counted.
        "over_time": [
            [round((at_s + next_s) / 2, 3), round((next_count - count) / (next_s - at_s), 2)]
            for (at_s, count), (next_s, next_count) in steps
        ],
    }


@asynccontextmanager
async def _doors(addresses: Sequence[str], group: str) -> AsyncIterator[list[Handler]]:
    """Several clients of each node, so that nothing but the cluster itself brings the callers together."""
    async with AsyncExitStack() as stack:
        doors: list[Handler] = []
        for address in addresses:
            for _ in range(_STAMPEDE_CLIENTS):
                client = await stack.enter_async_context(
                    open_zmcache(address, group, route="any", timeout_s=_STAMPEDE_LIMIT_S)
                )
                doors.append(Application(client).read)
        yield doors


def _aside(items: FromDatabase) -> Application:
    """An application with a dict that it fills by hand: callers of one item at one moment each query it."""
    return Application(CacheAside(DictTarget(), items.load))


async def _stampede(doors: Sequence[Handler], key: str, callers: int, database: Opened) -> Record:
    """All at once, spread over ``doors``; each must get the right item."""
    before = await database.queries()
    began_s = perf_counter()
    answers = await asyncio.gather(
        *(doors[number % len(doors)](key) for number in range(callers)), return_exceptions=True
    )
    took_s = perf_counter() - began_s
    failed = [answer for answer in answers if isinstance(answer, BaseException)]
    return {
        "queries": await database.queries() - before,
        "seconds": round(took_s, 4),
        "failed": len(failed),
        "first_failure": f"{type(failed[0]).__name__}: {failed[0]}" if failed else None,
        "ways": len(doors),
    }


EXPERIMENT: Final = Experiment(
    "database-load",
    "How many queries reach the database for the same traffic, with and without the cache; and for a stampede on one cold key.",
    run,
    section,
)
