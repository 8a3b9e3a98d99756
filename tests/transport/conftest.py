"""Runs each scenario on both event loops; the contract's ones over both twins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from transport_worlds import MemoryWorld, Scenario, World, ZmqWorld

Runner = Callable[[Scenario], None]


async def _play(world_type: type[World], scenario: Scenario) -> None:
    world = world_type()
    try:
        await scenario(world)
    finally:
        world.close()


def _runner(run: Callable[[Coroutine[Any, Any, None]], None], world_type: type[World]) -> Runner:
    return lambda scenario: run(_play(world_type, scenario))


LOOPS: dict[str, Callable[[Coroutine[Any, Any, None]], None]] = {"asyncio": asyncio.run, "uvloop": uvloop.run}


@pytest.fixture(params=[f"{twin}-{loop}" for twin in ("memory", "zeromq") for loop in LOOPS])
def play(request: pytest.FixtureRequest) -> Runner:
    """Plays a scenario in one of the twins' worlds."""
    twin, loop = request.param.split("-")
    return _runner(LOOPS[loop], MemoryWorld if twin == "memory" else ZmqWorld)


@pytest.fixture(params=list(LOOPS))
def play_zmq(request: pytest.FixtureRequest) -> Runner:
    return _runner(LOOPS[request.param], ZmqWorld)


@pytest.fixture
def play_memory() -> Runner:
    return _runner(asyncio.run, MemoryWorld)
