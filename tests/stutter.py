"""A node of the in-memory wire that is slow and not dead; and one that is merely taken for slow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from zmcache.peers.channel import Channel
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


def take_for_slow(channel: Channel) -> None:
    """Reads go past it from now on, whatever the next beat finds, which may come at any moment."""
    channel.preferred = False
    channel.weigh = lambda: None  # type: ignore[method-assign]
