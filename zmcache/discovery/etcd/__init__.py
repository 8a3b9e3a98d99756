"""Members through etcd: ``/zmcache/<cluster>/nodes/<node id>`` holds one JSON object, tied to a lease.

How it works, from the outside in:

| module | its one idea |
|---|---|
| `discovery` | the asyncio side: `EtcdDiscovery` starts a thread, hands its findings to the loop, and stops it in bounded time |
| `contract` | what passes between loop and thread: settings, updates, findings, counters |
| `worker` | the thread: which endpoint, how long to pause, watch, start and stop |
| `keeper` | what outlives a connection: list again on any doubt, never without ourselves |
| `registration` | our key: lease granted, kept alive, lost, granted again; whose a node id is |
| `view` | pure: what was read -> the snapshots to deliver, with a revision that never falls |
| `complaints` | what is wrong with a record, said once |
| `connection` | one endpoint, a few blocking calls, each with a deadline; every foreign error translated |
| `etcd3_import` | makes the package etcd3 importable on protobuf 4 and later, without touching the host's protobuf |

Two threads exist while a discovery runs: the worker, which makes every call, and one that reads the watch stream and does
nothing but put what it read into the worker's inbox. Both end with `EtcdDiscovery.stop`.
"""

from __future__ import annotations

from zmcache.discovery.etcd.contract import EtcdStatistics
from zmcache.discovery.etcd.discovery import EtcdDiscovery

__all__ = ["EtcdDiscovery", "EtcdStatistics"]
