"""Asking, the same way for everybody: callers that each wait for an answer before they ask again, and nothing else in the loop.

What a get is, is the client's own bound method, called directly: a wrapper would be charged to the fast more than to the slow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import Any

from .goals import NotMeasurable

Get = Callable[[Any], Awaitable[object]]
Side = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is asked. ``requests`` is of the fast; those that are a few times slower are asked less, for the same time."""

    runs: int = 9
    keys: int = 100_000
    requests: int = 40_000
    slow_requests: int = 10_000
    lone_requests: int = 2_000
    batches: int = 300
    entries: int = 1_000_000
    million_runs: int = 3


QUICK = Effort(
    keys=20_000, requests=20_000, slow_requests=5_000, lone_requests=800, batches=100, entries=100_000, million_runs=1
)


class Asked:
    """A client's get, and its keys, in its own form."""

    def __init__(self, get: Get, keys: Sequence[Any]) -> None:
        self.get = get
        self.keys = keys
        self._at = 0

    def _next(self, count: int) -> Iterator[Any]:
        """The next keys, round and round, going on where the last run ended."""
        keys = islice(cycle(self.keys), self._at, self._at + count)
        self._at = (self._at + count) % len(self.keys)
        return keys

    async def rate(self, callers: int, requests: int) -> float:
        """Gets a second by ``callers`` at once. Raises `NotMeasurable` when a key was not there."""
        await self._ask(callers, min(requests // 10, 4 * callers))
        began_s = time.perf_counter()
        await self._ask(callers, requests)
        return requests / (time.perf_counter() - began_s)

    async def p50_us(self, requests: int) -> float:
        """The median latency of one caller, in microseconds. Raises `NotMeasurable` when a key was not there."""
        get, clock = self.get, time.perf_counter
        await self._ask(1, requests // 10)
        samples = []
        for key in self._next(requests):
            began_s = clock()
            value = await get(key)
            samples.append(clock() - began_s)
            if value is None:
                raise missing(key)
        return median(samples) * 1e6

    async def _ask(self, callers: int, requests: int) -> None:
        shared, get = self._next(requests), self.get

        async def caller() -> None:
            for key in shared:
                if await get(key) is None:
                    raise missing(key)

        await asyncio.gather(*(caller() for _ in range(callers)))


async def in_turns(runs: int, sides: Mapping[str, Side]) -> dict[str, list[float]]:
    """Every side once, then every side again: what a noisy machine does falls on all of them alike."""
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            samples[name].append(await side())
    return samples


def missing(key: object) -> NotMeasurable:
    """To be raised where an answer holds nothing: what is not there is not to be counted as fast."""
    return NotMeasurable(f"key {key!r} is not there, though it was stored before")
