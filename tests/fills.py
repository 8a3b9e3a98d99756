"""Functions that make values when a test lets them, and waiting for what becomes of these."""

from __future__ import annotations

import asyncio
from typing import Any

from cache_worlds import World
from eventually import eventually


class Fill:
    """A function that makes a value once ``gate`` is open, and counts."""

    def __init__(self, value: Any = b"made", *, error: BaseException | None = None) -> None:
        self.value, self.error = value, error
        self.calls = self.cancelled = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Any:
        self.calls += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return self.value


async def ended(world: World, key: str) -> None:
    """Wait until no plain get finds the key."""
    await eventually_async(lambda: world.one.get(key), lambda value: value is None)


async def eventually_async(ask: Any, good: Any, within_s: float = 5.0) -> None:
    deadline_s = asyncio.get_running_loop().time() + within_s
    while not good(await ask()):
        assert asyncio.get_running_loop().time() < deadline_s
        await asyncio.sleep(0.005)


async def begun(call: Any, fill: Fill) -> asyncio.Future[Any]:
    """The call, whose function runs."""
    before = fill.calls
    task = asyncio.ensure_future(call)
    await eventually(lambda: fill.calls > before)
    return task


def held(value: Any = b"made", *, error: BaseException | None = None) -> Fill:
    """One whose gate is shut."""
    fill = Fill(value, error=error)
    fill.gate.clear()
    return fill
