"""The asking side for a thread that waits: one DEALER, read where the thread stands, with no event loop between.

    made on the loop --handshake--> ready --lost, or closed--> of no more use

One connection of TCP and never another: what was asked on a lost one has no answer coming, so it is not made again but replaced, and nobody
need tell the two apart. libzmq itself says whether it stands: with ``IMMEDIATE`` a DEALER can be written to exactly while it is connected.

Any thread may use it, one at a time: who uses it holds it. Closing may happen at any moment, on the loop; a connection that is held is then
closed by whoever lets go of it, and a wait in it ends at once, since its context ends. Who never comes to let go of it leaves it to the
garbage collector.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from typing import Final, cast

import zmq

from zmcache.errors import ProtocolError
from zmcache.transport.zeromq.drained import EVENTS, NOBLOCK, POLLOUT
from zmcache.transport.zeromq.settings import Settings, set_dealer_options

# Whoever waits looks up so often: at its deadline, and at whether anybody can still answer. A look costs a few microseconds.
SLICE_MS: Final = 20


class BlockingDealer:
    """See `BlockingConnection`. A frame there and back costs one send and one receive."""

    __slots__ = ("__weakref__", "_held", "_max_bytes", "_send", "_socket", "closed")

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str, settings: Settings, host: str) -> None:
        """Raises `zmq.ZMQError`; the socket is then the caller's to close."""
        set_dealer_options(socket, settings, host)
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        socket.setsockopt(zmq.RCVTIMEO, SLICE_MS)
        socket.connect(endpoint)
        self._socket = socket
        # Past zmq.Socket.send, as in `DrainedSocket`.
        self._send: Callable[[bytes, int], object] = super(zmq.Socket, socket).send
        self._max_bytes = settings.max_message_bytes
        self._held = allocate_lock()
        self.closed = False

    def hold_nowait(self) -> bool:
        """See `BlockingConnection.hold_nowait`."""
        return not self.closed and self._held.acquire(False)

    def let_go(self) -> None:
        """See `BlockingConnection.let_go`."""
        self._held.release()
        # The mark is set before the attempt to close: who finds it here may be the one who stood in the way.
        if self.closed:
            self.close()

    def send_nowait(self, frame: bytes) -> bool:
        """See `BlockingConnection.send_nowait`."""
        if len(frame) > self._max_bytes:
            raise ProtocolError(f"a frame of {len(frame)} bytes, limit {self._max_bytes}")
        try:
            self._send(frame, NOBLOCK)
        except zmq.ZMQError:  # `Again`; or it is closed, or its context is
            return False
        return True

    def receive(self) -> bytes | None:
        """See `BlockingConnection.receive`."""
        try:
            return self._socket.recv()
        except zmq.ZMQError:
            return None

    def is_connected(self) -> bool:
        """See `BlockingConnection.is_connected`."""
        try:
            return not self.closed and bool(cast(int, self._socket.get(EVENTS)) & POLLOUT)
        except zmq.ZMQError:
            return False

    def close(self) -> None:
        """See `BlockingConnection.close`."""
        self.closed = True
        if self._held.acquire(False):  # and is held for ever
            self._socket.close(0)
