"""Who the members are.

| module | what it decides |
|---|---|
| `base` | what every discovery promises: `Discovery`, `Snapshot` |
| `static` | the members are those in the config |
| `etcd` | the members are those with a live lease in etcd |
| `lastseen` | what a node starts from when etcd is away: the last snapshot, on disk |
| `record` | how one member is written down as JSON |

Importing this package imports neither etcd3 nor grpc: they are loaded when an `EtcdDiscovery` starts.
"""

from __future__ import annotations

from zmcache.discovery.base import Discovery, Snapshot
from zmcache.discovery.etcd import EtcdDiscovery, EtcdStatistics
from zmcache.discovery.lastseen import LastSeen
from zmcache.discovery.static import StaticDiscovery

__all__ = ["Discovery", "EtcdDiscovery", "EtcdStatistics", "LastSeen", "Snapshot", "StaticDiscovery"]
