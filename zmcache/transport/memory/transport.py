"""MemoryTransport: makes listeners and connections on a `MemoryNetwork`, with the bounds of the real transport."""

from __future__ import annotations

from collections.abc import Callable

from zmcache.errors import ConfigError, LifecycleError
from zmcache.transport.base import ConnectionHandler, TransportStatistics
from zmcache.transport.memory.ends import MemoryConnection, MemoryListener, Shared
from zmcache.transport.memory.network import Registry

SCHEME = "mem://"
MIB = 1024 * 1024


class MemoryNetwork(Registry[MemoryListener]):
    """One wire, for any number of transports on one event loop. Its levers are `cut`, `heal`, `pause` and `resume`."""


class MemoryTransport:
    """See `Transport`. Made, used and closed on one running event loop."""

    def __init__(
        self, network: MemoryNetwork, *, max_message_bytes: int = 8 * MIB, queued_bytes_per_peer: int = 8 * MIB
    ) -> None:
        """Raises `LifecycleError` without a running event loop. See `ZmqTransport` for the bounds."""
        self._network = network
        self._shared = Shared(max_message_bytes, queued_bytes_per_peer)
        self._connections: list[MemoryConnection] = []
        self._listeners: list[MemoryListener] = []
        self._closed = False

    def connect(self, endpoint: str, handler: ConnectionHandler) -> MemoryConnection:
        """See `Transport.connect`."""
        self._check(endpoint)
        if endpoint == SCHEME:
            raise ConfigError(f"{endpoint}: expected mem://name")
        connection = MemoryConnection(self._shared, self._network, endpoint, handler)
        self._connections = [*(other for other in self._connections if not other.closed), connection]
        return connection

    def connect_blocking(self, endpoint: str) -> None:
        """See `Transport.connect_blocking`: frames travel by the loop alone."""

    def listen(self, endpoint: str, on_frame: Callable[[bytes, bytes], None]) -> MemoryListener:
        """See `Transport.listen`. ``mem://`` alone gets a name of its own, as port 0 gets a port."""
        self._check(endpoint)
        if endpoint == SCHEME:
            endpoint = f"{SCHEME}{self._network.next_number()}"
        listener = MemoryListener(self._shared, self._network, endpoint, on_frame)
        self._listeners = [*(other for other in self._listeners if not other.closed), listener]
        return listener

    def statistics(self) -> TransportStatistics:
        """See `Transport.statistics`."""
        shared = self._shared
        return TransportStatistics(
            shared.frames_in,
            shared.frames_out,
            dict(shared.dropped),
            shared.connections,
            sum(not listener.closed for listener in self._listeners),
            sum(listener.queued_bytes for listener in self._listeners),
        )

    def close(self) -> None:
        """See `Transport.close`."""
        self._shared.owner.check()
        self._closed = True
        for connection in self._connections:
            connection.close()
        for listener in self._listeners:
            listener.close()

    def _check(self, endpoint: str) -> None:
        self._shared.owner.check()
        if self._closed:
            raise LifecycleError("the transport is closed")
        if not endpoint.startswith(SCHEME):
            raise ConfigError(f"{endpoint}: expected mem://name")
