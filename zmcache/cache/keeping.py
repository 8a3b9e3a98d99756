"""What was made, on its way to the owner.

Whoever made it has it in hand, and must not be held up by a node that hangs; but a program that gets a key right after it has made its value
expects to find it. So a caller waits for the owner's word, for `WAIT_S` at most, and the rest goes on behind it. When the connection closes, what
is on its way is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from zmcache.cache.away import Away
from zmcache.cache.complaints import Complaints
from zmcache.cache.making import Making
from zmcache.cache.raw import Raw
from zmcache.core.wire import DONE, LOST, RELEASE, Change
from zmcache.errors import MeshError, ProtocolError, ZmcacheError

WAIT_S: Final = 0.2
"""A hundred times what a node takes that is there, and little beside what making a value usually takes."""

# Beyond so many at once callers wait until theirs has gone: a cache that takes nothing any more is not to fill the memory of its clients.
_MOST: Final = 1000


class Keeping:
    """The values of one group of calls that are on their way."""

    def __init__(self, raw: Raw, away: Away, complain: Complaints) -> None:
        self._raw = raw
        self._away = away
        self._complain = complain
        self._tasks: set[asyncio.Task[int]] = set()

    async def keep(self, put: Change, how: Making) -> int:
        """Send it. Its remaining life in ms; below zero where that is not known."""
        task = asyncio.create_task(self._keep(put, how), name=f"zmcache put {put.key[:40]}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Not cancelled with who waits: the value is there, and others wait for it elsewhere.
        await asyncio.wait((task,), timeout=WAIT_S if len(self._tasks) <= _MOST else None)
        return task.result() if task.done() and not task.cancelled() else -1

    async def _keep(self, put: Change, how: Making) -> int:
        try:
            _, status, life_ms, _ = await self._raw.change(put, how.timeout)
            if status not in (DONE, LOST):
                raise ProtocolError(f"status {status} does not answer a PUT")
        except ZmcacheError as error:
            # That it could not be kept is nothing that its caller can do anything about.
            self._away.failures += isinstance(error, MeshError)
            self._complain("what was made for %r could not be stored: %s: %s", put.key, type(error).__name__, error)
            self._raw.post(Change(RELEASE, put.key, token=put.token))
            return -1
        if status == LOST and put.took_ms > how.lease_ms:
            self._complain(
                "%r took %.1f s to make, longer than its lease of %.1f s, and another was quicker",
                put.key,
                put.took_ms / 1000,
                how.lease_ms / 1000,
            )
        return life_ms

    async def aclose(self, until: Callable[[], float]) -> None:
        """Wait until all have gone, for so many seconds at most, and give up the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, until()))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
