"""What is asked side by side: zmcache, redis and memcached as targets of the generator, and a plain ZeroMQ echo.

The three are asked by the same closed loop, through the client that a good user of each would take, and answer from memory: every
key was written before. Each gets one client process, this one, so a rate is also what one such process can ask.

The echo is no cache and has no target. A blocking client keeps as many messages under way as there would be callers and does nothing
else, as the benchmark's does; a message is as long as a value, and goes both ways. It shows what the wire itself gives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypedDict

import zmq

from ..bench import servers
from ..bench.goals import NotMeasurable
from ..load.figures import Figures
from ..load.opening import opened
from ..load.plan import Closed, Destination, Plan
from ..load.run import measure
from ..workloads import ConstantSize, Synthetic, Uniform

ECHO: Final = "ZeroMQ echo"
GROUP: Final = "items"
# Larger than all values of a run together, so that nothing is evicted; the loader would be seen by its loads.
_GROUPS: Final = {
    GROUP: {"budget": "256MiB", "hot_share": 0, "loader": {"import": "zmcache.examples:echo", "batch": True}}
}
_FILLERS: Final = 32
_ECHO_LIMIT_MS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of each: ``keys`` keys with values of ``value_bytes``, drawn evenly, for ``seconds`` after ``warmup_s``."""

    value_bytes: int
    keys: int
    seconds: float
    warmup_s: float
    seed: int


class Sample(TypedDict):
    """What one of them did once. ``rate``: answers a second. ``limits``: why the generator was the limit, in sentences.

    ``p50_us`` and ``p99_us`` are None of the echo: nobody waits for a single message there. ``absent``: reads that found nothing,
    or that zmcache had to load, though all was written.
    """

    rate: float
    p50_us: float | None
    p99_us: float | None
    limits: list[str]
    failed: int
    absent: int


class System(Protocol):
    """One of what stands side by side."""

    async def fill(self, load: Load) -> None:
        """Put all keys in place. Raises `LoadgenError` where that cannot be done."""

    async def ask(self, load: Load, callers: int) -> Sample:
        """Ask once, with so many callers. Raises `LoadgenError` where nobody answers."""


class Target:
    """One of the generator's targets, by what stands behind ``--target``."""

    def __init__(self, target: str) -> None:
        self._destination = Destination(target=target, group=GROUP)

    async def fill(self, load: Load) -> None:
        """Write every key once, and read one."""
        plan = self._plan(load, _FILLERS)
        figures = await _measured(replace(plan, load_first=True, duration_s=None, requests=1, warmup_s=0.0))
        if figures["errors"]["total"]:
            raise NotMeasurable(f"{self._destination.target}: {_first_error(figures)}")

    async def ask(self, load: Load, callers: int) -> Sample:
        """One run of the closed loop."""
        figures = await _measured(self._plan(load, callers))
        tiers, latency = figures["tiers"], figures["latency_us"]["all"]
        return {
            "rate": figures["requests_per_s"],
            "p50_us": latency["p50"],
            "p99_us": latency["p99"],
            "limits": figures["bottlenecks"],
            "failed": figures["errors"]["total"],
            "absent": tiers["absent"] + tiers["load"],
        }

    def _plan(self, load: Load, callers: int) -> Plan:
        workload = Synthetic(
            keys=load.keys, distribution=Uniform(), sizes=ConstantSize(load.value_bytes), seed=load.seed
        )
        return Plan(
            destination=self._destination,
            workload=workload,
            loop=Closed(callers=callers),
            duration_s=load.seconds,
            warmup_s=load.warmup_s,
        )


class Echo:
    """The plain ZeroMQ echo. It blocks the loop while it asks: nothing else is measured meanwhile."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def fill(self, load: Load) -> None:
        """There is nothing to fill."""

    async def ask(self, load: Load, callers: int) -> Sample:
        """As many messages under way as there would be callers. Raises `NotMeasurable` when none comes back."""
        context = zmq.Context()
        try:
            dealer = context.socket(zmq.DEALER)
            dealer.setsockopt(zmq.RCVTIMEO, _ECHO_LIMIT_MS)
            dealer.connect(f"tcp://{servers.LOOPBACK}:{self._port}")
            message = b"x" * load.value_bytes
            for _ in range(callers):
                dealer.send(message)
            _round_trips(dealer, message, load.warmup_s)
            rate = _round_trips(dealer, message, load.seconds)
        except zmq.Again:
            raise NotMeasurable("the ZeroMQ echo does not answer") from None
        finally:
            context.destroy(linger=0)
        return {"rate": round(rate, 1), "p50_us": None, "p99_us": None, "limits": [], "failed": 0, "absent": 0}


@asynccontextmanager
async def zmcache_node() -> AsyncIterator[System]:
    """One node. Raises `NotMeasurable`."""
    async with servers.node(_GROUPS) as server:
        yield Target(f"zmcache:{server.address}")


@asynccontextmanager
async def redis_server() -> AsyncIterator[System]:
    """A redis-server that keeps nothing on disk. Raises `NotMeasurable` where there is none."""
    async with servers.redis() as server:
        yield Target(f"redis:{server.address}")


@asynccontextmanager
async def memcached_server() -> AsyncIterator[System]:
    """A memcached. Raises `NotMeasurable` where there is none."""
    async with servers.memcached() as server:
        yield Target(f"memcached:{server.address}")


@asynccontextmanager
async def echo_server() -> AsyncIterator[System]:
    """The echo. Raises `NotMeasurable`."""
    async with servers.echo() as server:
        yield Echo(server.port)


async def _measured(plan: Plan) -> Figures:
    return await measure(plan, opened, stop=asyncio.Event())


def _first_error(figures: Figures) -> str:
    return next((str(each["first"]) for each in figures["errors"]["by_class"].values()), "failed")


def _round_trips(dealer: zmq.Socket[bytes], message: bytes, seconds: float) -> float:
    """Messages a second there and back, each that comes sending the next."""
    send, recv, clock = dealer.send, dealer.recv, time.perf_counter
    began_s = clock()
    until_s, count = began_s + seconds, 0
    while (now_s := clock()) < until_s:
        recv()
        send(message)
        count += 1
    return count / max(now_s - began_s, 1e-9)
