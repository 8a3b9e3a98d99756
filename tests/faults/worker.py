"""A process that calls without end: ``python -m faults.worker '{...}'``. It goes on until its standard input ends, and so does not outlive who
started it.

Each caller waits a little between its calls: the nodes have to be busy, not the machine full, or every lateness would be the machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from pathlib import Path
from typing import Final

import msgspec

import zmcache
from faults.driver import ITEMS, KEPT, MIXED, STILL, Driver

_CANCELLED: Final = 0.01


class Orders(msgspec.Struct, frozen=True):
    """What a worker is to do. ``pause_s``: the mean between two calls of a caller."""

    worker: int
    addresses: str
    folder: str
    seed: int
    timeout_s: float
    route: str
    callers: int
    pause_s: float = 0.012


async def work(orders: Orders) -> None:
    async with (
        zmcache.connect(orders.addresses, timeout=orders.timeout_s, route=orders.route) as cache,
        Driver(cache, orders.worker, Path(orders.folder), orders.timeout_s) as driver,
    ):
        callers = [asyncio.create_task(_call(driver, orders, number)) for number in range(orders.callers)]
        print("ready", flush=True)
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait([ended, *callers], return_when=asyncio.FIRST_COMPLETED)
        for caller in callers:
            if caller.done():
                caller.result()
            caller.cancel()
        await asyncio.wait(callers)


async def _call(driver: Driver, orders: Orders, number: int) -> None:
    rng = random.Random(f"{orders.seed}/{orders.worker}/{number}")
    while not driver.full:
        await _one(driver, rng)
        await asyncio.sleep(rng.uniform(0, 2 * orders.pause_s))
    raise RuntimeError("more calls than a record takes")


async def _one(driver: Driver, rng: random.Random) -> None:
    draw = rng.random()
    if draw < 0.25:
        await driver.get("items", ITEMS[int(len(ITEMS) * rng.random() ** 2)])
    elif draw < 0.35:
        key = rng.choice(MIXED)
        await rng.choice((driver.get, driver.get, driver.get, driver.set, driver.delete))("mixed", key)
    elif draw < 0.60:
        await driver.set("kept", rng.choice(KEPT), rng.choice((64, 128, 2000)))
    elif draw < 0.62:
        await driver.delete("kept", rng.choice(KEPT))
    elif rng.random() < _CANCELLED:
        # One who gives up at any time must not disturb those who wait for the same.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rng.uniform(0, 0.003)):
                await driver.get("kept", rng.choice(KEPT))
    else:
        await driver.get("kept", rng.choice(rng.choice((KEPT, STILL))))


if __name__ == "__main__":
    asyncio.run(work(msgspec.json.decode(sys.argv[1], type=Orders)))
