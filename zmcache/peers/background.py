"""Copies that nobody waits for may take half of what may be in flight to a peer, so that what somebody waits for always finds room there.

What finds none is not sent. Whoever should hold it is compared with a little later (`on_short`), once for all that it did not get, and so is a
peer that did not answer in time: or it would have what is old until that expires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from zmcache.core.flight import Outcome, Waiter, failure
from zmcache.core.wire import ROW_OVERHEAD_BYTES, Change, Limits
from zmcache.errors import Busy, DeadlineExceeded
from zmcache.peers.channel import Channel

SHARE: Final = 0.5
# By then a burst is over; what is compared sooner would be in the way of what has too little room already.
AFTER_S: Final = 2.0


class Background:
    """Counts copies by peer. ``on_short`` is called with the name of one that lacks some."""

    def __init__(self, limits: Limits, on_short: Callable[[str], None]) -> None:
        self._keys_most = max(1, int(limits.inflight_requests * SHARE))
        self._bytes_most = max(limits.value_bytes, int(limits.inflight_bytes * SHARE))
        self._on_short = on_short
        self._loop = asyncio.get_running_loop()
        self._out: dict[Channel, tuple[int, int]] = {}
        self._short: dict[str, asyncio.TimerHandle] = {}
        self.dropped = 0

    def waiter(self, channel: Channel, copy: Change, on_answer: Waiter, *, background: bool) -> Waiter | None:
        """Who is to hear how the copy went. None: it is not to be sent, and ``on_answer`` knows."""
        size = 0
        if background:
            size = len(copy.value or b"") + len(copy.key) + ROW_OVERHEAD_BYTES
            keys, held_bytes = self._out.get(channel, (0, 0))
            if keys >= self._keys_most or held_bytes + size > self._bytes_most:
                self.dropped += 1
                self._note_short(channel)
                on_answer(failure(Busy(f"too many copies are on their way to {channel.name}")))
                return None
            self._out[channel] = keys + 1, held_bytes + size

        def answered(outcome: Outcome) -> None:
            if background:
                keys, held_bytes = self._out.pop(channel)
                if keys > 1:
                    self._out[channel] = keys - 1, held_bytes - size
            if isinstance(outcome.error, (Busy, DeadlineExceeded)):
                self._note_short(channel)
            on_answer(outcome)

        return answered

    def _note_short(self, channel: Channel) -> None:
        name = channel.name
        if name not in self._short:
            self._short[name] = self._loop.call_later(AFTER_S, self._tell, name)

    def _tell(self, name: str) -> None:
        del self._short[name]
        self._on_short(name)

    def close(self) -> None:
        """Tell nothing any more."""
        for timer in self._short.values():
            timer.cancel()
        self._short.clear()
