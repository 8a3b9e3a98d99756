"""What befalls processes: they die, stand still, hang, or have another time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import Final

import zmcache
from faults.driver import Driver
from faults.record import PAUSE
from faults.stage import Stage

_HERD: Final = 500
_HERD_KEYS: Final = 20
_HERD_WORKER: Final = 90


async def nothing(stage: Stage) -> None:
    await stage.pass_time(4.0)


async def kill(stage: Stage) -> None:
    stage.kill(stage.victim)


async def kill_two(stage: Stage) -> None:
    others = sorted(stage.cluster.nodes.keys() - {stage.victim})
    stage.kill(stage.victim)
    stage.kill(stage.rng.choice(others))


async def kill_another(stage: Stage) -> None:
    """One, and when all is at rest again a second one."""
    stage.kill(stage.victim)
    await stage.cluster.wait_rest(40.0)
    stage.repaired()
    stage.kill(stage.leaver)


async def stop(stage: Stage) -> None:
    with stage.outage(stage.victim, PAUSE):
        stage.signal(stage.victim, signal.SIGSTOP)
        try:
            await stage.pass_time(10.0)
        finally:
            stage.signal(stage.victim, signal.SIGCONT)


async def flutter(stage: Stage) -> None:
    with stage.outage(stage.victim, PAUSE):
        until_s = time.monotonic() + 6.0
        while time.monotonic() < until_s:
            stage.signal(stage.victim, signal.SIGSTOP)
            await asyncio.sleep(0.05)
            stage.signal(stage.victim, signal.SIGCONT)
            await asyncio.sleep(0.05)


async def block_loop(stage: Stage) -> None:
    (key,) = await stage.keys_of(stage.victim, "block.3/{}", 1)
    with stage.outage(stage.victim, PAUSE):
        async with zmcache.connect(stage.cluster.places[stage.victim].address, route="any") as cache:
            with contextlib.suppress(zmcache.ZmcacheError):
                await cache.group("items").get(key, timeout=0.2)
        await stage.pass_time(3.3)


async def herd(stage: Stage) -> None:
    keys = await stage.keys_of(stage.victim, "slow.1/{}", _HERD_KEYS)
    async with (
        zmcache.connect(stage.cluster.addresses) as cache,
        Driver(cache, _HERD_WORKER, stage.folder, 5.0) as driver,
    ):
        await asyncio.gather(*(driver.get("items", key) for key in keys))
        await stage.pass_time(1.0)  # copies are made behind the answer
        stage.kill(stage.victim)
        await asyncio.gather(*(driver.get("items", keys[number % len(keys)]) for number in range(_HERD)))


def clocked(control: Path) -> tuple[str, ...]:
    """What runs zmcache with another wall clock, by so many seconds as stand in this file."""
    return (sys.executable, "-m", "faults.clocked", str(control))


async def step_clock(stage: Stage) -> None:
    control = stage.folder / f"clock-{stage.victim}"
    for step_s in (3600, -3600):
        control.write_text(str(step_s))
        await stage.pass_time(3.0)
    # Its clock is an hour slow from the beginning now.
    await stage.cluster.leave(stage.victim)
    await stage.cluster.start(stage.victim, program=clocked(control))
    await stage.pass_time(2.0)
