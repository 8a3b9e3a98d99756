"""One coarse timer for everything that waits on a loop.

A `call_later` and its cancel cost more than a microsecond a request, `asyncio.timeout` five. Here a wait is an entry in a bucket of
`RESOLUTION_S`, and one timer runs while any bucket is filled. A deadline is kept late by at most one resolution (and by the time in
which the loop did not run), never early. Callbacks of one bucket run in the order in which they were added; one that raises is logged
and does not take the others with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

# A fifth of the 50 ms by which a call may overrun its deadline; a finer wheel would wake an idle loop more often for nothing.
RESOLUTION_S: Final = 0.01

_log = logging.getLogger("zmcache")


class Deadlines:
    """Callbacks to be made at deadlines of ``loop.time()``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buckets: dict[int, dict[Callable[[], None], None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._closed = False

    def add(self, deadline_s: float, callback: Callable[[], None]) -> int:
        """Call ``callback`` once ``deadline_s`` has passed; returns the bucket, for `discard`."""
        bucket = int(deadline_s / RESOLUTION_S) + 1
        callbacks = self._buckets.get(bucket)
        if callbacks is None:
            callbacks = self._buckets[bucket] = {}
            if self._timer is None or bucket < self._timer_at:
                self._arm(bucket)
        callbacks[callback] = None
        return bucket

    def discard(self, bucket: int, callback: Callable[[], None]) -> None:
        """Forget a callback; no effect when it was made already."""
        callbacks = self._buckets.get(bucket)
        if callbacks is not None:
            callbacks.pop(callback, None)

    def close(self) -> None:
        """Forget everything."""
        self._closed = True
        self._buckets.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _armed(self) -> bool:
        return self._timer is not None

    def _arm(self, bucket: int) -> None:
        if self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = bucket
        # uvloop keeps time by the millisecond and may fire early; a little beyond the bucket's start spares a second round.
        self._timer = self._loop.call_at(bucket * RESOLUTION_S + 0.001, self._fire)

    def _fire(self) -> None:
        self._timer = None
        reached = int(self._loop.time() / RESOLUTION_S)
        for bucket in sorted(bucket for bucket in self._buckets if bucket <= reached):
            for callback in self._buckets.pop(bucket, ()):
                try:
                    callback()
                except Exception:
                    _log.exception("a deadline's callback failed")
        # A callback may have armed the timer for a deadline of its own, further off than the next one here.
        if self._buckets and not (self._armed and self._timer_at <= min(self._buckets)):
            self._arm(min(self._buckets))
