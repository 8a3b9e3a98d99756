"""What a config file says, as frozen data: the names carry the units, the file's own spelling stands in ``name=``.

These structs are also the specification of the files: the reader, the environment overrides and the JSON schema all
walk them. Built by hand, from Python, they are taken as they are; `zmcache.config.parse_node` is what checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from zmcache.config.rules import (
    BatchSize,
    Beta,
    Budget,
    BusyPoll,
    ClusterEtcd,
    Copies,
    Count,
    Duration,
    Endpoint,
    Flag,
    Folder,
    HostPorts,
    HotShare,
    ItemShare,
    Jitter,
    Lease,
    Listen,
    Name,
    NodeId,
    Policy,
    Query,
    Section,
    Size,
    Slots,
    Span,
    Target,
    Url,
    Weight,
    Written,
    Zone,
)  # fmt: skip
from zmcache.core import eviction
from zmcache.core.ring import Member
from zmcache.core.wire import Limits
from zmcache.errors import ConfigError

MIB = 2**20


class ImportLoader(Section, frozen=True, kw_only=True):
    """A loader that is a Python function, named by its import path.

    ``batch``: it takes a list of at most ``max_batch`` keys and returns a mapping; else it takes one key.
    """

    target: Target
    batch: Flag = False
    max_batch: BatchSize = 100


class SqlLoader(Section, frozen=True, kw_only=True):
    """A loader that is a database and a query of key and value, with ``IN :keys`` in it."""

    url: Url
    query: Query
    max_batch: BatchSize = 100

    def __repr__(self) -> str:
        """Without the URL, which may hold a password."""
        return f"SqlLoader(query={self.query!r}, max_batch={self.max_batch})"


class _LoaderSection(Section, frozen=True, kw_only=True):
    """How a file names a loader: an import path, or a database."""

    import_: Target | None = field(default=None, name="import")
    batch: Flag = False
    max_batch: BatchSize | None = None
    sql: SqlLoader | None = None

    def make(self) -> ImportLoader | SqlLoader:
        if (self.import_ is None) == (self.sql is None):
            raise ValueError("expected either `import` or `sql`, found " + ("both" if self.sql else "neither"))
        if self.sql is not None:
            if self.batch or self.max_batch is not None:
                raise ValueError("expected only `sql`, with max_batch inside it, found batch or max_batch beside it")
            return self.sql
        assert self.import_ is not None
        if self.max_batch is not None and not self.batch:
            raise ValueError("expected `batch: true` where max_batch is given, found no batch")
        return ImportLoader(target=self.import_, batch=self.batch, max_batch=self.max_batch or 100)


class GroupConfig(Section, frozen=True, kw_only=True):
    """One group: a cache of its own. Every node of a cluster must say the same of a group."""

    budget_bytes: Budget = field(default=64 * MIB, name="budget")
    """This node's memory for the group's entries, what each of them costs besides key and value included."""
    ttl_s: Span | None = field(default=None, name="ttl")
    """How long a loaded value lives. None: until it is evicted or deleted."""
    ttl_jitter: Jitter = 0.05
    """The fraction by which lives are shortened at random, so that what was loaded together does not expire together."""
    negative_ttl_s: Duration = field(default=5.0, name="negative_ttl")
    """How long "no such key" is remembered; 0: not at all."""
    policy: Policy = eviction.DEFAULT
    """Whom to evict when the budget is full."""
    loader: Annotated[
        ImportLoader | SqlLoader | None,
        Written(_LoaderSection, _LoaderSection.make, {"oneOf": [{"required": ["import"]}, {"required": ["sql"]}]}),
    ] = None
    """What fetches a missing key. None: what was not set is not there."""
    load_timeout_s: Span = field(default=5.0, name="load_timeout")
    """How long one call of the loader may take."""
    max_loads: Slots = 16
    """Calls of the loader at once on this node: the threads or connections that the backend sees from it."""
    max_queued: Count = 10_000
    """Keys that may wait for a call; what comes beyond is refused as busy."""
    item_share: ItemShare = 0.25
    """The part of the budget that one entry may cost; a larger value is refused, and nothing is evicted for it."""
    hot_share: HotShare = 0.125
    """The part of the budget for copies of popular keys that other nodes own; 0: none."""
    hot_ttl_s: Span = field(default=1.0, name="hot_ttl")
    """How long such a copy lives: how long a set or a delete elsewhere may go unseen here where its owner cannot tell of it."""
    moved_ttl_s: Duration = field(default=10.0, name="moved_ttl")
    """How long a copy lives of a key that the ring has moved to another node, once that node has been given it."""
    refresh_beta: Beta = 0.0
    """How early a value that is asked for is made anew before its life ends, by XFetch: 1 is the paper's optimum, more is earlier; 0: at its end."""
    copies: Copies = 1
    """How many nodes hold each value. 2: a node may die and nothing is lost nor loaded again, for twice the memory."""
    acks: Copies = 1
    """How many of them have to hold a set before it is acknowledged; an acknowledged set survives that many crashes, less one."""


class NodeSettings(Section, frozen=True, kw_only=True):
    """One process of the mesh: where it is, and how it starts and stops."""

    id: NodeId = ""
    """Its name, stable across restarts. Where the file gives none it is made from the advertised endpoint; empty only
    while a port of 0 is not bound yet."""
    listen: Listen = "tcp://127.0.0.1:7401"
    """The endpoint that it binds; port 0 asks the system for one."""
    advertise: Endpoint | None = None
    """The endpoint that the others reach it at. None: the one it binds."""
    weight: Weight = 1.0
    """Its share of the keys relative to the others; 1.0 is one ordinary node."""
    zone: Zone = ""
    """Where it stands (a rack, a data centre): copies of a value go to different zones first."""
    drain_timeout_s: Duration = field(default=30.0, name="drain_timeout")
    """How long a stop may take to hand over what the node holds, and to finish what is in flight."""
    join_timeout_s: Duration = field(default=30.0, name="join_timeout")
    """How long a start waits to be handed over what the node is to hold, before it serves all the same; 0: it serves at once, empty."""
    handover_rate_bytes: Size = field(default=64 * MIB, name="handover_rate")
    """How many bytes a second the node sends at the most when it hands over. Less is gentler to those who ask meanwhile, and takes longer."""
    start_timeout_s: Duration = field(default=30.0, name="start_timeout")
    """How long a start tries to reach etcd before it gives up."""
    state_dir: Folder | None = None
    """The folder for what it remembers across restarts. None: nothing. Relative to the config file's own folder."""
    busy_poll_s: BusyPoll = field(default=0.0, name="busy_poll")
    """How long the loop polls its sockets before it sleeps, while something is in flight; 0: not at all."""

    @property
    def endpoint(self) -> str:
        """Where the others reach it; its port is 0 where the one to bind is not known yet."""
        return self.advertise or self.listen

    def member(self) -> Member:
        """The node as the others see it."""
        return Member(self.id, self.endpoint, self.weight, self.zone)


class _MemberSection(Section, frozen=True, kw_only=True):
    """One member of a static list."""

    id: NodeId
    endpoint: Endpoint
    weight: Weight = 1.0
    zone: Zone = ""

    def make(self) -> Member:
        return Member(self.id, self.endpoint, self.weight, self.zone)


class DiscoverySettings(Section, frozen=True, kw_only=True):
    """How the nodes find each other: exactly one of ``etcd`` and ``static``; neither means this node alone."""

    etcd: HostPorts | None = None
    """The etcd servers, each as host:port; any of them will do."""
    lease_s: Lease = field(default=10.0, name="lease")
    """With etcd: how soon a node that died without a word leaves the ring."""
    static: tuple[Annotated[Member, Written(_MemberSection, _MemberSection.make)], ...] | None = None
    """All members, this node among them; the same list on each of them. Where a file gives none: this node alone, or
    empty while its port is not bound yet."""


class _LimitsSection(Section, frozen=True, kw_only=True):
    """Limits on one message and one connection. The same on every node and client of a cluster."""

    key: Size = Limits().key_bytes
    """The longest key, in UTF-8."""
    value: Size = Limits().value_bytes
    """The longest value."""
    keys: Count = Limits().keys
    """The most keys in one message; clients split what is larger."""
    message: Size = Limits().message_bytes
    """The longest message."""
    inflight_bytes: Size = Limits().inflight_bytes
    """Bytes of requests and answers under way on one connection."""
    inflight_requests: Count = Limits().inflight_requests
    """Requests under way on one connection."""

    def make(self) -> Limits:
        # A whole message has to fit what may be in flight, and the largest entry a message, or it could never be sent.
        if self.message < self.key + self.value + 1024:
            raise ValueError("expected `message` to hold one key and one value and 1KiB more, found a smaller one")
        if self.inflight_bytes < self.message:
            raise ValueError("expected `inflight_bytes` to hold one `message`, found less")
        return Limits(
            key_bytes=self.key, value_bytes=self.value, keys=self.keys, message_bytes=self.message,
            inflight_bytes=self.inflight_bytes, inflight_requests=self.inflight_requests,
        )  # fmt: skip


class NodeConfig(Section, frozen=True, kw_only=True):
    """All that one node needs to run: what a node file says, or one node of a cluster file."""

    cluster: Name = "zmcache"
    """The name under which nodes find each other; two clusters may share one etcd."""
    node: NodeSettings = NodeSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    limits: Annotated[Limits, Written(_LimitsSection, _LimitsSection.make)] = Limits()
    groups: dict[Name, GroupConfig]


class ClusterConfig(Section, frozen=True, kw_only=True):
    """A cluster on one machine: several nodes that share limits and groups."""

    cluster: Name = "zmcache"
    """The name under which nodes find each other."""
    etcd: ClusterEtcd | None = None
    """``embedded`` (started with the nodes), or the servers as host:port. None: a static list of the nodes below."""
    lease_s: Lease = field(default=10.0, name="lease")
    """With etcd: how soon a node that died without a word leaves the ring."""
    nodes: tuple[NodeSettings, ...]
    limits: Annotated[Limits, Written(_LimitsSection, _LimitsSection.make)] = Limits()
    groups: dict[Name, GroupConfig]

    def node_config(self, node_id: str, etcd_endpoints: Sequence[str] | None = None) -> NodeConfig:
        """What the node of that id runs with.

        ``etcd_endpoints`` (host:port) says where the embedded etcd is, or replaces the file's servers. Raises
        `ConfigError` for an unknown node, and where etcd is embedded and nobody says where it is.
        """
        by_id = {node.id: node for node in self.nodes}
        if node_id not in by_id:
            raise ConfigError(f"expected the id of a node ({', '.join(by_id)}), found {node_id!r}", path="nodes")
        etcd = tuple(etcd_endpoints) if etcd_endpoints else self.etcd
        if isinstance(etcd, str):
            raise ConfigError(
                "expected to be told where etcd is (an embedded one is started by `zmcache up`)", path="etcd"
            )
        static = tuple(node.member() for node in self.nodes) if etcd is None else None
        discovery = DiscoverySettings(etcd=etcd, lease_s=self.lease_s, static=static)
        return NodeConfig(
            cluster=self.cluster, node=by_id[node_id], discovery=discovery, limits=self.limits, groups=self.groups
        )
