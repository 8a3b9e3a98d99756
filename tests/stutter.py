"""A node of the in-memory wire that is slow and not dead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from zmcache.transport.memory import MemoryNetwork

PAUSE_S = 0.06


@contextlib.asynccontextmanager
async def stuttering(network: MemoryNetwork, *endpoints: str) -> AsyncIterator[None]:
    """Inside the block these listeners hear and answer nothing for `PAUSE_S` at a time, with a moment between."""

    async def stutter() -> None:
        try:
            while True:
                for endpoint in endpoints:
                    network.pause(endpoint)
                await asyncio.sleep(PAUSE_S)
                for endpoint in endpoints:
                    network.resume(endpoint)
                await asyncio.sleep(0.004)
        finally:
            for endpoint in endpoints:
                network.resume(endpoint)

    task = asyncio.create_task(stutter())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
