"""Waiting for something to become true, with a limit: what tests do instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Return as soon as ``condition()`` is true; fail, naming it, when it is not within the limit."""
    loop = asyncio.get_running_loop()
    limit_s = loop.time() + within_s
    turns = 0
    while not condition():
        if loop.time() > limit_s:
            raise AssertionError(f"not within {within_s} s: line {condition.__code__.co_firstlineno}")
        # The first looks cost no time, so that quick things stay quick.
        await asyncio.sleep(0 if turns < 20 else 0.002)
        turns += 1
