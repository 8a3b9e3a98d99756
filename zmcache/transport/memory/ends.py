"""The two ends of a link between a connection and a listener of the twin.

A link has two lanes, each bounded in bytes. The connection owns the link and moves both lanes in one callback (`pump`);
the listener knows the link by the peer's name. A link that is lost takes its lanes with it: nothing that was on the way
is delivered on the next one.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable

from zmcache.errors import ProtocolError
from zmcache.transport.base import ConnectionHandler
from zmcache.transport.memory.network import Registry
from zmcache.transport.owner import Owner
from zmcache.transport.quietlog import QuietLog

_log = QuietLog(logging.getLogger(__name__))


class Shared:
    """What the ends of one transport have in common: its owner, its bounds in bytes, its counters."""

    __slots__ = ("connections", "dropped", "frames_in", "frames_out", "max_message_bytes", "owner", "queued_bytes")

    def __init__(self, max_message_bytes: int, queued_bytes: int) -> None:
        self.owner = Owner()
        self.max_message_bytes, self.queued_bytes = max_message_bytes, queued_bytes
        self.frames_in = self.frames_out = self.connections = 0
        self.dropped: Counter[str] = Counter()


class _Lane:
    """Frames one way. An empty lane takes one frame of any size."""

    __slots__ = ("_limit_bytes", "frames", "held_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.frames: deque[bytes] = deque()
        self.held_bytes = 0

    def push(self, frame: bytes) -> bool:
        if self.frames and self.held_bytes + len(frame) > self._limit_bytes:
            return False
        self.frames.append(frame)
        self.held_bytes += len(frame)
        return True

    def pop(self) -> bytes:
        frame = self.frames.popleft()
        self.held_bytes -= len(frame)
        return frame


class _Link:
    __slots__ = ("answers", "asks", "listener", "peer")

    def __init__(self, listener: MemoryListener, peer: bytes, limit_bytes: int) -> None:
        self.listener, self.peer = listener, peer
        self.asks = _Lane(limit_bytes)
        self.answers = _Lane(listener.limit_bytes)


class MemoryConnection:
    """See `Connection`. What follows `close` is for the network and the listener."""

    def __init__(
        self, shared: Shared, network: Registry[MemoryListener], endpoint: str, handler: ConnectionHandler
    ) -> None:
        self.endpoint = endpoint
        self._shared, self._network, self._handler = shared, network, handler
        self._link: _Link | None = None
        self.closed = self._refused = self._pump_due = self._attempt_due = False
        network.add_asking(self)
        self.attempt_soon()

    def send_nowait(self, frame: bytes) -> bool:
        """See `Connection.send_nowait`."""
        if self._link is None:
            self._refused = True
            return False
        if len(frame) > self._shared.max_message_bytes:
            raise ProtocolError(f"a frame of {len(frame)} bytes, limit {self._shared.max_message_bytes}")
        if not self._link.asks.push(frame):
            self._refused = True
            return False
        self._shared.frames_out += 1
        self.pump_soon()
        return True

    def close(self) -> None:
        """See `Connection.close`."""
        self._shared.owner.check()
        if not self.closed:
            self.closed = True
            self._drop_link()
            self._network.remove_asking(self)

    def attempt_soon(self) -> None:
        """See `AskingEnd`."""
        if not self._attempt_due and self._link is None and not self.closed:
            self._attempt_due = True
            self._shared.owner.loop.call_soon(self._attempt)

    def lose(self) -> None:
        """See `AskingEnd`. Its user hears of it in the next pass of the loop."""
        if self._link is not None:
            self._drop_link()
            self._shared.owner.loop.call_soon(self._report, "the connection was lost")
            self.attempt_soon()

    def pump_soon(self) -> None:
        """See `AskingEnd`."""
        if not self._pump_due:
            self._pump_due = True
            self._shared.owner.loop.call_soon(self._pump)

    def deliver_answers(self) -> None:
        """Give the user what has arrived, and not what is added meanwhile. A callback may end the link."""
        link = self._link
        for _ in range(len(link.answers.frames) if link else 0):
            if link is None or self._link is not link:
                return
            self._shared.frames_in += 1
            _guarded(self.endpoint, self._handler.on_frame, link.answers.pop())

    def _pump(self) -> None:
        self._pump_due = False
        link = self._link
        if link is None or self._network.is_paused(self.endpoint):
            return
        for _ in range(len(link.asks.frames)):
            # Asked each time: a callback may have ended the link.
            if self._link is not link:
                return
            link.listener.deliver(link.peer, link.asks.pop())
        self.deliver_answers()
        if self._link is not link:
            return
        if link.asks.frames or link.answers.frames:
            self.pump_soon()
        if self._refused:
            self._refused = False
            _guarded(self.endpoint, self._handler.on_writable)

    def _attempt(self) -> None:
        self._attempt_due = False
        if self.closed or self._link is not None:
            return
        listener = self._network.reachable(self.endpoint)
        if listener is None:
            self._report("the attempt to connect failed")
            return
        peer = b"%d" % self._network.next_number()
        self._link = _Link(listener, peer, self._shared.max_message_bytes)
        self._shared.connections += 1
        listener.attach(peer, self, self._link.answers)
        _guarded(self.endpoint, self._handler.on_connected)
        self.pump_soon()

    def _drop_link(self) -> None:
        if self._link is not None:
            self._link.listener.detach(self._link.peer)
            self._link = None
            self._shared.connections -= 1

    def _report(self, reason: str) -> None:
        if not self.closed:
            _guarded(self.endpoint, self._handler.on_disconnected, f"{self.endpoint}: {reason}")


class MemoryListener:
    """See `Listener`. What follows `close` is for connections."""

    def __init__(
        self,
        shared: Shared,
        network: Registry[MemoryListener],
        endpoint: str,
        on_frame: Callable[[bytes, bytes], None],
    ) -> None:
        self.endpoint = endpoint
        self._shared, self._network, self._on_frame = shared, network, on_frame
        self._peers: dict[bytes, tuple[MemoryConnection, _Lane]] = {}
        self.closed = False
        network.add_listener(self)

    def send_nowait(self, peer: bytes, frame: bytes) -> bool:
        """See `Listener.send_nowait`."""
        if len(frame) > self._shared.max_message_bytes:
            return self._dropped("oversize")
        if self.closed:
            return self._dropped("closed")
        if peer not in self._peers:
            return self._dropped("peer gone")
        connection, answers = self._peers[peer]
        if not answers.push(frame):
            return self._dropped("peer slow")
        self._shared.frames_out += 1
        connection.pump_soon()
        return True

    def close(self) -> None:
        """See `Listener.close`. What was answered is on its way, and arrives before the loss is reported."""
        self._shared.owner.check()
        if self.closed:
            return
        self.closed = True
        if not self._network.is_paused(self.endpoint):
            for connection, _ in list(self._peers.values()):
                connection.deliver_answers()
        self._network.remove_listener(self)

    @property
    def limit_bytes(self) -> int:
        """How much may wait for one peer."""
        return self._shared.queued_bytes

    @property
    def queued_bytes(self) -> int:
        """How much waits now, for all peers."""
        return sum(answers.held_bytes for _, answers in self._peers.values())

    def attach(self, peer: bytes, connection: MemoryConnection, answers: _Lane) -> None:
        """A link was made; ``peer`` names it from now on."""
        self._peers[peer] = (connection, answers)

    def detach(self, peer: bytes) -> None:
        """The link is gone."""
        self._peers.pop(peer, None)

    def deliver(self, peer: bytes, frame: bytes) -> None:
        """A frame has arrived."""
        self._shared.frames_in += 1
        _guarded(self.endpoint, self._on_frame, peer, frame)

    def _dropped(self, reason: str) -> bool:
        self._shared.dropped[reason] += 1
        return False


def _guarded(endpoint: str, callback: Callable[..., None], *args: object) -> None:
    try:
        callback(*args)
    except Exception:
        _log.warning("handler", "a handler of %s raised; going on", endpoint, exc_info=True)
