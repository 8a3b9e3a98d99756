"""Answers that libzmq would not take yet, peer by peer, in order, bounded in bytes. Pure: no socket, no clock.

Invariants: a peer stands here exactly while at least one of its frames does; what a peer holds never exceeds its limit;
all peers together never exceed `SHARE_OF_ALL` limits, so that many slow peers are not many times a slow peer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

# With 8 MiB a peer this is 128 MiB a listener: below any node's budget, above what an honest burst leaves behind.
SHARE_OF_ALL = 16
# A frame's bytes object and its place in the queue; without it a flood of empty frames would cost nothing.
FRAME_OVERHEAD_BYTES = 64


class _Queue:
    __slots__ = ("frames", "held_bytes")

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.held_bytes = 0


class Outbox:
    """Frames by peer. ``limit_bytes`` is for one peer and includes `FRAME_OVERHEAD_BYTES` a frame."""

    __slots__ = ("_limit_bytes", "_queues", "queued_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._queues: dict[bytes, _Queue] = {}
        self.queued_bytes = 0

    def __contains__(self, peer: bytes) -> bool:
        return peer in self._queues

    def __bool__(self) -> bool:
        return bool(self._queues)

    def push(self, peer: bytes, frame: bytes) -> bool:
        """Queue the frame; False, and nothing kept, where a limit would be passed."""
        size = len(frame) + FRAME_OVERHEAD_BYTES
        queue = self._queues.get(peer)
        held_bytes = queue.held_bytes if queue else 0
        if held_bytes + size > self._limit_bytes or self.queued_bytes + size > SHARE_OF_ALL * self._limit_bytes:
            return False
        if queue is None:
            queue = self._queues[peer] = _Queue()
        queue.frames.append(frame)
        queue.held_bytes += size
        self.queued_bytes += size
        return True

    def flush(self, take: Callable[[bytes, bytes], bool], most_peers: int | None = None) -> int:
        """Offer each peer's frames in order until ``take(peer, frame)`` returns False. Returns how many were taken.

        At most ``most_peers`` are asked (None: all); those that still have frames go behind the others for next time.
        """
        taken = 0
        for peer in list(islice(self._queues, most_peers)):
            queue = self._queues.pop(peer)
            frames = queue.frames
            while frames and take(peer, frames[0]):
                size = len(frames.popleft()) + FRAME_OVERHEAD_BYTES
                queue.held_bytes -= size
                self.queued_bytes -= size
                taken += 1
            if frames:
                self._queues[peer] = queue
        return taken

    def clear(self) -> int:
        """Drop everything. Returns the number of frames dropped."""
        dropped = sum(len(queue.frames) for queue in self._queues.values())
        self._queues.clear()
        self.queued_bytes = 0
        return dropped
