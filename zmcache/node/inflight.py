"""What connections wait for: how many keys each may have in flight, and by what name it cancels them.

A key that cannot be answered at once counts until it is answered or given up (`zmcache.node.late`). Whoever has too many at once is refused, and
nobody else notices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zmcache.core import wire
from zmcache.deadlines import Deadlines
from zmcache.errors import Busy
from zmcache.node.late import Late, Name, Row


class InFlight:
    """The requests of one listener that are not wholly answered yet. ``keys_most``: of one connection."""

    def __init__(self, keys_most: int, deadlines: Deadlines) -> None:
        self._keys_most = keys_most
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._keys: dict[bytes, int] = {}
        self._lates: dict[Name, Late] = {}
        self.cancelled = 0
        """Requests, so far."""

    @property
    def keys(self) -> int:
        """Those that were asked for and are not answered yet."""
        return sum(self._keys.values())

    def begin(
        self, peer: bytes, request_id: int, count: int, deadline_s: float, send: Callable[[list[Row]], None]
    ) -> Late:
        """So many keys of a request are to be answered by then; ``send`` gets what has come of them. What is not answered when it is flushed
        for the first time waits here. Raises `Busy`.
        """
        keys = self._keys.get(peer, 0) + count
        if keys > self._keys_most:
            raise Busy(f"{keys} requests of one connection are in flight")
        return Late((peer, request_id), count, deadline_s, self, send)

    def cancel(self, peer: bytes, request: wire.Cancel) -> None:
        """The asker has no use for some of a request any more. No effect where it has ended."""
        late = self._lates.get((peer, request.request_id))
        if late is not None:
            self.cancelled += 1
            late.cancel(request.positions)

    def waits(self, late: Late, count: int) -> int:
        """See `zmcache.node.late.Home`."""
        peer = late.name[0]
        self._keys[peer] = self._keys.get(peer, 0) + count
        self._lates[late.name] = late
        return self._deadlines.add(late.deadline_s, late.expire)

    def settled(self, late: Late, count: int) -> None:
        """See `zmcache.node.late.Home`."""
        peer = late.name[0]
        left = self._keys[peer] - count
        if left:
            self._keys[peer] = left
        else:
            del self._keys[peer]

    def ended(self, late: Late, bucket: int) -> None:
        """See `zmcache.node.late.Home`."""
        self._deadlines.discard(bucket, late.expire)
        # Another of that name may have taken its place: a number is the asker's choice.
        if self._lates.get(late.name) is late:
            del self._lates[late.name]

    def soon(self, call: Callable[[], None]) -> None:
        """See `zmcache.node.late.Home`."""
        self._loop.call_soon(call)
