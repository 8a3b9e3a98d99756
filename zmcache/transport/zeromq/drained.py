"""A raw libzmq socket read from the event loop by callback: no future, no task, no wakeup lost.

``zmq.FD`` does not say "there is a message". It says "there are commands for you", once; whatever call handles the
commands, a send as well, makes it silent, though messages wait. So after anything that may have handled commands somebody
has to look again. Three rules cover every case:

1. A drain ends by looking: at ``EVENTS``, or by receiving until ``Again``. Either handles all commands first, so what
   comes later makes the descriptor ready again. That covers the sends made inside the drain too.
2. A send outside a drain looks once, in the next pass of the loop, however many sends there were.
3. A drain that stops because it took its share goes on in the next pass.

Measured on a frame of 128 bytes (microseconds, best of many): receive 0.4, ``EVENTS`` 1.3, a receive that ends in
``Again`` 3.6. A lone frame is the usual case for a lone caller, so the first frame of a drain is followed by ``EVENTS``;
only where there is a second one is ``Again`` the cheaper way to find the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, cast

import zmq

# As plain ints: pyzmq's flags are enums, and combining or converting one costs as much as the call it is for.
NOBLOCK: Final = int(zmq.NOBLOCK)
EVENTS: Final = int(zmq.EVENTS)
POLLIN: Final = int(zmq.POLLIN)
POLLOUT: Final = int(zmq.POLLOUT)

# One drain's share. The frames bound what fits a listener's pipe back to one peer; the time bounds how long the rest of
# the loop waits when frames are expensive: a batch of 1,000 keys, or answers of megabytes, 10 ms each. A look at the clock is 0.08 us.
DRAIN_FRAMES: Final = 256
DRAIN_S: Final = 0.004


class DrainedSocket:
    """Owns ``socket`` and its reader on ``loop``. Subclasses say in `_receive_one` what becomes of a message."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_draining",
        "_events",
        "_fd",
        "_look_due",
        "_loop",
        "_recv",
        "_send",
        "_socket",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: zmq.Socket[bytes]) -> None:
        self._loop, self._socket = loop, socket
        self._closed = self._draining = self._look_due = False
        self._recv: Callable[[int], bytes] = socket.recv
        # Past zmq.Socket.send, which is Python and only handles options that are not used here: 0.4 us instead of 1.0.
        self._send: Callable[[bytes, int], object] = super(zmq.Socket, socket).send
        # Typed as int or bytes, by the option; every option asked for through this is an int.
        self._events = cast("Callable[[int], int]", socket.get)
        self._fd = self._events(zmq.FD)
        loop.add_reader(self._fd, self._drain)
        # Binding or connecting, before this, may have handled commands.
        self._look_again()

    def _receive_one(self) -> None:
        """Receive one message and deal with it. Raises `zmq.Again` where there is none, and nothing of a handler's."""
        raise NotImplementedError

    def _wants_room(self) -> bool:
        """Whether somebody waits for room, so that a drain also has to look for it."""
        return False

    def _on_events(self, events: int) -> None:
        """Called with what a look said, when there is nothing to receive."""

    def _drain(self) -> None:
        if self._closed:
            return
        more = self._drain_share()
        if not self._closed and (more or self._wants_room()):
            self._look_again()

    def _drain_share(self) -> bool:
        """Take one share of what has come. True: there may be more. Costs `_receive_one` a frame and one look."""
        receive_one, taken, until = self._receive_one, 0, time.monotonic() + DRAIN_S
        self._draining = True
        try:
            receive_one()
            if not self._events(EVENTS) & POLLIN:
                return False
            while True:
                receive_one()
                taken += 1
                if taken >= DRAIN_FRAMES or time.monotonic() > until:
                    return True
        except zmq.Again:
            return False
        except zmq.ZMQError:
            # A handler closed us: the socket's own functions say so from then on, which saves a question per frame.
            if not self._closed:
                raise
            return False
        finally:
            self._draining = False

    def _look_again(self) -> None:
        if not self._look_due:
            self._look_due = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._look_due = False
        if self._closed:
            return
        events = self._events(EVENTS)
        if events & POLLIN:
            self._drain()
        else:
            self._on_events(events)

    def _stop_reading(self) -> None:
        """Before the socket is closed: the number of a closed descriptor is the next one that the system gives out."""
        self._closed = True
        self._loop.remove_reader(self._fd)
