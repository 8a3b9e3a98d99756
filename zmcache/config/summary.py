"""What `zmcache check` prints of a file that is valid: one line for the cluster, one for each node and each group.
Never a URL of a database.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from zmcache.config.load import is_cluster_file, load_cluster, load_node
from zmcache.config.model import GroupConfig, ImportLoader, NodeSettings, SqlLoader
from zmcache.core.units import format_duration, format_size


def check(path: str | Path, *, env: Mapping[str, str] = os.environ) -> str:
    """A short summary of a node or cluster file. Raises `ConfigError` for one that no node could start from."""
    nodes: tuple[NodeSettings, ...]
    if is_cluster_file(path):
        cluster = load_cluster(path, env={name: value for name, value in env.items() if name != "ZMCACHE_NODE_ID"})
        name, nodes, groups = cluster.cluster, cluster.nodes, cluster.groups
        etcd = cluster.etcd
    else:
        config = load_node(path, env=env)
        name, nodes, groups = config.cluster, (config.node,), config.groups
        etcd = config.discovery.etcd
    finding = "static members" if etcd is None else f"etcd {etcd if isinstance(etcd, str) else ', '.join(etcd)}"
    lines = [f"{path}: valid. Cluster {name}: {_count(len(nodes), 'node')}, {finding}, {_count(len(groups), 'group')}"]
    lines += [f"  node {node.id or '(named when bound)'} at {node.endpoint}, weight {node.weight:g}" for node in nodes]
    lines += [f"  group {group}: {_group(settings)}" for group, settings in groups.items()]
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _group(group: GroupConfig) -> str:
    match group.loader:
        case ImportLoader(target=target):
            loader = f"loads with {target}"
        case SqlLoader():
            loader = "loads from a database"
        case _:
            loader = "no loader"
    expiry = "no expiry" if group.ttl_s is None else f"expires after {format_duration(group.ttl_s)}"
    return f"{format_size(group.budget_bytes)}, {group.policy}, {expiry}, {loader}"
