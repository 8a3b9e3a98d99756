"""What a transport is: frames of bytes between a listener and its connections, by callback, and nothing above that.

A transport knows no message, no key and no deadline. It promises:

- a frame arrives whole or not at all, and frames of one connection arrive in order;
- everything here is called on, and calls back on, the one event loop that made the transport;
- `Connection.send_nowait` never blocks: what cannot be handed over now is refused, and `on_writable` says when to try again;
- a connection that breaks is made again by the transport, with growing pauses; a frame sent on the broken one is not sent again;
- a listener's answer to a peer that is gone is dropped, to one that does not read is queued within a bound and then dropped.

Endpoints are URLs: ``tcp://host:port`` (port 0 asks the system for one when listening), ``ipc://path``, ``mem://name``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol


class TransportStatistics(NamedTuple):
    """A snapshot. Counters only grow, also past the closing of what they counted; the others say how it is now."""

    frames_in: int
    """Frames given to a handler."""
    frames_out: int
    """Frames handed over for sending; what was queued for a slow peer counts when it leaves the queue."""
    dropped: Mapping[str, int]
    """Frames dropped, by reason: ``peer gone``, ``peer slow``, ``shape``, ``oversize``, ``closed``."""
    connections: int
    """Connections that are ready now."""
    listeners: int
    """Listeners that are open now."""
    queued_bytes: int
    """Bytes that listeners hold for peers that do not read fast enough."""


class ConnectionHandler(Protocol):
    """What the user of a connection provides. None of these may raise; what one raises is logged, and no more.

    A frame that had arrived when the connection broke is delivered before `on_disconnected` wherever it was seen by
    then; rarely one comes after it. Users tell stale answers by their own request ids.
    """

    def on_connected(self) -> None:
        """The connection is ready; called again after each reconnect."""

    def on_disconnected(self, reason: str) -> None:
        """The connection was lost, or an attempt to make it failed. Frames sent and not answered have no answer coming.

        Called once for each loss and once for each failed attempt; the transport goes on trying.
        """

    def on_writable(self) -> None:
        """After `send_nowait` returned False: it is worth trying again. After `on_connected`, where both are due."""

    def on_frame(self, frame: bytes) -> None:
        """One whole frame from the listener."""


class Connection(Protocol):
    """The asking side: one per peer."""

    def send_nowait(self, frame: bytes) -> bool:
        """Hand the frame over; False when there is no connection, it is full or it is closed, and nothing was sent.

        Raises `ProtocolError` for a frame over the transport's limit: the peer would cut the connection for it.
        """

    def close(self) -> None:
        """Drop what was not sent and stop reconnecting. No callback comes after this. Idempotent.

        Raises `LifecycleError` from another loop or thread, or after a fork; so do all calls below but `send_nowait`.
        """


class BlockingConnection(Protocol):
    """The asking side for threads that wait, one at a time and in any thread: whoever uses it holds it. What is lost stays lost."""

    def hold_nowait(self) -> bool:
        """Have it for oneself; False where another has it, or it is closed. Only who holds it may send, receive, or ask `is_connected`."""

    def let_go(self) -> None:
        """The next one may have it."""

    def send_nowait(self, frame: bytes) -> bool:
        """Hand the frame over; False when it is not connected, full, or closed. Raises `ProtocolError` for a frame over the limit."""

    def receive(self) -> bytes | None:
        """The next frame; None where none came within some 20 ms, or none can come any more. Interruptions of the thread pass through."""

    def is_connected(self) -> bool:
        """Whether an answer can still come."""

    def close(self) -> None:
        """Whoever waits in it comes back. On the loop that made it. Idempotent."""


class Listener(Protocol):
    """The answering side."""

    @property
    def endpoint(self) -> str:
        """Where it is bound, with the real port."""

    def send_nowait(self, peer: bytes, frame: bytes) -> bool:
        """Answer one peer; False when the frame was dropped (the peer is gone or does not read, the frame is too large)."""

    def close(self) -> None:
        """Stop taking frames; what was already handed over still goes out for a moment. Idempotent.

        Does not wait. Where there was traffic the address is taken until that moment, a tenth of a second, has passed.
        """


class Transport(Protocol):
    """Makes listeners and connections on one event loop."""

    def connect(self, endpoint: str, handler: ConnectionHandler) -> Connection:
        """Begin connecting; returns at once. Raises `ConfigError` for an endpoint that cannot be understood."""

    def connect_blocking(self, endpoint: str) -> BlockingConnection | None:
        """The same for threads past the loop, which make do with `connect` where it gives None: this transport has no such thing.

        Its frames are not counted in `statistics`.
        """

    def listen(self, endpoint: str, on_frame: Callable[[bytes, bytes], None]) -> Listener:
        """Bind, and call ``on_frame(peer, frame)`` for every frame. ``peer`` is opaque and names one connection.

        Raises `ConfigError` when the address cannot be bound, naming it and the system's reason.
        """

    def statistics(self) -> TransportStatistics:
        """What it did and how it stands."""

    def close(self) -> None:
        """Close everything it made. Idempotent."""
