"""What is to be sent to one peer and is not yet: until the turn of the loop is over, until the peer is not busy any more, until there is room.

A batch stands in these places, in this order, and in none of them for longer than its deadline:

1. Collected, until the turn's end or until a batch is full (`zmcache.peers.batch`).
2. Held back, in a client while the peer refuses requests of its kind (`zmcache.peers.pauses`).
3. Behind others, while there is no connection yet, or as much in flight as the peer takes (`zmcache.peers.flow`).

What cannot be sent at all, because the peer is not in use or too much waits, is given up at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from zmcache.deadlines import Deadlines
from zmcache.errors import Busy, PeerUnavailable, ZmcacheError
from zmcache.peers.batch import Batch
from zmcache.peers.flow import Flow
from zmcache.peers.pauses import Pauses

# A batch is sent before the turn is over when it has so many keys: the peer works on them while this loop goes on collecting, where
# one message for all would have both wait for each other in turns. Measured, against one message a turn: 64 callers 1.2 to 1.5 x the
# rate with 32 keys and nothing with 64; 256 callers 1.2 with 32 keys and 1.4 to 1.5 with 64; 16 keys cost more than they gain.
_FEW_KEYS: Final = 32
_MORE_KEYS: Final = 64
_MANY_IN_FLIGHT: Final = 96
_HELD_MOST: Final = 1000  # batches, for a second at the most


class Way(Protocol):
    """What it needs of the channel."""

    name: str

    @property
    def is_connected(self) -> bool:
        """Whether anything can be sent."""

    @property
    def is_reachable(self) -> bool:
        """Whether it is worth while to wait until it can."""

    def connect(self) -> None:
        """Begin to, if that was not done before."""

    def send(self, batch: Batch) -> bool:
        """Send it, or give it up where that cannot be done at all. False: it has to wait, and `Outgoing.send_waiting` is called."""

    def give_up(self, batch: Batch, error: ZmcacheError) -> None:
        """End it without an answer, by `Outgoing.ended` among others."""

    def unavailable(self) -> PeerUnavailable:
        """Why it is not reachable."""


class Outgoing:
    """See the module's docstring. ``pauses``: None in a node, which does not back off."""

    def __init__(
        self,
        way: Way,
        flow: Flow,
        deadlines: Deadlines,
        clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
        pauses: Pauses | None,
    ) -> None:
        self._way = way
        self._flow = flow
        self._deadlines = deadlines
        self._clock = clock
        self._loop = loop
        self._pauses = pauses
        self._collected: list[Batch] = []
        self._held: dict[Batch, asyncio.TimerHandle] = {}
        self._sends_soon = False

    @property
    def collecting(self) -> bool:
        """Whether anything of this turn waits for its end."""
        return bool(self._collected)

    @property
    def kept(self) -> list[Batch]:
        """What is not sent though its turn is over."""
        return [*self._flow.waiting, *self._held]

    def full_at(self) -> int:
        """With so many keys a batch is to be sent at once."""
        return _FEW_KEYS if self._flow.keys < _MANY_IN_FLIGHT else _MORE_KEYS

    def collect(self, batch: Batch) -> None:
        """It is sent at the end of this turn, unless `flush` is called before."""
        if not self._collected:
            self._loop.call_soon(self.flush)
        self._collected.append(batch)

    def flush(self) -> None:
        """Send what this turn has collected so far."""
        if not self._collected:
            return
        self._way.connect()
        collected, self._collected = self._collected, []
        for batch in collected:
            batch.open = False
            batch.unanswered = len(batch.keys)
            batch.bucket = self._deadlines.add(batch.ends_s, batch.expire)
            if not self._pauses or not self._hold(batch, self._pauses):
                self._pass_on(batch)

    def _hold(self, batch: Batch, pauses: Pauses) -> bool:
        """Keep a batch back while its peer is busy with requests of its kind. False: it may go."""
        until_s = pauses.until_s((batch.group, batch.kind))
        pause_s = until_s - self._clock()
        if pause_s <= 0:
            return False
        if until_s >= batch.deadline_s or len(self._held) >= _HELD_MOST:
            self._way.give_up(batch, Busy(f"{self._way.name} was busy, and is asked again in {pause_s:.2f} s"))
        else:
            self._held[batch] = self._loop.call_later(pause_s, self._release, batch)
        return True

    def _release(self, batch: Batch) -> None:
        del self._held[batch]
        self._pass_on(batch)

    def _pass_on(self, batch: Batch) -> None:
        way, flow = self._way, self._flow
        if not way.is_reachable:
            way.give_up(batch, way.unavailable())
        elif (
            not way.is_connected or flow.waiting or not flow.has_room(batch) or not way.send(batch)
        ) and not flow.wait(batch):
            way.give_up(batch, Busy(f"too much waits to be sent to {way.name}"))

    def send_waiting(self) -> None:
        """There may be room now for what waits."""
        self._sends_soon = False
        while self._way.is_connected and (batch := self._flow.next()) is not None:
            if not self._way.send(batch):
                return

    def answered(self, batch: Batch) -> None:
        """Some of its keys are not awaited any more."""
        self._flow.answered(batch)
        if self._flow.waiting:
            self._send_soon()

    def ended(self, batch: Batch) -> None:
        """None of them is, wherever it was."""
        if batch in self._held:
            self._held.pop(batch).cancel()
        # Or its keys and values would be kept until its deadline.
        self._deadlines.discard(batch.bucket, batch.expire)
        self._flow.ended(batch)
        if self._flow.waiting:
            self._send_soon()

    def _send_soon(self) -> None:
        # Not at once: whoever says that something has ended may be in the middle of ending many.
        if not self._sends_soon:
            self._sends_soon = True
            self._loop.call_soon(self.send_waiting)
