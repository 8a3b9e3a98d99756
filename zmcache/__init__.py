"""zmcache: a distributed in-memory cache that fills itself.

Nodes form a broker-less mesh over ZeroMQ, a consistent-hash ring gives each key one owner, and a missing key is loaded once in the
whole cluster, by its owner, however many ask. Read it through `connect`, or hold a `Node` in your own process.

The floor plan, from the bottom; imports go strictly down:

    errors.py       the tree of errors
    core/           pure: store and eviction, ring, flights, wire
    codecs/         what values are in a program, against bytes; tracing.py: the trace that a call belongs to
    deadlines.py    one coarse timer for all that waits
    cache/          the library that programs call, the same whatever is behind it
    loading.py      calls of a loader under way; leasing.py: values that callers make; changing.py: what a set, a cas, an incr does;
                    copying.py: who is sent a copy of it, and when it is acknowledged
    peering.py      what a group asks of the other nodes; explaining.py: what is known of a key; strays.py: keys that are others' to hold
    shard.py        what a node holds of a group, in parts; on them work readthrough.py (a load), asking.py (a question to an owner),
                    writing.py (a write) and holding.py (handing over and the rest that is no request)
    group.py        the way of a request, numbered; calls.py: what an embedding program awaits
    loaders/        what a config names as a loader; transport/: frames over ZeroMQ or memory;
    discovery/      who the members are; config/: YAML to frozen structs
    peers/          channels to other nodes, kept in step with the ring
    node/, client/  beside each other: one serves, the other asks; inprocess.py: both in one, mem://; here.py: with no socket between
    connecting.py   from an address to one of them; sync/: the same for threads
    testing/        for users' tests: a cluster in one process, and a clock that can be moved
    cli/            the commands
    contrib/        adapters to other frameworks, which nothing else here knows

The way of a request, over the wire: transport -> core.wire.decode -> node.dispatch -> group.get_local -> store, or a flight -> loader.
In a program: group.get -> store, or a flight -> ours? loader : peers -> transport -> the owner's first door.
"""

from __future__ import annotations

import logging

from zmcache.cache import Cache, Cached, CacheGroup, Topology, Update
from zmcache.calls import Group
from zmcache.client import Client
from zmcache.codecs import Codec
from zmcache.connecting import connect
from zmcache.core.calls import Item
from zmcache.core.explained import Explanation
from zmcache.core.ring import Epoch, Member, Ring
from zmcache.core.wire import Limits
from zmcache.errors import (
    BackendError,
    Busy,
    ConfigError,
    DeadlineExceeded,
    DiscoveryError,
    InvalidKey,
    InvalidTag,
    InvalidTtl,
    InvalidValue,
    LifecycleError,
    LoaderFailed,
    LoadTimeout,
    MeshError,
    NotAllTold,
    OutcomeUnknown,
    PartialResult,
    PeerUnavailable,
    ProtocolError,
    RecursiveFill,
    RequestError,
    TooFewCopies,
    UnknownGroup,
    ValueTooLarge,
    ZmcacheError,
)
from zmcache.node import Node
from zmcache.tracing import trace_context, traceparent

# What a library logs is the program's to show: without this, warnings of a program that has set up no logging go to its standard error.
logging.getLogger("zmcache").addHandler(logging.NullHandler())


__all__ = [
    "BackendError",
    "Busy",
    "Cache",
    "CacheGroup",
    "Cached",
    "Client",
    "Codec",
    "ConfigError",
    "DeadlineExceeded",
    "DiscoveryError",
    "Epoch",
    "Explanation",
    "Group",
    "InvalidKey",
    "InvalidTag",
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
    "NotAllTold",
    "OutcomeUnknown",
    "PartialResult",
    "PeerUnavailable",
    "ProtocolError",
    "RecursiveFill",
    "RequestError",
    "Ring",
    "TooFewCopies",
    "Topology",
    "UnknownGroup",
    "Update",
    "ValueTooLarge",
    "ZmcacheError",
    "connect",
    "trace_context",
    "traceparent",
]
