"""Waiting for something to become true, with a limit: what tests do instead of sleeping.

`eventually` waits inside a loop for what that loop does; `answered` asks again and again for what only a question
tells (of a node, of etcd); `eventually_blocking` is for tests that have no loop and watch other processes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
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


async def answered(ask: Callable[[], Awaitable[T]], right: Callable[[T], bool], *, what: str, within_s: float) -> T:
    """The first answer that is right; fails with the last one when none is within the limit."""
    deadline_s = time.monotonic() + within_s
    while not right(answer := await ask()):
        assert time.monotonic() < deadline_s, f"{what}, not within {within_s} s; at last: {answer!r}"
        await asyncio.sleep(0.02)
    return answer


def eventually_blocking(condition: Callable[[], bool], what: Callable[[], object], *, within_s: float = 60.0) -> None:
    """Like `eventually` where no loop runs; ``what()`` is told in the failure."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {within_s} s: {what()}"
        time.sleep(0.02)
