"""For the tests of programs that use zmcache: a cluster in the test's own process, or a cache without one, by a clock that a test can move.

    async with zmcache.testing.Cluster(nodes=3, groups={"items": {"ttl": "1h"}}, loaders={"items": load}) as cluster:
        cache = await cluster.connect()
        ...
        cluster.advance("1h")           # what lived for an hour has ended, on every node
        cluster.cut("a")                # as if it had died

Nodes, groups, loaders, rings and clients are the real ones; the wire is `zmcache.transport.memory`, and who the members are is told by hand.

cluster.py          nodes, their levers, and clients of them
local.py            ``mem://`` by such a clock
clock.py            the clock
membership.py       the discovery whose members come and go by hand
given.py            what a test gives as groups and loaders, as a node's config and loaders
leftovers.py        waiting, and the tasks that should have ended
pytest_plugin/      installed as ``zmcache_pytest``: pytest loads it early, and nothing of zmcache with it
"""

from __future__ import annotations

from zmcache.testing.clock import Clock
from zmcache.testing.cluster import Cluster
from zmcache.testing.local import LocalCache, local

__all__ = ["Clock", "Cluster", "LocalCache", "local"]
