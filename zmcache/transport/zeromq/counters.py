"""What the sockets of one transport count together. Plain attributes: an increment is all that a frame pays."""

from __future__ import annotations

from collections import Counter

from zmcache.transport.base import TransportStatistics


class Counters:
    """Written by connections and listeners, read by `ZmqTransport.statistics`."""

    __slots__ = ("connections", "dropped", "frames_in", "frames_out", "listeners", "queued_bytes")

    def __init__(self) -> None:
        self.frames_in = self.frames_out = self.connections = self.listeners = self.queued_bytes = 0
        self.dropped: Counter[str] = Counter()

    def snapshot(self) -> TransportStatistics:
        """A frozen copy."""
        return TransportStatistics(
            self.frames_in,
            self.frames_out,
            dict(self.dropped),
            self.connections,
            self.listeners,
            self.queued_bytes,
        )
