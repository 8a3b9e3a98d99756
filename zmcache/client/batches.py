"""The batches that calls of one group travel in, by what they have in common: since one timer serves a batch, calls with a timeout of their own, or
a trace, travel in batches of their own. Who may wait less long than the others of a batch has a timer beside it (`expire`).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from weakref import ref

from zmcache.core.calls import Duration, check_timeout
from zmcache.errors import DeadlineExceeded
from zmcache.peers.batch import Batch, Consumer
from zmcache.peers.channel import Channel
from zmcache.tracing import traceparent

LATE: Final = "no answer within the call's deadline"


class OpenBatches:
    """Those that this turn of the loop still adds to. ``consumer`` hears how they went."""

    def __init__(self, group: str, timeout_s: float, consumer: Consumer, flags: int = 0) -> None:
        self._group = group
        self._timeout_s = timeout_s
        self._consumer = consumer
        self._flags = flags
        self._open: dict[tuple[Channel, int, float, str | None], Batch] = {}

    def batch(self, channel: Channel, kind: int, timeout: Duration | None) -> tuple[Batch, float]:
        """The one for a call that is made now, and that call's deadline. It has no keys yet where it was opened for this one."""
        timeout_s = self._timeout_s if timeout is None else check_timeout(timeout)
        slot = channel, kind, timeout_s, traceparent()
        batch = self._open.get(slot)
        if batch is None or not batch.open:
            if len(self._open) > 1024:
                self._open.clear()  # left over from channels and timeouts of long ago; an open batch is merely not added to any more
            batch = self._open[slot] = channel.open_batch(self._consumer, kind, self._group, flags=self._flags)
            batch.trace = slot[-1]
        return batch, batch.opened_s + timeout_s


def expire(waiting: ref[asyncio.Future[Any]]) -> None:
    """A caller's time is up. (By a weak reference: the timer stays until then, and must not keep the future, and with it the value, for so long.)"""
    future = waiting()
    if future is not None and not future.done():
        future.set_exception(DeadlineExceeded(LATE))
