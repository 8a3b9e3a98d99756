"""From a file to a checked config: read, override from the environment, build, then what concerns several settings at
once.

A file with ``nodes`` in it is a cluster file, any other a node file. Every error is one `ConfigError` with the file and
the path in it; only the first is reported. Nothing here imports a loader or opens a socket: what is wrong with those
shows when they are made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from zmcache.config import environ
from zmcache.config.build import build
from zmcache.config.model import ClusterConfig, DiscoverySettings, GroupConfig, NodeConfig, NodeSettings
from zmcache.config.rules import read_host_ports
from zmcache.config.yamlfile import parse_mapping, read_file
from zmcache.core.units import format_size
from zmcache.errors import ConfigError

_EVERYWHERE = ("0.0.0.0", "::", "*")
_LEAST_ITEM_BYTES = 512  # a short key and value with what they cost besides


def load_node(
    path: str | Path,
    *,
    env: Mapping[str, str] = os.environ,
    node_id: str | None = None,
    etcd: Sequence[str] | None = None,
) -> NodeConfig:
    """What one node runs with, from a node file, or from a cluster file and the id of one of its nodes.

    ``env`` is where ``ZMCACHE_*`` overrides come from (see `zmcache.config.environ`). ``etcd`` (host:port) replaces the
    servers in the file and is where the embedded etcd of a cluster file is. Raises `ConfigError`.
    """
    return parse_node(read_file(path), file=str(path), env=env, node_id=node_id, etcd=etcd)


def load_cluster(path: str | Path, *, env: Mapping[str, str] = os.environ) -> ClusterConfig:
    """A cluster file. Raises `ConfigError`, also for a node file."""
    return parse_cluster(read_file(path), file=str(path), env=env)


def parse_node(
    source: str | Mapping[str, object],
    *,
    file: str = "",
    env: Mapping[str, str] | None = None,
    node_id: str | None = None,
    etcd: Sequence[str] | None = None,
) -> NodeConfig:
    """Like `load_node`, from YAML text or a mapping; ``file`` is for messages and relative paths."""
    raw = parse_mapping(source, file=file) if isinstance(source, str) else source
    env = env or {}
    if "nodes" in raw:
        # In front of a cluster file the variable says which node this process is, and overrides nothing.
        chosen = node_id or env.get("ZMCACHE_NODE_ID")
        others = {name: value for name, value in env.items() if name != "ZMCACHE_NODE_ID"}
        cluster = parse_cluster(raw, file=file, env=others)
        with _located(file):
            if chosen is None:
                ids = ", ".join(node.id for node in cluster.nodes)
                raise ConfigError(f"expected to be told which node of this cluster file to run ({ids})", path="nodes")
            return cluster.node_config(chosen, _endpoints(etcd))
    with _located(file) as sources:
        raw, overridden = environ.apply(raw, NodeConfig, env)
        sources.update(overridden)
        config = build(NodeConfig, raw)
        _check_groups(config.groups)
        node = _settled(config.node, "node", file)
        if node_id is not None and node.id != node_id:
            raise ConfigError(f"expected {node_id!r}, as was asked for, found {node.id!r}", path="node.id")
        if etcd:
            discovery = msgspec.structs.replace(config.discovery, etcd=_endpoints(etcd), static=None)
        else:
            discovery = _discovery(config.discovery, node, given=bool(raw.get("discovery")))
        return msgspec.structs.replace(config, node=node, discovery=discovery)


def parse_cluster(
    source: str | Mapping[str, object], *, file: str = "", env: Mapping[str, str] | None = None
) -> ClusterConfig:
    """Like `load_cluster`, from YAML text or a mapping."""
    raw = parse_mapping(source, file=file) if isinstance(source, str) else source
    with _located(file) as sources:
        if "nodes" not in raw:
            raise ConfigError("expected `nodes` (a cluster file), found none: is it a node file?")
        raw, overridden = environ.apply(raw, ClusterConfig, env or {})
        sources.update(overridden)
        config = build(ClusterConfig, raw)
        _check_groups(config.groups)
        nodes = tuple(_settled(node, f"nodes[{index}]", file) for index, node in enumerate(config.nodes))
        for index, node in enumerate(nodes):
            _check_among(nodes[:index], node, f"nodes[{index}]")
            if config.etcd is None and _port(node.endpoint) == 0:
                raise ConfigError(
                    "expected a port, since without etcd the others must know it, found 0",
                    path=f"nodes[{index}].listen",
                )
        return msgspec.structs.replace(config, nodes=nodes)


def is_cluster_file(path: str | Path) -> bool:
    """Whether the file describes a whole cluster. Raises `ConfigError` when it cannot be read as YAML."""
    return "nodes" in parse_mapping(read_file(path), file=str(path))


def node_id_from(endpoint: str) -> str:
    """The id that a node gets from the endpoint it advertises when its config names none: ``127.0.0.1:7401``."""
    rest = endpoint.partition("://")[2]
    return re.sub(r"[^A-Za-z0-9._:-]+", "-", rest).strip("-._:")[:100] or "node"


@contextmanager
def _located(file: str) -> Iterator[dict[str, str]]:
    """Add to a `ConfigError` the file, and the variable that the wrong value came from."""
    sources: dict[str, str] = {}
    try:
        yield sources
    except ConfigError as exc:
        if exc.file:
            raise
        expected = next(
            (f"{exc.expected} (set by {name})" for path, name in sources.items() if exc.path.partition("[")[0] == path),
            exc.expected,
        )
        raise ConfigError(expected, file=file, path=exc.path) from exc.__cause__


def _endpoints(etcd: Sequence[str] | None) -> tuple[str, ...] | None:
    if not etcd:
        return None
    try:
        return read_host_ports(tuple(etcd))
    except ValueError as exc:
        raise ConfigError(str(exc), path="etcd") from exc


def _port(endpoint: str) -> int | None:
    parts = urlsplit(endpoint)
    return parts.port if parts.scheme == "tcp" else None


def _settled(node: NodeSettings, path: str, file: str) -> NodeSettings:
    """The node with its id made where it can be, and its folder made absolute."""
    parts = urlsplit(node.listen)
    if parts.scheme == "tcp" and parts.hostname in _EVERYWHERE and node.advertise is None:
        raise ConfigError(
            f"expected an endpoint that others can reach, since {node.listen} binds every address, found nothing",
            path=f"{path}.advertise",
        )
    node_id = node.id or ("" if _port(node.endpoint) == 0 else node_id_from(node.endpoint))
    folder = node.state_dir
    if folder is not None:
        folder = Path(file).absolute().parent.joinpath(folder) if file else folder.absolute()
    return msgspec.structs.replace(node, id=node_id, state_dir=folder)


def _check_groups(groups: Mapping[str, GroupConfig]) -> None:
    for name, group in groups.items():
        if group.acks > group.copies:
            expected = f"expected at most as many as `copies`, {group.copies}, found {group.acks}"
            raise ConfigError(expected, path=f"groups.{name}.acks")
        if group.budget_bytes * (1 - group.hot_share) * group.item_share < _LEAST_ITEM_BYTES:
            least = format_size(_LEAST_ITEM_BYTES)
            share = f"{group.item_share:g} of {format_size(group.budget_bytes)}, less the part for hot copies"
            raise ConfigError(
                f"expected one entry to have {least} or more, found {share}", path=f"groups.{name}.item_share"
            )


def _check_among(before: Sequence[NodeSettings], node: NodeSettings, path: str) -> None:
    if not node.id:
        raise ConfigError("expected an id, since port 0 gives none to make it from, found nothing", path=f"{path}.id")
    for index, other in enumerate(before):
        if node.id == other.id:
            raise ConfigError(
                f"expected an id of its own, found {node.id!r}, which nodes[{index}] has", path=f"{path}.id"
            )
        if node.listen == other.listen and _port(node.listen) != 0:
            raise ConfigError(
                f"expected an endpoint of its own, found {node.listen}, which nodes[{index}] has", path=f"{path}.listen"
            )


def _discovery(settings: DiscoverySettings, node: NodeSettings, *, given: bool) -> DiscoverySettings:
    """The settings with exactly one way in them. The static list holds this node, as the others see it."""
    if settings.etcd is not None and settings.static is not None:
        raise ConfigError("expected either `etcd` or `static`, found both", path="discovery")
    if settings.etcd is not None:
        return settings
    own = node.member()
    if settings.static is None:
        if given:
            raise ConfigError("expected `etcd` or `static`, found neither", path="discovery")
        return msgspec.structs.replace(settings, static=(own,) if own.node_id and _port(own.endpoint) != 0 else ())
    seen: dict[str, str] = {}
    for index, member in enumerate(settings.static):
        path = f"discovery.static[{index}]"
        if member.node_id in seen:
            raise ConfigError(f"expected an id of its own, found {member.node_id!r} again", path=f"{path}.id")
        if member.endpoint in seen.values():
            raise ConfigError(
                f"expected an endpoint of its own, found {member.endpoint} again", path=f"{path}.endpoint"
            )
        seen[member.node_id] = member.endpoint
        # The others build their ring from this entry; one that this node built from other figures would not be theirs.
        if member.node_id == own.node_id and member != own:
            said = f"endpoint {own.endpoint}, weight {own.weight:g}, zone {own.zone!r}"
            raise ConfigError(f"expected what `node` says of {own.node_id!r} ({said}), found something else", path=path)
    if own.node_id not in seen:
        raise ConfigError(
            f"expected this node, {own.node_id!r}, among its members, found {', '.join(seen)}", path="discovery.static"
        )
    return settings
