"""How much of one connection is in use, and what waits for room: in order, until its own deadline.

The peer bounds what it lets one connection have in flight (`Limits`), and refuses what is more. So no more is sent than it takes, and who asks
for more at once waits here and is not told that the cluster is busy, of which it knows nothing. A key counts from when it is sent until it is
answered or given up, so one slow load in a message holds up no more than its own place. What waits is bounded too: in a client far above, as its
callers have the keys and the values in memory already; in a node, which holds the values of others, more closely.

A batch that is larger than all there is goes alone.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from zmcache.core.wire import Limits
from zmcache.peers.batch import Batch

# With the default limits 200,000 keys; whoever has so many calls waiting for one peer gets ahead of it for good.
WAITING_TIMES: Final = 20


class Flow:
    """See the module's docstring. About 0.3 us a batch."""

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_keys_max",
        "_waiting_bytes",
        "_waiting_bytes_max",
        "_waiting_keys",
        "keys",
        "waiting",
    )

    def __init__(self, limits: Limits, waiting_bytes: int) -> None:
        """``waiting_bytes`` of values may wait."""
        self._waiting_bytes = 0
        self._waiting_bytes_max = waiting_bytes
        self._keys_max = limits.inflight_requests
        self._bytes_max = limits.inflight_bytes
        self._bytes = 0
        self._waiting_keys = 0
        self.keys = 0
        """In flight."""
        # Ordered, as a deque is; but who leaves does so from anywhere.
        self.waiting: OrderedDict[Batch, None] = OrderedDict()

    def has_room(self, batch: Batch) -> bool:
        """Whether it may be sent now."""
        return not self.keys or (
            self.keys + len(batch.keys) <= self._keys_max and self._bytes + batch.bytes <= self._bytes_max
        )

    def next(self) -> Batch | None:
        """What has waited for longest, if there is room for it."""
        batch = next(iter(self.waiting), None)
        return batch if batch is not None and self.has_room(batch) else None

    def wait(self, batch: Batch) -> bool:
        """Behind all others. False where too much waits."""
        if self._waiting_keys + len(batch.keys) > WAITING_TIMES * self._keys_max:
            return False
        if self._waiting_bytes and self._waiting_bytes + batch.bytes > self._waiting_bytes_max:
            return False
        self.waiting[batch] = None
        self._waiting_bytes += batch.bytes
        self._waiting_keys += len(batch.keys)
        return True

    def sent(self, batch: Batch) -> None:
        """It is in flight now."""
        if batch in self.waiting:
            self._leave(batch)
        batch.in_flight = len(batch.keys)
        self.keys += batch.in_flight
        self._bytes += batch.bytes

    def answered(self, batch: Batch) -> None:
        """Some of its keys are not awaited any more."""
        if batch.in_flight is not None and batch.in_flight > batch.unanswered:
            self.keys -= batch.in_flight - batch.unanswered
            batch.in_flight = batch.unanswered

    def ended(self, batch: Batch) -> None:
        """None of them is, wherever it was."""
        if batch in self.waiting:
            self._leave(batch)
        elif batch.in_flight is not None:
            self.keys -= batch.in_flight
            self._bytes -= batch.bytes
            batch.in_flight = None

    def _leave(self, batch: Batch) -> None:
        del self.waiting[batch]
        self._waiting_keys -= len(batch.keys)
        self._waiting_bytes -= batch.bytes
