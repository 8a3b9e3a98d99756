"""``throughput``: how many requests a second, with how many callers, for values of which size; and where more callers stop to help.

1. The servers and the echo start, each a process of its own, and stay for the whole experiment.
2. For each size of value every key is written everywhere.
3. Rounds: in each, for each number of callers, every system is asked once, another one first each time. So whatever else the machine
   does falls on all alike.
4. Of the rounds the median counts. The knee is the fewest callers beyond which the rate grows by less than a tenth.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final

from ..bench.goals import NotMeasurable
from ..errors import TargetRefused
from ..reporting.numbers import told
from . import throughput_systems as systems
from .base import Experiment, Record, Setting
from .throughput_section import section
from .throughput_systems import Load, Sample, System

_OPENERS: Final[Mapping[str, Callable[[], AbstractAsyncContextManager[System]]]] = {
    "zmcache": systems.zmcache_node,
    "redis": systems.redis_server,
    "memcached": systems.memcached_server,
    systems.ECHO: systems.echo_server,
}
# All values of one size together: what the fastest processor caches cannot hold, and memcached's client still writes in seconds.
_VALUES_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is asked: each of ``systems`` in ``rounds`` for ``seconds`` (and ``warmup_s`` before) at each size and number of callers."""

    callers: Sequence[int] = (1, 4, 16, 64, 256)
    value_bytes: Sequence[int] = (128, 1024, 16 * 1024)
    keys_max: int = 20_000
    rounds: int = 3
    seconds: float = 0.6  # less, and the generator does not judge how busy it was
    warmup_s: float = 0.1
    systems: Sequence[str] = tuple(_OPENERS)


QUICK: Final = Effort(callers=(1, 16, 64, 256), value_bytes=(128, 4096), keys_max=5_000, rounds=1)


async def run(setting: Setting) -> Record:
    """Measure. Raises `LoadgenError` where zmcache itself cannot be asked."""
    return await measured(setting, QUICK if setting.quick else Effort())


async def measured(setting: Setting, effort: Effort) -> Record:
    """The same, with so much effort."""
    samples: dict[tuple[str, int, int], list[Sample]] = {}
    async with _running(effort.systems) as (running, missing):
        for value_bytes in effort.value_bytes:
            load = Load(
                value_bytes=value_bytes,
                keys=max(1, min(effort.keys_max, _VALUES_BYTES // value_bytes)),
                seconds=effort.seconds,
                warmup_s=effort.warmup_s,
                seed=setting.seed,
            )
            setting.say(f"values of {told(value_bytes, 'bytes')}: writing {load.keys:,} keys")
            await _fill(running, missing, load)
            for turn in range(effort.rounds):
                setting.say(f"values of {told(value_bytes, 'bytes')}: round {turn + 1} of {effort.rounds}")
                await _ask_round(running, load, effort.callers, turn, samples)
    return {
        "value_bytes": list(effort.value_bytes),
        "callers": list(effort.callers),
        "systems": [name for name in effort.systems if name not in missing],
        "missing": missing,
        "rounds": effort.rounds,
        "seconds_each": effort.seconds,
        "keys_max": effort.keys_max,
        "cells": [_cell(*at, found) for at, found in samples.items() if at[0] not in missing],
    }


@asynccontextmanager
async def _running(names: Sequence[str]) -> AsyncIterator[tuple[dict[str, System], dict[str, str]]]:
    """Those that run, by name, and why the others do not."""
    missing: dict[str, str] = {}
    running: dict[str, System] = {}
    async with AsyncExitStack() as stack:
        for name in names:
            try:
                running[name] = await stack.enter_async_context(_OPENERS[name]())
            except NotMeasurable as exc:
                _go_without(name, exc, running, missing)
        yield running, missing


async def _fill(running: dict[str, System], missing: dict[str, str], load: Load) -> None:
    for name, system in list(running.items()):
        try:
            await system.fill(load)
        except (NotMeasurable, TargetRefused) as exc:  # a client that is not installed tells so here
            _go_without(name, exc, running, missing)


def _go_without(
    name: str, why: NotMeasurable | TargetRefused, running: dict[str, System], missing: dict[str, str]
) -> None:
    if name == "zmcache":
        raise why
    running.pop(name, None)
    missing[name] = str(why)


async def _ask_round(
    running: Mapping[str, System],
    load: Load,
    callers: Sequence[int],
    turn: int,
    samples: dict[tuple[str, int, int], list[Sample]],
) -> None:
    """Everyone once with each number of callers."""
    names = list(running)
    for step, count in enumerate(callers):
        first = (turn + step) % len(names)
        for name in (*names[first:], *names[:first]):
            sample = await running[name].ask(load, count)
            samples.setdefault((name, load.value_bytes, count), []).append(sample)


def _cell(name: str, value_bytes: int, callers: int, found: Sequence[Sample]) -> Record:
    """One system, one size, one number of callers: the median round, and every round's rate."""
    limits = list(dict.fromkeys(limit for sample in found for limit in sample["limits"]))
    return {
        "system": name,
        "value_bytes": value_bytes,
        "callers": callers,
        "rate": round(median(sample["rate"] for sample in found), 1),
        "rates": [sample["rate"] for sample in found],
        "p50_us": _median([sample["p50_us"] for sample in found]),
        "p99_us": _median([sample["p99_us"] for sample in found]),
        "valid": not limits,
        "bottlenecks": limits,
        "failed": sum(sample["failed"] for sample in found),
        "absent": sum(sample["absent"] for sample in found),
    }


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 1) if known else None


EXPERIMENT: Final = Experiment(
    "throughput",
    "How many requests a second, against callers and value size, to the knee; beside redis, memcached and a plain ZeroMQ echo.",
    run,
    section,
)
