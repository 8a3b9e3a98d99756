"""Waiting for what the loop is about to do, and finding the tasks that outlived what they were for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from zmcache.errors import LifecycleError

# What is cancelled ends within a few turns of the loop; a machine with nothing to spare may take its time for those.
_ENDS_WITHIN_S: Final = 2.0


async def wait_until(condition: Callable[[], bool], within_s: float) -> bool:
    """Return as soon as it is true, or when it is not within the limit; whether it is."""
    loop = asyncio.get_running_loop()
    limit_s = loop.time() + within_s
    turns = 0
    while not condition():
        if loop.time() > limit_s:
            return False
        # The first looks cost no time, so that quick things stay quick.
        await asyncio.sleep(0 if turns < 20 else 0.002)
        turns += 1
    return True


class Leftovers:
    """The tasks of zmcache that began after this was made and have not ended. Those of the program under test are its own."""

    def __init__(self) -> None:
        self._before = asyncio.all_tasks()

    def names(self) -> list[str]:
        """What is there now. Clients are not counted: the program may have one of its own, of another cluster."""
        names = (task.get_name() for task in asyncio.all_tasks() - self._before)
        return sorted(name for name in names if name.startswith("zmcache ") and not name.startswith("zmcache client"))

    async def check(self) -> None:
        """Raises `LifecycleError` where tasks do not end that should."""
        if not await wait_until(lambda: not self.names(), _ENDS_WITHIN_S):
            left = ", ".join(self.names())
            raise LifecycleError(
                f"left behind, and still at work {_ENDS_WITHIN_S:g} s after everything was stopped: {left}"
            )
