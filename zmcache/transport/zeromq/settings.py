"""The limits and pauses of the transport, and the libzmq options that they become.

Everything that is set on a socket is set here, before it binds or connects: libzmq takes most options only then.
"""

from __future__ import annotations

from typing import NamedTuple

import zmq

MIB = 1024 * 1024


class Settings(NamedTuple):
    """See `ZmqTransport` for the ones that its users choose; the others have one good value."""

    busy_poll_s: float = 0.0
    max_message_bytes: int = 8 * MIB
    queued_bytes_per_peer: int = 8 * MIB
    # What was answered before close still leaves; a peer that does not read cannot hold the process longer than this.
    listener_linger_ms: int = 500
    # Messages, not bytes: libzmq counts nothing else. A connection's are bounded in bytes by the layer that counts its
    # requests; a listener's pipe to a peer that does not read is not, so it is short, and what exceeds it waits in an
    # `Outbox`, which counts bytes. 256 is the most frames one drain takes, so a burst answered in one drain fits.
    connection_hwm: int = 1000
    listener_hwm: int = 256
    reconnect_ms: int = 100
    # Not longer: until it is connected again a node that is back is behind, and what it was told last is still read there (P9).
    reconnect_max_ms: int = 1_000
    handshake_ms: int = 5_000
    connect_timeout_ms: int = 1_000
    # The peer's I/O thread answers these, so a busy or stopped event loop passes and a dead host does not.
    heartbeat_ms: int = 1_000
    heartbeat_timeout_ms: int = 3_000
    unacknowledged_ms: int = 3_000


def _common(socket: zmq.Socket[bytes], settings: Settings, host: str) -> None:
    socket.setsockopt(zmq.MAXMSGSIZE, settings.max_message_bytes)
    socket.setsockopt(zmq.HANDSHAKE_IVL, settings.handshake_ms)
    # For hosts that vanish without a word, below ZMTP's own heartbeats: half-open connections end within a minute.
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 10)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
    # What the other end's kernel has not acknowledged by then is given up with the connection. The system would try for minutes, even when
    # the socket is closed: a set that nobody waits for any more was carried out when a cut had healed, and took the place of newer ones.
    socket.setsockopt(zmq.TCP_MAXRT, settings.unacknowledged_ms)
    # Only where the address needs it: with it libzmq resolves names to IPv6 first, and machines without it fail.
    if host.startswith("["):
        socket.setsockopt(zmq.IPV6, 1)


def set_dealer_options(socket: zmq.Socket[bytes], settings: Settings, host: str) -> None:
    """Make ``socket`` an asking side: nothing is queued for a peer that is not there."""
    _common(socket, settings, host)
    # Without IMMEDIATE requests pile up for a peer that is down, and it gets them, stale, when it comes back.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, settings.connection_hwm)
    socket.setsockopt(zmq.RCVHWM, settings.connection_hwm)
    socket.setsockopt(zmq.RECONNECT_IVL, settings.reconnect_ms)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, settings.reconnect_max_ms)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, settings.connect_timeout_ms)
    socket.setsockopt(zmq.HEARTBEAT_IVL, settings.heartbeat_ms)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, settings.heartbeat_timeout_ms)
    # Tells the listener to give up a connection on which these beats stop, so that it needs no beats of its own.
    socket.setsockopt(zmq.HEARTBEAT_TTL, 2 * settings.heartbeat_timeout_ms)


def set_router_options(socket: zmq.Socket[bytes], settings: Settings, host: str) -> None:
    """Make ``socket`` an answering side that says so when an answer cannot be delivered.

    ROUTER_HANDOVER stays off: with it a second client that claims an identity is handed the first one's answers.
    """
    _common(socket, settings, host)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.LINGER, settings.listener_linger_ms)
    socket.setsockopt(zmq.SNDHWM, settings.listener_hwm)
    socket.setsockopt(zmq.RCVHWM, settings.listener_hwm)
