"""A cluster as people run it: each node a process, around an etcd of its own, on ports that the system gave.

The loader writes down each key that it is asked for in a file of its process, so that loads are counted outside the cache, and by
nobody who could be wrong together with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from processes import Command

import zmcache
from zmcache.embedded_etcd import EmbeddedEtcd

LEASE_S = 3.0
LOADER = """
import asyncio, os

async def load(keys):
    with open("loads-%d" % os.getpid(), "a") as log:
        log.writelines(key + "\\n" for key in keys)
    await asyncio.sleep({seconds})
    return {{key: ("value of " + key).encode() for key in keys}}
"""
NODE = """
cluster: acceptance
node: {{id: {node_id}, listen: "tcp://127.0.0.1:0", drain_timeout: 5s}}
discovery: {{etcd: ["{etcd}"], lease: {lease:g}s}}
groups:
  items: {{budget: 64MiB, loader: {{import: "counting_backend:load", batch: true}}}}
"""


def value_of(key: str) -> bytes:
    """What the loader answers."""
    return f"value of {key}".encode()


class RealCluster:
    """Nodes around one etcd. ``loads()`` are the keys that loaders were asked for, in no order, by all nodes that ever ran."""

    def __init__(self, folder: Path, etcd: EmbeddedEtcd, load_s: float, lease_s: float) -> None:
        self.folder, self.etcd, self.lease_s = folder, etcd, lease_s
        self.nodes: dict[str, Command] = {}
        self.addresses: dict[str, str] = {}
        (folder / "counting_backend.py").write_text(LOADER.format(seconds=load_s))

    async def begin(self, *names: str) -> None:
        """Start nodes, all at once, and return when each says that it serves."""
        for name in names:
            file = self.folder / f"{name}.yaml"
            file.write_text(NODE.format(node_id=name, etcd=self.etcd.endpoint, lease=self.lease_s))
            self.nodes[name] = Command("serve", str(file), folder=self.folder)
        for name in names:
            line = await asyncio.to_thread(self.nodes[name].wait_line, rf"^{name} serves at tcp://(\S+) ")
            self.addresses[name] = line[1]

    async def wait_rest(self, names: Collection[str], limit_s: float) -> None:
        """Return when each of these nodes, asked by itself, has exactly them in its ring."""
        deadline_s = time.monotonic() + limit_s
        for name in names:
            seen: set[str] = set()
            while seen != set(names):
                assert time.monotonic() < deadline_s, f"{name} sees {seen} after {limit_s} s, not {set(names)}"
                # A fresh client knows this one node, and its first ring is what that node said.
                with contextlib.suppress(zmcache.MeshError):
                    async with zmcache.connect(self.addresses[name], connect_timeout=1.0) as client:
                        seen = {member.node_id for member in client.ring().members}
                await asyncio.sleep(0.02)

    def loads(self) -> list[str]:
        """One entry a load."""
        return [key for log in self.folder.glob("loads-*") for key in log.read_text().split()]


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


class Readers:
    """Callers that get Zipf-like keys without a pause, and remember what went wrong and what took longest."""

    def __init__(self, client: zmcache.Client, *, callers: int = 16, keys: int = 20_000) -> None:
        self._items, self._callers, self._keys = client.group("items"), callers, keys
        self._rng = random.Random(callers)
        self._going = True
        self.gets = 0
        self.failures: list[str] = []
        self.slowest_s = 0.0

    async def __aenter__(self) -> Readers:
        self._tasks = [asyncio.create_task(self._read()) for _ in range(self._callers)]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)

    async def _read(self) -> None:
        while self._going:
            key = str(min(int(self._rng.paretovariate(0.6)), self._keys))
            began_s = time.monotonic()
            try:
                value = await self._items.get(key)
                if value != value_of(key):
                    self.failures.append(f"{key}: {value!r}")
            except zmcache.ZmcacheError as error:
                self.failures.append(f"{key}: {error!r} after {time.monotonic() - began_s:.2f} s")
            self.gets += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    async def wait_gets(self, more: int, limit_s: float = 30.0) -> None:
        """Return when so many more gets have ended, one way or the other."""
        until, deadline_s = self.gets + more, time.monotonic() + limit_s
        while self.gets < until:
            assert time.monotonic() < deadline_s, f"only {self.gets} of {until} gets: {self.failures[:3]}"
            await asyncio.sleep(0.02)
