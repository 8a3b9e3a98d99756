"""What a config names, made: loaders, groups, discovery, transport. The only place where the config's kinds meet the classes behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from zmcache.calls import Group, Tell
from zmcache.config import ImportLoader, NodeConfig, SqlLoader
from zmcache.core.ring import Member
from zmcache.core.settings import GroupSettings
from zmcache.core.versions import Versions
from zmcache.deadlines import Deadlines
from zmcache.discovery.base import Discovery
from zmcache.discovery.lastseen import LastSeen
from zmcache.discovery.static import StaticDiscovery
from zmcache.errors import ConfigError
from zmcache.loaders import import_loader, sql_loader
from zmcache.loading import Loader
from zmcache.peering import Peers
from zmcache.transport.base import Transport
from zmcache.transport.zeromq import ZmqTransport


@contextmanager
def concerning(path: str) -> Iterator[None]:
    """A `ConfigError` that comes out of the block is about the setting at ``path``."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(error.expected, path=path) from error


def make_loader(config: ImportLoader | SqlLoader | None, max_loads: int) -> Loader | None:
    """The loader of a group; None where the config names none. Raises `ConfigError` for one that cannot be made."""
    if config is None:
        return None
    if isinstance(config, SqlLoader):
        return sql_loader(config.url, config.query, max_batch=config.max_batch, pool=max_loads)
    return import_loader(config.target, batch=config.batch, max_batch=config.max_batch, threads=max_loads)


def make_groups(
    config: NodeConfig,
    peers: Peers,
    deadlines: Deadlines,
    loaders: Mapping[str, Loader],
    clock: Callable[[], float],
    random: Callable[[], float],
    versions: Versions,
    tell: Tell,
) -> dict[str, Group]:
    """The groups by name, each with its loader from ``loaders`` where there is one, which is the group's to close from now on."""
    groups = {}
    for name, group in config.groups.items():
        settings = GroupSettings(**{field: getattr(group, field) for field in GroupSettings.__struct_fields__})
        groups[name] = Group(
            name, settings, config.limits, peers, deadlines,
            loader=loaders.get(name), random=random, clock=clock, versions=versions, tell=tell,
        )  # fmt: skip
    return groups


def make_transport(config: NodeConfig) -> Transport:
    """ZeroMQ with the config's limits."""
    return ZmqTransport(busy_poll_s=config.node.busy_poll_s, max_message_bytes=config.limits.message_bytes)


def make_discovery(config: NodeConfig, member: Member) -> Discovery:
    """The discovery that the config asks for; a node alone where it asks for none."""
    settings = config.discovery
    if settings.etcd is not None:
        from zmcache.discovery.etcd import EtcdDiscovery  # here: a node without etcd must not need grpc

        state_dir = config.node.state_dir
        last_seen = None if state_dir is None else LastSeen(Path(state_dir) / f"{config.cluster}.{member.node_id}.json")
        return EtcdDiscovery(
            config.cluster,
            settings.etcd,
            lease_s=settings.lease_s,
            start_timeout_s=config.node.start_timeout_s,
            last_seen=last_seen,
        )
    static = [m._replace(endpoint=member.endpoint) if m.node_id == member.node_id else m for m in settings.static or ()]
    return StaticDiscovery(static or [member])
