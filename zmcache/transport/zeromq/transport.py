"""ZmqTransport: one libzmq context on one event loop, and everything that was made with it.

One context a transport and not one a process: nodes that live in one process stop independently, and closing one
cannot wait for the other's sockets. One I/O thread: with frames of 1 MiB it carried 236 MiB a second each
way, client, server and their I/O threads sharing two busy cores.
"""

from __future__ import annotations

import re
import socket as system_sockets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

import zmq

from zmcache.errors import ConfigError, LifecycleError
from zmcache.transport.base import ConnectionHandler, TransportStatistics
from zmcache.transport.owner import Owner
from zmcache.transport.zeromq.blocking import BlockingDealer
from zmcache.transport.zeromq.counters import Counters
from zmcache.transport.zeromq.dealer import DealerConnection
from zmcache.transport.zeromq.router import RouterListener
from zmcache.transport.zeromq.settings import Settings, set_dealer_options, set_router_options

# A connection takes three (the DEALER and both ends of its monitor); libzmq's own default, 1,023, ends at 340 peers. The
# whole context with this many places takes half a MiB. The process's limit on open files comes first: a connection takes four descriptors.
MAX_SOCKETS = 16_384

_DEFAULTS = Settings()
_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")
_NUMERIC = re.compile(r"\*|\[.*\]|\d+\.\d+\.\d+\.\d+")


class ZmqTransport:
    """See `Transport`. Made, used and closed on one running event loop.

    ``busy_poll_s`` (seconds, 0.0: never): how long a connection that waits for an answer asks again and again instead of
    sleeping. Trades a busy processor for latency: worth it for a program with few callers and a core to spare; 150e-6
    is about one answer's time on a local network. Does nothing where many requests are in flight, nor when idle.
    ``max_message_bytes``: larger incoming messages end their connection, larger outgoing ones are refused. The same on
    all nodes and clients.
    ``queued_bytes_per_peer``: what a listener keeps for a peer that reads slowly, before it drops answers. Not below
    one largest message.
    """

    def __init__(
        self,
        *,
        busy_poll_s: float = _DEFAULTS.busy_poll_s,
        max_message_bytes: int = _DEFAULTS.max_message_bytes,
        queued_bytes_per_peer: int = _DEFAULTS.queued_bytes_per_peer,
        listener_linger_s: float = _DEFAULTS.listener_linger_ms / 1000,
    ) -> None:
        """Raises `LifecycleError` without a running event loop. ``listener_linger_s``: see `close`."""
        self._owner = Owner()
        self._settings = Settings(
            busy_poll_s, max_message_bytes, queued_bytes_per_peer, listener_linger_ms=int(listener_linger_s * 1000)
        )
        self._counters = Counters()
        self._closed = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
        # So that close() can close them. The loop's reader holds the open ones; the closed ones go when their users do.
        self._made: WeakSet[BlockingDealer | DealerConnection | RouterListener] = WeakSet()

    def connect(self, endpoint: str, handler: ConnectionHandler) -> DealerConnection:
        """See `Transport.connect`."""
        self._check_open()
        host = _host_of(endpoint, lowest_port=1)
        socket = self._socket(zmq.DEALER)
        with _closed_on_failure(socket, f"connect to {endpoint}"):
            set_dealer_options(socket, self._settings, host)
            connection = DealerConnection(
                self._owner, self._context, socket, endpoint, handler, self._settings, self._counters
            )
        self._made.add(connection)
        return connection

    def connect_blocking(self, endpoint: str) -> BlockingDealer:
        """See `Transport.connect_blocking`."""
        self._check_open()
        host = _host_of(endpoint, lowest_port=1)
        socket = self._socket(zmq.DEALER)
        with _closed_on_failure(socket, f"connect to {endpoint}"):
            connection = BlockingDealer(socket, endpoint, self._settings, host)
        self._made.add(connection)
        return connection

    def listen(self, endpoint: str, on_frame: Callable[[bytes, bytes], None]) -> RouterListener:
        """See `Transport.listen`."""
        self._check_open()
        host = _host_of(endpoint, lowest_port=0)
        socket = self._socket(zmq.ROUTER)
        with _closed_on_failure(socket, f"listen on {endpoint}"):
            set_router_options(socket, self._settings, host)
            _check_free(endpoint)
            socket.bind(_bindable(endpoint, host))
            bound = socket.getsockopt_string(zmq.LAST_ENDPOINT)
            listener = RouterListener(self._owner, socket, bound, on_frame, self._settings, self._counters)
        self._made.add(listener)
        return listener

    def statistics(self) -> TransportStatistics:
        """See `Transport.statistics`."""
        return self._counters.snapshot()

    def close(self) -> None:
        """See `Transport.close`. Answers already handed over have ``listener_linger_s`` to leave, without a wait here."""
        self._owner.check()
        if self._closed:
            return
        self._closed = True
        for made in list(self._made):
            made.close()
        # Waits for what lingers, so not on the loop. Not a daemon: a process that exits now gives it that moment. It would
        # wait for ever for a socket that nobody closes, hence `_closed_on_failure`.
        threading.Thread(target=self._context.term, name="zmcache-transport-close").start()

    def _socket(self, kind: int) -> zmq.Socket[bytes]:
        try:
            return self._context.socket(kind)
        except zmq.ZMQError as exc:
            raise ConfigError(f"no more sockets: {exc.strerror}; raise the limit on open files (ulimit -n)") from exc

    def _check_open(self) -> None:
        self._owner.check()
        if self._closed:
            raise LifecycleError("the transport is closed")


@contextmanager
def _closed_on_failure(socket: zmq.Socket[bytes], doing: str) -> Iterator[None]:
    """Close a socket of which nothing came, and turn libzmq's error into `ConfigError`."""
    try:
        yield
    except zmq.ZMQError as exc:
        socket.close(0)
        raise ConfigError(f"cannot {doing}: {exc.strerror}") from exc
    except BaseException:
        socket.close(0)
        raise


def _host_of(endpoint: str, *, lowest_port: int) -> str:
    """The host of a tcp endpoint, empty for ipc. Raises `ConfigError` where libzmq would say only "Invalid argument"."""
    if endpoint.startswith("ipc://") and len(endpoint) > len("ipc://"):
        return ""
    match = _TCP.fullmatch(endpoint)
    if not match or not lowest_port <= int(match["port"]) <= 65_535:
        raise ConfigError(f"{endpoint}: expected tcp://host:port (an IPv6 address in brackets) or ipc://path")
    return match["host"]


def _check_free(endpoint: str) -> None:
    """Raises `ConfigError` where somebody listens at a socket's path: libzmq would remove the file and take over what is asked there.

    Whoever takes the path between this look and the bind is still overtaken. A file that nobody listens on, left by a process that has ended,
    is in nobody's way. The system itself refuses a name behind ``@``, which is no file, when it is taken.
    """
    path = endpoint.removeprefix("ipc://")
    if path == endpoint or path.startswith("@"):
        return
    with system_sockets.socket(system_sockets.AF_UNIX) as probe:
        probe.setblocking(False)  # a full backlog is an answer as well
        try:
            probe.connect(path)
        except BlockingIOError:
            pass
        except OSError:
            return  # nobody there; or a path that cannot be, of which libzmq says more
    raise ConfigError(f"cannot listen on {endpoint}: Address already in use")


def _bindable(endpoint: str, host: str) -> str:
    """With the host as a number: libzmq connects to names but binds only to numbers and names of interfaces.

    Asks the resolver on the loop, for as long as that takes; a node listens once, before it serves.
    """
    if not host or _NUMERIC.fullmatch(host):
        return endpoint
    try:
        found = system_sockets.getaddrinfo(host, None, system_sockets.AF_INET, system_sockets.SOCK_STREAM)
    except OSError:
        return endpoint  # the name of an interface, perhaps: libzmq decides
    return endpoint.replace(host, str(found[0][4][0]), 1)
