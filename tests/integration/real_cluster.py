"""A cluster as people run it: each node a process, around an etcd of its own, on ports that the system gave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from counting_node import loads_in, write_node
from eventually import answered
from processes import Command

import zmcache
from zmcache.core.ring import SERVING
from zmcache.embedded_etcd import EmbeddedEtcd

LEASE_S = 3.0


class RealCluster:
    """Nodes around one etcd."""

    def __init__(self, folder: Path, etcd: EmbeddedEtcd, load_s: float, lease_s: float) -> None:
        self.folder, self.etcd, self.load_s, self.lease_s = folder, etcd, load_s, lease_s
        self.nodes: dict[str, Command] = {}
        self.addresses: dict[str, str] = {}

    async def begin(self, *names: str) -> None:
        """Start nodes, all at once, and return when each says that it serves."""
        discovery = f'{{etcd: ["{self.etcd.endpoint}"], lease: {self.lease_s:g}s}}'
        for name in names:
            file = write_node(self.folder, name, discovery, load_s=self.load_s)
            self.nodes[name] = Command("serve", str(file), folder=self.folder)
        for name in names:
            self.addresses[name] = await asyncio.to_thread(self.nodes[name].wait_address, name)

    async def wait_rest(self, names: Collection[str], limit_s: float) -> None:
        """Return when each of these nodes, asked by itself, has exactly them in its ring, and all of them serve."""

        async def seen() -> dict[str, dict[str, str]]:
            return {name: await self._ring_of(name) for name in names}

        at_rest = dict.fromkeys(names, dict.fromkeys(names, SERVING))
        await answered(seen, at_rest.__eq__, what=f"each sees {set(names)}", within_s=limit_s)

    async def _ring_of(self, name: str) -> dict[str, str]:
        # A fresh client knows this one node, and its first ring is what that node said.
        with contextlib.suppress(zmcache.MeshError):
            async with zmcache.connect(self.addresses[name], connect_timeout=1.0) as client:
                return {member.node_id: member.state for member in client.ring().members}
        return {}

    def loads(self) -> list[str]:
        """One entry a load."""
        return loads_in(self.folder)


@contextlib.asynccontextmanager
async def real_cluster(
    folder: Path, *names: str, load_s: float = 0.001, lease_s: float = LEASE_S
) -> AsyncIterator[RealCluster]:
    """Fresh nodes whose rings agree; ended afterwards, whatever became of them."""
    async with EmbeddedEtcd(folder=folder / "etcd") as etcd:
        cluster = RealCluster(folder, etcd, load_s, lease_s)
        try:
            await cluster.begin(*names)
            await cluster.wait_rest(names, LEASE_S)
            yield cluster
        finally:
            await asyncio.gather(*[asyncio.to_thread(node.end) for node in cluster.nodes.values()])
