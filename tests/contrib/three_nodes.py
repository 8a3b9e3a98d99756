"""A cluster of three nodes, each a process, as `zmcache up` begins it, with the groups of the adapters; and Django set up to use it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from mesh_members import rings_agree
from processes import running

CLUSTER = """\
cluster: adapters
etcd: embedded
groups:
  django: {budget: 16MiB, ttl_jitter: 0}
  other: {budget: 16MiB, ttl_jitter: 0}
  pages: {budget: 16MiB, ttl_jitter: 0}
nodes:
  - {id: node-1, listen: "tcp://127.0.0.1:0"}
  - {id: node-2, listen: "tcp://127.0.0.1:0"}
  - {id: node-3, listen: "tcp://127.0.0.1:0"}
"""


@contextlib.contextmanager
def three_nodes(folder: Path) -> Iterator[str]:
    """The address of nodes whose rings agree."""
    (folder / "cluster.yaml").write_text(CLUSTER)
    with running("up", "cluster.yaml", folder=folder) as up:
        up.wait_line(r"^up +\| all 3 nodes serve")
        endpoints = [up.wait_line(rf"\| node-{at} serves at tcp://(\S+) ")[1] for at in (1, 2, 3)]
        asyncio.run(rings_agree(endpoints))
        yield f"zmcache://{','.join(endpoints)}"
