"""What connections wait for: how many keys each may have in flight, and by what name it cancels them.

A key counts from when its request is let in until it is answered or given up (`zmcache.node.late`). Whoever has too many at once is refused, and
nobody else notices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from zmcache.core import wire
from zmcache.deadlines import Deadlines
from zmcache.errors import Busy
from zmcache.node.late import Late, Row


class InFlight:
    """The requests of one listener that are not wholly answered yet. ``keys_most``: of one connection."""

    def __init__(self, keys_most: int, deadlines: Deadlines) -> None:
        self._keys_most = keys_most
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._keys: dict[bytes, int] = {}
        self._lates: dict[tuple[bytes, int], Late] = {}
        self.cancelled = 0
        """Requests, so far."""

    @property
    def keys(self) -> int:
        """Those that were asked for and are not answered yet."""
        return sum(self._keys.values())

    def begin(
        self, peer: bytes, request_id: int, count: int, deadline_s: float, send: Callable[[list[Row]], None]
    ) -> Late:
        """So many keys of a request are to be answered by then; ``send`` gets what has come of them. Raises `Busy`."""
        keys = self._keys.get(peer, 0) + count
        if keys > self._keys_most:
            raise Busy(f"{keys} requests of one connection are in flight")
        self._keys[peer] = keys
        name = peer, request_id
        late = self._lates[name] = Late(
            count,
            deadline_s,
            loop=self._loop,
            deadlines=self._deadlines,
            send=partial(self._send, peer, send),
            give_up=partial(self._settle, peer),
            done=partial(self._lates.pop, name, None),
        )
        return late

    def cancel(self, peer: bytes, request: wire.Cancel) -> None:
        """The asker has no use for some of a request any more. No effect where it has ended."""
        late = self._lates.get((peer, request.request_id))
        if late is not None:
            self.cancelled += 1
            late.cancel(request.positions)

    def _send(self, peer: bytes, send: Callable[[list[Row]], None], rows: list[Row]) -> None:
        self._settle(peer, len(rows))
        send(rows)

    def _settle(self, peer: bytes, count: int) -> None:
        """That many keys of a connection are answered or given up."""
        left = self._keys[peer] - count
        if left:
            self._keys[peer] = left
        else:
            del self._keys[peer]
