"""A clock that stands still while our own event loop does: what a round trip is measured by, so that our own pauses are not a peer's.

While something is waited for, a tick comes every few milliseconds; what it comes late by is time in which the loop did not run. The pauses
between ticks grow with the wait, so that the clock is wrong by no more than the wait itself, and a quick answer costs one tick.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final

_FIRST_S: Final = 0.005
_MOST_S: Final = 0.08


class OwnLoop:
    """Seconds in which the loop ran. ``waits`` tells whether anything is still waited for, so that the ticks have to go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, waits: Callable[[], bool]) -> None:
        self._loop = loop
        self._waits = waits
        self._stood_s = 0.0
        self._due_s = math.inf
        self._pause_s = _FIRST_S
        self._timer: asyncio.TimerHandle | None = None

    def ran_s(self) -> float:
        """Now. Only differences mean anything, and only of moments between which something was waited for."""
        now_s = self._loop.time()
        return now_s - self._stood_s - max(0.0, now_s - self._due_s)

    def watch(self) -> None:
        """Something is waited for from now on."""
        self.close()
        self._pause_s = _FIRST_S
        self._arm()

    def close(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._note()

    def _arm(self) -> None:
        self._due_s = self._loop.time() + self._pause_s
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _note(self) -> None:
        self._stood_s += max(0.0, self._loop.time() - self._due_s)
        self._due_s = math.inf

    def _tick(self) -> None:
        self._timer = None
        self._note()
        if self._waits():
            self._pause_s = min(2 * self._pause_s, _MOST_S)
            self._arm()
