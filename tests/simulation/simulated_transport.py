"""The ends of links between simulated processes: a `Transport` of zmcache over a simulated `Network`.

A connection that could not be made, or broke, is tried again with growing pauses. Making one needs both ways, a listener, and a process that runs:
one that is stopped accepts it, in its kernel, and then says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulated_network import Link, Network
from virtual_time import ProcessLoop

from zmcache.errors import ConfigError, ProtocolError
from zmcache.transport.base import ConnectionHandler, TransportStatistics

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 1.0
HANDSHAKE_S: Final = 5.0


class SimulatedConnection:
    """See `zmcache.transport.base.Connection`."""

    def __init__(
        self, network: Network, process: ProcessLoop, endpoint: str, handler: ConnectionHandler, limit: int
    ) -> None:
        self.network, self.process, self.endpoint, self._handler, self._limit = (
            network,
            process,
            endpoint,
            handler,
            limit,
        )
        self.closed = self._refused = False
        self._link: Link | None = None
        self._pause_s = FIRST_PAUSE_S
        network.world.after(0.0, self._attempt)

    def send_nowait(self, frame: bytes) -> bool:
        if len(frame) > self._limit:
            raise ProtocolError(f"a frame of {len(frame)} bytes, limit {self._limit}")
        if self._link is None or not self._link.lanes[0].send(frame):
            self._refused = True
            return False
        return True

    def close(self) -> None:
        self.closed = True
        if self._link is not None:
            self._link.end_from(self.process)
            self._link = None

    # -- for the link ----------------------------------------------------------------------------------------------

    def deliver(self, frame: bytes) -> None:
        if not self.closed:
            self._handler.on_frame(frame)

    def lost(self, link: Link, reason: str) -> None:
        if self._link is link:
            self._link = None
            self._report(reason)
            self._try_again()

    def tell_writable(self) -> None:
        if self._refused and self._link is not None and not self.closed:
            self._refused = False
            self.process.arrive(self._handler.on_writable)

    # -- making it ---------------------------------------------------------------------------------------------------

    def _attempt(self) -> None:
        if self.closed or self.process.dead:
            return
        network, here = self.network, self.process.name
        listener = network.listeners.get(self.endpoint)
        if self.process.stopped:
            network.world.after(0.1, self._attempt)
        elif listener is None:
            network.world.after(network.delay(here, self.endpoint), self._failed, "refused")
        elif network.is_cut(here, listener.process.name) or network.is_cut(listener.process.name, here):
            network.world.after(CONNECT_TIMEOUT_S, self._failed, "timed out")
        else:
            there = listener.process.name
            round_s = network.delay(here, there) + network.delay(there, here)
            network.world.after(round_s, self._shake_hands, listener, network.world.now + HANDSHAKE_S)

    def _shake_hands(self, listener: SimulatedListener, until_s: float) -> None:
        network, here, there = self.network, self.process.name, listener.process.name
        if self.closed or self.process.dead:
            return
        if listener.closed or network.world.now >= until_s:
            self._failed("no handshake")
        elif (
            self.process.stopped
            or listener.process.stopped
            or network.is_cut(here, there)
            or network.is_cut(there, here)
        ):
            network.world.after(0.05, self._shake_hands, listener, until_s)
        else:
            self._pause_s = FIRST_PAUSE_S
            self._link = Link(network, self, listener)
            listener.peers[self._link.peer] = self._link
            self.process.arrive(self._handler.on_connected)
            self.tell_writable()

    def _failed(self, reason: str) -> None:
        self._report(reason)
        self._try_again()

    def _try_again(self) -> None:
        if not self.closed:
            self.network.world.after(self._pause_s, self._attempt)
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)

    def _report(self, reason: str) -> None:
        self.process.arrive(
            lambda: None if self.closed else self._handler.on_disconnected(f"{self.endpoint}: {reason}")
        )


class SimulatedListener:
    """See `zmcache.transport.base.Listener`."""

    def __init__(
        self,
        network: Network,
        process: ProcessLoop,
        endpoint: str,
        on_frame: Callable[[bytes, bytes], None],
        limit: int,
    ) -> None:
        if endpoint in network.listeners:
            raise ConfigError(f"cannot listen on {endpoint}: Address already in use")
        self.network, self.process, self.endpoint, self._on_frame, self._limit = (
            network,
            process,
            endpoint,
            on_frame,
            limit,
        )
        self.closed = False
        self.peers: dict[bytes, Link] = {}
        network.listeners[endpoint] = self

    def send_nowait(self, peer: bytes, frame: bytes) -> bool:
        link = self.peers.get(peer)
        return link is not None and not self.closed and len(frame) <= self._limit and link.lanes[1].send(frame)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            del self.network.listeners[self.endpoint]
            for link in self.peers.values():
                link.end_from(self.process, lingers=True)

    def deliver(self, peer: bytes, frame: bytes) -> None:
        if not self.closed:
            self._on_frame(peer, frame)


class SimulatedTransport:
    """See `zmcache.transport.base.Transport`."""

    def __init__(self, network: Network, process: ProcessLoop, *, max_message_bytes: int = 8 << 20) -> None:
        self._network, self._process, self._limit = network, process, max_message_bytes
        self._ends: list[SimulatedConnection | SimulatedListener] = []

    def connect(self, endpoint: str, handler: ConnectionHandler) -> SimulatedConnection:
        connection = SimulatedConnection(self._network, self._process, endpoint, handler, self._limit)
        self._ends.append(connection)
        return connection

    def listen(self, endpoint: str, on_frame: Callable[[bytes, bytes], None]) -> SimulatedListener:
        listener = SimulatedListener(self._network, self._process, endpoint, on_frame, self._limit)
        self._ends.append(listener)
        return listener

    def connect_blocking(self, endpoint: str) -> None:
        """Frames travel by the simulation's loop alone."""

    def statistics(self) -> TransportStatistics:
        return TransportStatistics(0, 0, {}, 0, 0, 0)

    def close(self) -> None:
        for end in self._ends:
            end.close()
