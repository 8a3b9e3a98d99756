"""The sample application of the experiments: it shows an item, with the database alone or with the cache before it.

    Application(FromDatabase(...))      each page is a query, through SQLAlchemy and a pool of connections
    Application(ZmcacheTarget(...))     each page is a read of the cache, which loads from the same database by the same query

The handler is one and the same, and so are query, driver and workload: what differs is the cache. It times itself, by where the item came
from, and it knows what every item must look like: a wrong one is a failed request. To the generator it is a target like any other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from statistics import median
from time import perf_counter, perf_counter_ns
from typing import Any, Final, cast

from ..cluster import Cluster
from ..errors import TargetRefused
from ..load.figures import Figures
from ..load.plan import Destination, Open, Plan
from ..load.recorder import Recorder
from ..load.run import Beside, measure, nothing_beside
from ..targets.base import ABSENT, Answer, NodeCounters, Target
from ..workloads import Workload
from .base import Record
from .database import Opened, value_of

POOL: Final = 16
"""Connections of the application to the database; as many as each node has by default."""

TIMEOUT_S: Final = 10.0
NODES: Final = 3

WARMING: Final = 96
"""Items beside those of the workload, to make connections with."""

_UNCOUNTED: Final = 20  # queries that only warm up the plans and the memory of the database
_AT_ONCE: Final = 8
_PROBES: Final = 60
_BUSY_SHARE: Final = 0.3
_RATES: Final = (20, 400)


class WrongItem(Exception):
    """The page would have shown something else than what is in the database."""


class ReadsOnly:
    """The rest of the interface of a target, for an application that changes nothing."""

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        """Refused."""
        raise TargetRefused("the sample application shows one item at a time")

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        """Refused."""
        raise TargetRefused("the sample application changes nothing")

    async def delete(self, key: str) -> None:
        """Refused."""
        raise TargetRefused("the sample application changes nothing")


class FromDatabase(ReadsOnly):
    """Items straight from the database: every read is a query."""

    def __init__(self, engine: Any, query: str, name: str) -> None:
        """``engine``: SQLAlchemy's, that somebody else opened and disposes of. ``name``: of the database."""
        from sqlalchemy import bindparam, text

        self._engine = engine
        self._statement = text(query).bindparams(bindparam("keys", expanding=True))
        self._name = name

    @property
    def description(self) -> Mapping[str, str]:
        """Which database."""
        return {"kind": "database", "name": self._name}

    async def read(self, key: str) -> Answer:
        """One query, by a connection of the pool."""
        value = await self.load(key)
        return ABSENT if value is None else ("load", value)

    async def load(self, key: str) -> bytes | None:
        """The same, for a cache that is filled by the application."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(self._statement, {"keys": [key]})).first()
        return None if row is None else row[1].encode()

    async def counters(self) -> Mapping[str, NodeCounters]:
        """No nodes."""
        return {}


class Application(ReadsOnly):
    """The handler. ``times``: how long each page took it, by where the item came from."""

    def __init__(self, items: Target) -> None:
        self.times = Recorder()
        self._items = items

    @property
    def description(self) -> Mapping[str, str]:
        """What the items come from."""
        return {"application": "sample", **self._items.description}

    async def read(self, key: str) -> Answer:
        """Show one item. Raises `WrongItem`, and what the database or the cache raises."""
        began_ns = perf_counter_ns()
        answer = await self._items.read(key)
        self.times.record(answer[0], perf_counter_ns() - began_ns)
        if answer[1] != value_of(key):
            raise WrongItem(key)
        return answer

    async def counters(self) -> Mapping[str, NodeCounters]:
        """Those of the nodes, where there are any."""
        return await self._items.counters()


@asynccontextmanager
async def from_database(database: Opened) -> AsyncIterator[FromDatabase]:
    """Its connections are there from the start, and end with the context."""
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(database.url, pool_size=POOL, max_overflow=0)
    database.count_those_of(engine)
    try:
        items = FromDatabase(engine, database.query, database.name)
        await asyncio.gather(*(items.read(str(number)) for number in range(POOL)))
        yield items
    finally:
        await engine.dispose()


@asynccontextmanager
async def cache_before(
    database: Opened, folder: Path, groups: Mapping[str, Mapping[str, object]]
) -> AsyncIterator[list[str]]:
    """Three nodes that load from ``database``; the addresses. ``groups``: by name, what they have besides the loader."""
    config = {
        "cluster": "experiment",
        "etcd": "embedded",
        "nodes": [{"id": f"node-{number + 1}", "listen": "tcp://127.0.0.1:0"} for number in range(NODES)],
        "groups": {
            name: {"budget": "64MiB", "loader": dict(database.loader), **group} for name, group in groups.items()
        },
    }
    file = folder / "cluster.yaml"
    file.write_text(json.dumps(config, indent=2))  # JSON is YAML
    file.chmod(0o600)  # it holds the password
    async with Cluster.from_file(file) as cluster:
        yield cluster.addresses


async def warm(cache: Target, *, first: int) -> None:
    """Have the nodes make connections to the database, by asking for the `WARMING` items from number ``first`` on, eight at a time."""
    for start in range(first, first + WARMING, _AT_ONCE):
        await asyncio.gather(*(cache.read(str(number)) for number in range(start, start + _AT_ONCE)))


async def bearable_rate(items: FromDatabase) -> Record:
    """A rate at which the database alone is busy for a third of the time: from what a query takes it when it comes alone."""
    for number in range(_UNCOUNTED):
        await items.read(str(number))
    took_s = []
    for number in range(_PROBES):
        began_s = perf_counter()
        await items.read(str(number))
        took_s.append(perf_counter() - began_s)
    low, high = _RATES
    rate = min(max(_BUSY_SHARE / median(took_s), low), high)
    return {"rate": round(rate / 5) * 5, "query_ms": round(median(took_s) * 1e3, 3), "busy_share": _BUSY_SHARE}


async def asked(
    application: Application, workload: Workload, rate: float, seconds: float, beside: Beside = nothing_beside
) -> Figures:
    """The figures of an open loop at ``rate`` requests a second, with arrivals at random."""
    plan = Plan(
        destination=Destination(target="application", timeout_s=TIMEOUT_S),
        workload=workload,
        loop=Open(rate=rate, arrivals="poisson"),
        duration_s=seconds,
    )
    return await measure(plan, lambda _: nullcontext(application), stop=asyncio.Event(), beside=beside)


def together(runs: Sequence[Figures]) -> Record:
    """What several such runs amount to, and whether they count."""
    kinds: dict[str, dict[str, object]] = {}
    for shown in runs:
        for kind, each in shown["errors"]["by_class"].items():
            first = kinds.setdefault(kind, {"count": 0, "first": each["first"]})
            first["count"] = cast("int", first["count"]) + each["count"]
    requests = sum(shown["requests"] for shown in runs)
    seconds = sum(shown["seconds"] for shown in runs)
    return {
        "requests": requests,
        "requests_per_s": round(requests / seconds, 1),
        "seconds": round(seconds, 3),
        "errors": {"total": sum(shown["errors"]["total"] for shown in runs), "by_class": kinds},
        "skipped": sum(shown["skipped"] for shown in runs),
        "partial": next((shown["partial"] for shown in runs if shown["partial"]), None),
        "valid": all(shown["valid"] for shown in runs),
        "bottlenecks": list(dict.fromkeys(reason for shown in runs for reason in shown["bottlenecks"])),
    }
