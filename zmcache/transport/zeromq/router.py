"""The answering side: one ROUTER, which tells its peers apart and says so when one of them cannot be reached.

Invariants:

- A request is one frame; libzmq puts the peer's name before it. Anything else (a REQ client's delimiter, more parts) is
  taken off the socket whole, counted and dropped, so that the next message starts where it should.
- Answers to one peer leave in order: while some of them wait in the outbox, later ones go behind them.
- Nothing waits for a peer: ``EHOSTUNREACH`` (gone) drops the answer, ``EAGAIN`` (its pipe is full) moves it to the outbox,
  and a full outbox drops it.
- A peer's name is made by libzmq for one connection. When the peer comes back it has another one, so that a late answer
  is dropped and not delivered to somebody who never asked.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import zmq

from zmcache.transport.owner import Owner
from zmcache.transport.quietlog import QuietLog
from zmcache.transport.zeromq.counters import Counters
from zmcache.transport.zeromq.drained import EVENTS, NOBLOCK, DrainedSocket
from zmcache.transport.zeromq.outbox import Outbox
from zmcache.transport.zeromq.settings import Settings

_MORE_FOLLOWS: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_RCVMORE: Final = int(zmq.RCVMORE)
_PARTS_AT_ONCE: Final = 16

# A peer that only paused is served again at once; one that never reads costs ten failing sends a second, not 200.
RETRY_S: Final = 0.005
RETRY_MAX_S: Final = 0.1
# How many waiting peers are tried ahead of a drain: a burst goes on at once, and many dead weights cost 30 us at most.
DRAIN_PEERS: Final = 8
# Between the last answer and the end of the connections. LINGER is not enough: it sees to it that the peer's libzmq has
# the answers, but with IMMEDIATE a DEALER that learns of the end throws away what its program has not read yet (100
# answers of 100 were lost). The address stays taken that long: to unbind earlier would end the connections as well.
GRACE_S: Final = 0.1

_log = QuietLog(logging.getLogger(__name__))


class RouterListener(DrainedSocket):
    """See `Listener`. Cost of a frame answered in its callback: two receives, one look at RCVMORE, two sends."""

    __slots__ = (
        "_counters",
        "_discarding",
        "_endpoint",
        "_linger_ms",
        "_max_bytes",
        "_on_frame",
        "_outbox",
        "_owner",
        "_retry",
        "_retry_s",
        "_was_asked",
    )

    def __init__(
        self,
        owner: Owner,
        socket: zmq.Socket[bytes],
        endpoint: str,
        on_frame: Callable[[bytes, bytes], None],
        settings: Settings,
        counters: Counters,
    ) -> None:
        self._endpoint, self._on_frame = endpoint, on_frame
        self._owner, self._counters = owner, counters
        self._max_bytes, self._linger_ms = settings.max_message_bytes, settings.listener_linger_ms
        self._outbox = Outbox(settings.queued_bytes_per_peer)
        self._retry: asyncio.TimerHandle | None = None
        self._retry_s = RETRY_S
        self._was_asked = False
        self._discarding = False  # parts of a message that is not wanted are still to come
        counters.listeners += 1
        super().__init__(owner.loop, socket)

    @property
    def endpoint(self) -> str:
        """See `Listener.endpoint`."""
        return self._endpoint

    def send_nowait(self, peer: bytes, frame: bytes) -> bool:
        """See `Listener.send_nowait`."""
        if len(frame) > self._max_bytes:
            _log.warning("oversize", "%s: dropped an answer of %d bytes", self._endpoint, len(frame))
            return self._dropped("oversize")
        if self._closed:
            return self._dropped("closed")
        if self._outbox and peer in self._outbox:
            return self._queue(peer, frame)
        try:
            self._send(peer, _MORE_FOLLOWS)
            # Once the first part was taken the second is: libzmq counts whole messages, and takes or drops them whole.
            self._send(frame, NOBLOCK)
        except zmq.Again:
            return self._queue(peer, frame)
        except zmq.ZMQError as exc:
            if exc.errno != zmq.EHOSTUNREACH:
                raise
            return self._dropped("peer gone")
        self._counters.frames_out += 1
        if not self._draining and not self._look_due:
            self._look_due = True
            self._loop.call_soon(self._look)
        return True

    def close(self) -> None:
        """See `Listener.close`."""
        self._owner.check()
        if self._closed:
            return
        if self._retry:
            self._retry.cancel()
        self._flush()
        self._account(-self._outbox.queued_bytes)
        left = self._outbox.clear()
        if left:
            self._counters.dropped["closed"] += left
        self._counters.listeners -= 1
        self._stop_reading()
        if self._was_asked:
            # Not a daemon: a process that exits now gives its last answers that moment.
            threading.Thread(target=self._close_later, name="zmcache-listener-close").start()
        else:
            self._socket.close(0)

    def _close_later(self) -> None:
        """In a thread of its own, the last to touch the socket."""
        time.sleep(min(GRACE_S, self._linger_ms / 1000))
        self._socket.close(self._linger_ms)

    def _drain(self) -> None:
        # That a peer has room again is a command, which woke us perhaps. Looking first makes sends see it; the drain that
        # follows ends by looking, so what these sends take off the descriptor is not lost.
        if self._outbox:
            self._events(EVENTS)
            self._flush(DRAIN_PEERS)
        super()._drain()

    def _receive_one(self) -> None:
        recv = self._recv
        if self._discarding:
            self._discard()
            return
        peer = recv(NOBLOCK)
        frame = recv(NOBLOCK)
        if self._events(_RCVMORE):
            self._dropped("shape")
            _log.warning("shape", "%s: dropped a message of more than one frame", self._endpoint)
            self._discard()
            return
        self._counters.frames_in += 1
        self._was_asked = True
        try:
            self._on_frame(peer, frame)
        except Exception:
            _log.warning("on_frame", "the handler of %s raised; going on", self._endpoint, exc_info=True)

    def _discard(self) -> None:
        """Some of the parts that are left of a message; it may have hundreds of thousands, and the loop has others to serve."""
        for _ in range(_PARTS_AT_ONCE):
            self._discarding = bool(self._events(_RCVMORE))
            if not self._discarding:
                return
            self._recv(NOBLOCK)

    def _dropped(self, reason: str) -> bool:
        self._counters.dropped[reason] += 1
        return False

    def _account(self, delta_bytes: int) -> None:
        self._counters.queued_bytes += delta_bytes

    def _queue(self, peer: bytes, frame: bytes) -> bool:
        before = self._outbox.queued_bytes
        if not self._outbox.push(peer, frame):
            _log.warning("slow", "%s: a peer does not read; dropping its answers", self._endpoint)
            return self._dropped("peer slow")
        self._account(self._outbox.queued_bytes - before)
        if self._retry is None:
            self._retry_s = RETRY_S
            self._retry = self._loop.call_later(self._retry_s, self._try_again)
        return True

    def _try_again(self) -> None:
        """Asked by the clock and not by ``EVENTS``: a ROUTER's POLLOUT says that some peer has room, not which."""
        self._retry = None
        moved = self._flush()
        self._retry_s = RETRY_S if moved else min(2 * self._retry_s, RETRY_MAX_S)
        if self._outbox:
            self._retry = self._loop.call_later(self._retry_s, self._try_again)
        self._look_again()

    def _flush(self, most_peers: int | None = None) -> int:
        before = self._outbox.queued_bytes
        moved = self._outbox.flush(self._take, most_peers)
        self._account(self._outbox.queued_bytes - before)
        return moved

    def _take(self, peer: bytes, frame: bytes) -> bool:
        """For `Outbox.flush`: True when the frame is done with, sent or with nobody left to send it to."""
        try:
            self._send(peer, _MORE_FOLLOWS)
            self._send(frame, NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as exc:
            if exc.errno != zmq.EHOSTUNREACH:
                raise
            self._dropped("peer gone")
        else:
            self._counters.frames_out += 1
        return True
