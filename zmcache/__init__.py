"""zmcache: a distributed in-memory cache that fills itself.

Nodes form a broker-less mesh over ZeroMQ, a consistent-hash ring gives each key one owner, and a missing key is loaded once in the
whole cluster, by its owner, however many ask. Read it through `connect`, or hold a `Node` in your own process.

The floor plan, from the bottom; imports go strictly down:

    errors.py       the tree of errors
    core/           pure: store and eviction, ring, flights, wire
    deadlines.py    one coarse timer for all that waits
    loading.py      calls of a loader under way: batches, limits, timeouts
    group.py        the way of a request, numbered; calls.py: what a program awaits
    loaders/        what a config names as a loader; transport/: frames over ZeroMQ or memory;
    discovery/      who the members are; config/: YAML to frozen structs
    peers/          channels to other nodes, kept in step with the ring
    node/, client/  beside each other: one serves, the other asks
    cli/            the commands

The way of a request, over the wire: transport -> core.wire.decode -> node.dispatch -> group.get_local -> store, or a flight -> loader.
In a program: group.get -> store, or a flight -> ours? loader : peers -> transport -> the owner's first door.
"""

from __future__ import annotations

import logging

from zmcache.calls import Group
from zmcache.client import Client, ClientGroup, Topology, make_client
from zmcache.core.calls import DEFAULT_TIMEOUT_S, Item
from zmcache.core.ring import Epoch, Member, Ring
from zmcache.core.wire import Limits
from zmcache.errors import (
    BackendError,
    Busy,
    ConfigError,
    DeadlineExceeded,
    DiscoveryError,
    InvalidKey,
    InvalidTtl,
    InvalidValue,
    LifecycleError,
    LoaderFailed,
    LoadTimeout,
    MeshError,
    OutcomeUnknown,
    PartialResult,
    PeerUnavailable,
    ProtocolError,
    RequestError,
    UnknownGroup,
    ValueTooLarge,
    ZmcacheError,
)
from zmcache.node import Node
from zmcache.transport.zeromq import ZmqTransport

# What a library logs is the program's to show: without this, warnings of a program that has set up no logging go to its standard error.
logging.getLogger("zmcache").addHandler(logging.NullHandler())


def connect(
    addresses: str,
    *,
    route: str = "owner",
    timeout: float = DEFAULT_TIMEOUT_S,
    connect_timeout: float = 5.0,
    busy_poll: float = 0.0,
    limits: Limits | None = None,
) -> Client:
    """A client of the cluster that the nodes at ``addresses`` (``"host:port,host:port"``) belong to. No I/O happens before ``async with``.

    route            ``"owner"``: learn the ring, send each key straight to its owner. ``"any"``: send everything to the given nodes
                     and let them fetch from each other; for clients that can reach only those.
    timeout          seconds that a call may take in all, a load by the owner included; each call can say otherwise.
    connect_timeout  seconds to find the first node that answers.
    busy_poll        seconds to poll the socket before sleeping while an answer is awaited. 0: none. About 150e-6 takes a third off the latency of
                     a lone caller and costs that much processor time a call; leave it off where the loop has other work.
    limits           the cluster's limits, where its config has others than the defaults.

    Raises `ConfigError` for a wrong argument; entering raises `PeerUnavailable` when no node answers.
    """
    limits = limits or Limits()
    return make_client(
        addresses,
        lambda: ZmqTransport(busy_poll_s=busy_poll, max_message_bytes=limits.message_bytes),
        route=route,
        timeout=timeout,
        connect_timeout=connect_timeout,
        limits=limits,
    )


__all__ = [
    "BackendError",
    "Busy",
    "Client",
    "ClientGroup",
    "ConfigError",
    "DeadlineExceeded",
    "DiscoveryError",
    "Epoch",
    "Group",
    "InvalidKey",
    "InvalidTtl",
    "InvalidValue",
    "Item",
    "LifecycleError",
    "Limits",
    "LoadTimeout",
    "LoaderFailed",
    "Member",
    "MeshError",
    "Node",
    "OutcomeUnknown",
    "PartialResult",
    "PeerUnavailable",
    "ProtocolError",
    "RequestError",
    "Ring",
    "Topology",
    "UnknownGroup",
    "ValueTooLarge",
    "ZmcacheError",
    "connect",
]
