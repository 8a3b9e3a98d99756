"""The asking side: one DEALER to one endpoint, and the monitor that says when there is somebody at the other end.

    down --handshake succeeded--> up --disconnected--> down (on_disconnected)
    down --an attempt failed--> down (on_disconnected)

Invariants:

- Frames are handed to libzmq only while up. Between the loss and its report by the monitor libzmq still takes frames, into
  a pipe that it is about to throw away: they are lost, and `on_disconnected`, which is under way, says so. Never is a
  frame kept for the next connection.
- One report for each loss and each failed attempt. libzmq announces a retry after a failed attempt and also after a loss,
  so the announcement that follows a loss is not a second failure.
- libzmq gives up for good on a peer that breaks the protocol. No announcement follows such a loss, and then it is dialled
  again from here.

libzmq does not say why an attempt to connect failed (its events carry no errno for that); a failed handshake has one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable

import zmq

from zmcache.errors import ProtocolError
from zmcache.transport.base import ConnectionHandler
from zmcache.transport.owner import Owner
from zmcache.transport.quietlog import QuietLog
from zmcache.transport.zeromq import monitor
from zmcache.transport.zeromq.counters import Counters
from zmcache.transport.zeromq.drained import EVENTS, NOBLOCK, POLLIN, POLLOUT, DrainedSocket
from zmcache.transport.zeromq.settings import Settings

# How long after a loss libzmq's announcement of a retry is missed. It is microseconds behind, if it comes.
REDIAL_S = 1.0

_log = QuietLog(logging.getLogger(__name__))


class DealerConnection(DrainedSocket):
    """See `Connection`. Cost of a frame sent: one libzmq send and a share of one look per pass of the loop."""

    __slots__ = (
        "_busy_poll_s",
        "_counters",
        "_endpoint",
        "_failure",
        "_handler",
        "_max_bytes",
        "_monitor",
        "_on_frame",
        "_owner",
        "_poll_until",
        "_polling",
        "_redial",
        "_redial_max_s",
        "_redial_s",
        "_refused",
        "_retry_expected",
        "_up",
    )  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        context: zmq.Context[zmq.Socket[bytes]],
        socket: zmq.Socket[bytes],
        endpoint: str,
        handler: ConnectionHandler,
        settings: Settings,
        counters: Counters,
    ) -> None:
        self._endpoint, self._handler, self._on_frame = endpoint, handler, handler.on_frame
        self._owner, self._counters = owner, counters
        self._max_bytes, self._busy_poll_s = settings.max_message_bytes, settings.busy_poll_s
        self._redial_max_s = settings.reconnect_max_ms / 1000
        self._up = self._refused = self._retry_expected = self._polling = False
        self._poll_until = 0.0
        self._failure = ""
        self._redial: asyncio.TimerHandle | None = None
        self._redial_s = REDIAL_S
        # Before connecting, or the first events could be missed.
        self._monitor = monitor.Monitor(owner.loop, context, socket, self._on_monitor_event)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError:
            self._monitor.close()
            raise
        super().__init__(owner.loop, socket)

    def send_nowait(self, frame: bytes) -> bool:
        """See `Connection.send_nowait`."""
        if not self._up:
            self._refused = True
            return False
        if len(frame) > self._max_bytes:
            raise ProtocolError(f"a frame of {len(frame)} bytes, limit {self._max_bytes}")
        try:
            self._send(frame, NOBLOCK)
        except zmq.Again:
            self._refused = True
            self._look_again()
            return False
        self._counters.frames_out += 1
        if self._busy_poll_s:
            self._poll_until = time.monotonic() + self._busy_poll_s
            if not self._polling:
                self._polling = True
                self._loop.call_soon(self._poll)
        elif not self._draining and not self._look_due:
            self._look_due = True
            self._loop.call_soon(self._look)
        return True

    def close(self) -> None:
        """See `Connection.close`."""
        self._owner.check()
        if self._closed:
            return
        if self._up:
            self._counters.connections -= 1
        self._up = False
        if self._redial:
            self._redial.cancel()
        self._monitor.close()
        self._stop_reading()
        self._socket.close(0)

    def _receive_one(self) -> None:
        frame = self._recv(NOBLOCK)
        self._counters.frames_in += 1
        self._poll_until = 0.0
        try:
            self._on_frame(frame)
        except Exception:
            _log.warning("on_frame", "a handler of %s raised; going on", self._endpoint, exc_info=True)

    def _wants_room(self) -> bool:
        return self._refused and self._up

    def _on_events(self, events: int) -> None:
        # Room comes as a command, and commands make the descriptor ready, so a drain follows, which looks (`_wants_room`).
        if self._refused and self._up and events & POLLOUT:
            self._refused = False
            self._call(self._handler.on_writable)

    def _poll(self) -> None:
        """Ask for an answer in every pass of the loop, instead of sleeping, until one comes or the time is up.

        A sleeping thread takes tens of microseconds to wake; everything else on the loop runs in between as always. One
        look a pass: four or sixteen were slower. Giving the processor up after each that found nothing costs 0.4 us where it
        is idle, and where it is not, lets the thread run that the answer has to come through.
        """
        if self._closed:
            return
        # This is also the look that the sends since the last one are owed.
        events = self._events(EVENTS)
        if events & POLLIN:
            self._drain()
        else:
            self._on_events(events)
            os.sched_yield()
        if time.monotonic() < self._poll_until:
            self._loop.call_soon(self._poll)
        else:
            self._polling = False

    def _on_monitor_event(self, event: int, value: int) -> None:
        if event == monitor.CONNECTED:
            self._connected()
        elif event == monitor.DISCONNECTED:
            self._retry_expected = True
            if self._redial:
                self._redial.cancel()
            self._redial = self._loop.call_later(self._redial_s, self._dial_again)
            if self._up:
                # Answers that came before the loss are answers.
                while not self._closed and self._drain_share():
                    pass
            self._lost(self._failure or "the connection was lost")
        elif event == monitor.RETRIED:
            if self._redial:
                self._redial.cancel()
                self._redial = None
            if not self._retry_expected:
                self._lost("the attempt to connect failed")
            self._retry_expected = False
        elif event == monitor.FAILED_NO_DETAIL:
            self._failure = f"the handshake failed: {os.strerror(value)}"
        else:
            self._failure = f"the handshake failed: not a peer of ours (ZMTP error {value:#x})"

    def _connected(self) -> None:
        # Handles the commands that end the old pipe and bring the new one; they were sent before this event was. A send
        # alone might not: it looks for commands only once in a while, and would write into the old pipe.
        self._events(EVENTS)
        self._up, self._failure, self._redial_s = True, "", REDIAL_S
        self._counters.connections += 1
        self._call(self._handler.on_connected)
        self._look_again()

    def _lost(self, reason: str) -> None:
        if self._closed:
            return
        if self._up:
            self._up = False
            self._counters.connections -= 1
        self._failure = ""
        self._call(lambda: self._handler.on_disconnected(f"{self._endpoint}: {reason}"))

    def _dial_again(self) -> None:
        self._redial = None
        self._retry_expected = False
        self._redial_s = min(2 * self._redial_s, self._redial_max_s)
        # Whatever libzmq still keeps of the old attempt goes first: two of them would be two connections.
        with contextlib.suppress(zmq.ZMQError):
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)
        self._look_again()

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            _log.warning("handler", "a handler of %s raised; going on", self._endpoint, exc_info=True)
