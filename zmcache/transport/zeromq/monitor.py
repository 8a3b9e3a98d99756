"""What libzmq's own thread says about a socket's connection, by callback on the loop.

libzmq hides connections: a DEALER looks the same with and without one. Its monitor is a PAIR inside the process on which
each event is a message of two parts, the first ``<event:uint16><value:int32>``.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from itertools import count
from typing import Final

import zmq

from zmcache.transport.zeromq.drained import NOBLOCK, DrainedSocket

CONNECTED: Final = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
DISCONNECTED: Final = int(zmq.EVENT_DISCONNECTED)
RETRIED: Final = int(zmq.EVENT_CONNECT_RETRIED)
FAILED_NO_DETAIL: Final = int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
FAILED_PROTOCOL: Final = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
FAILED_AUTH: Final = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)

_MASK = CONNECTED | DISCONNECTED | RETRIED | FAILED_NO_DETAIL | FAILED_PROTOCOL | FAILED_AUTH
_EVENT = struct.Struct("=Hi")
_names = count()


class Monitor(DrainedSocket):
    """Calls ``on_event(event, value)`` for the events above, in order, from now on. Costs two sockets of the context."""

    __slots__ = ("_on_event", "_watched")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: zmq.Context[zmq.Socket[bytes]],
        watched: zmq.Socket[bytes],
        on_event: Callable[[int, int], None],
    ) -> None:
        self._watched, self._on_event = watched, on_event
        address = f"inproc://zmcache-monitor-{next(_names)}"
        watched.monitor(address, _MASK)
        pair = context.socket(zmq.PAIR)
        pair.setsockopt(zmq.LINGER, 0)
        try:
            pair.connect(address)
        except zmq.ZMQError:
            pair.close()
            raise
        super().__init__(loop, pair)

    def _receive_one(self) -> None:
        event, value = _EVENT.unpack(self._recv(NOBLOCK))
        self._recv(NOBLOCK)  # the endpoint, which is ours
        self._on_event(event, value)

    def close(self) -> None:
        """Before the watched socket is closed."""
        if not self._closed:
            self._watched.disable_monitor()
            self._stop_reading()
            self._socket.close(0)
