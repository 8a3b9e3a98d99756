"""A real cluster under load while everything around it changes: nobody who reads may notice.

Nodes, etcd and the asking processes are processes; the loader counts its own loads in files, outside the cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from processes import Command

import zmcache
from zmcache.discovery.etcd.etcd3_import import load_etcd3
from zmcache.embedded_etcd import EmbeddedEtcd

LEASE_S = 3.0
COUNTING_LOADER = """
import asyncio, os

async def load(keys):
    with open("loads-%d" % os.getpid(), "a") as log:
        log.writelines(key + "\\n" for key in keys)
    await asyncio.sleep({seconds})
    return {{key: ("value of " + key).encode() for key in keys}}
"""
NODE = """
cluster: change
node: {{id: {node_id}, listen: "tcp://127.0.0.1:{port}", drain_timeout: 5s}}
discovery: {{{discovery}}}
groups:
  items: {{budget: 64MiB, loader: {{import: "counting_backend:load", batch: true}}}}
"""
ASKER = """
import asyncio, sys, zmcache

async def main():
    async with zmcache.connect(sys.argv[1], route="any", timeout=10) as client:
        items = client.group("items")
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        values = await asyncio.gather(*[items.get("cold") for _ in range(int(sys.argv[2]))])
        assert set(values) == {b"value of cold"}, set(values)

asyncio.run(main())
"""


def write_node(folder: Path, node_id: str, discovery: str, *, port: int = 0, seconds: float = 0.001) -> Path:
    (folder / "counting_backend.py").write_text(COUNTING_LOADER.format(seconds=seconds))
    file = folder / f"{node_id}.yaml"
    file.write_text(NODE.format(node_id=node_id, port=port, discovery=discovery))
    return file


def loads_in(folder: Path) -> list[str]:
    return [key for log in folder.glob("loads-*") for key in log.read_text().split()]


class Cluster:
    """Nodes as processes around one etcd."""

    def __init__(self, folder: Path, etcd: EmbeddedEtcd, seconds: float) -> None:
        self.folder, self.etcd, self.seconds = folder, etcd, seconds
        self.nodes: dict[str, Command] = {}
        self.addresses: dict[str, str] = {}

    def begin(self, *names: str) -> None:
        discovery = f'etcd: ["{self.etcd.endpoint}"], lease: {LEASE_S:g}s'
        for name in names:
            file = write_node(self.folder, name, discovery, seconds=self.seconds)
            self.nodes[name] = Command("serve", str(file), folder=self.folder)
        for name in names:
            self.addresses[name] = self.nodes[name].wait_line(rf"^{name} serves at tcp://(\S+) ")[1]


@contextlib.asynccontextmanager
async def cluster_of(folder: Path, *names: str, seconds: float = 0.001) -> AsyncIterator[Cluster]:
    async with EmbeddedEtcd(folder=folder / "etcd") as etcd:
        cluster = Cluster(folder, etcd, seconds)
        try:
            await asyncio.to_thread(cluster.begin, *names)
            yield cluster
        finally:
            await asyncio.gather(*[asyncio.to_thread(node.end) for node in cluster.nodes.values()])


async def members_are(client: zmcache.Client, names: set[str], limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(zmcache.MeshError):
            serving = {m.node_id for m in (await client.topology()).members if m.state == "serving"}
            if serving == names:
                return
        assert time.monotonic() < deadline_s, f"expected {names} within {limit_s} s, found {serving}"
        await asyncio.sleep(0.05)


class Load:
    """Callers that get without pause and remember what went wrong."""

    def __init__(self, client: zmcache.Client) -> None:
        self._items = client.group("items")
        self._rng = random.Random(3)
        self._going = True
        self.gets = 0
        self.failures: list[str] = []
        self.slowest_s = 0.0

    async def _call(self) -> None:
        while self._going:
            key = str(min(int(self._rng.paretovariate(0.6)), 20_000))
            began_s = time.monotonic()
            try:
                value = await self._items.get(key)
                if value != f"value of {key}".encode():
                    self.failures.append(f"{key}: {value!r}")
            except zmcache.ZmcacheError as error:
                self.failures.append(f"{key}: {error!r}")
            self.gets += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    @contextlib.asynccontextmanager
    async def running(self, callers: int = 16) -> AsyncIterator[Load]:
        tasks = [asyncio.create_task(self._call()) for _ in range(callers)]
        try:
            yield self
        finally:
            self._going = False
            await asyncio.gather(*tasks)

    async def wait_gets(self, more: int, limit_s: float = 30.0) -> None:
        until, deadline_s = self.gets + more, time.monotonic() + limit_s
        while self.gets < until:
            assert time.monotonic() < deadline_s, f"only {self.gets} of {until} gets: {self.failures[:3]}"
            await asyncio.sleep(0.02)


def etcd_client(etcd: EmbeddedEtcd) -> Any:
    host, _, port = str(etcd.endpoint).rpartition(":")
    return load_etcd3().client(host=host, port=int(port), timeout=5)


async def lease_of(etcd: Any, node_id: str, limit_s: float) -> int:
    """The lease under which a node is registered; it may be about to register anew."""
    deadline_s = time.monotonic() + limit_s
    while True:
        metadata = (await asyncio.to_thread(etcd.get, f"/zmcache/change/nodes/{node_id}"))[1]
        if metadata is not None:
            return int(metadata.lease_id)
        assert time.monotonic() < deadline_s, f"{node_id} is not registered"
        await asyncio.sleep(0.05)


def run(test: Callable[[], Any]) -> None:
    asyncio.run(test())


def test_a_thousand_callers_in_three_processes_at_three_nodes_cause_one_load(tmp_path: Path) -> None:
    async def main() -> None:
        async with cluster_of(tmp_path, "a", "b", "c", seconds=0.5) as cluster:
            askers = [
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", ASKER, cluster.addresses[name], str(callers)),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
                for name, callers in (("a", 334), ("b", 333), ("c", 333))
            ]
            for asker in askers:
                assert asker.stdout is not None
                assert await asyncio.wait_for(asker.stdout.readline(), 20) == b"ready\n"
            codes = await asyncio.gather(*[asyncio.wait_for(_go(asker), 30) for asker in askers])
            assert codes == [0, 0, 0]
            assert loads_in(tmp_path) == ["cold"]

    async def _go(asker: asyncio.subprocess.Process) -> int:
        await asker.communicate(b"\n")
        assert asker.returncode is not None
        return asker.returncode

    run(main)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_no_get_fails_while_nodes_join_leave_and_die_and_etcd_comes_and_goes(tmp_path: Path) -> None:
    away_s = float(os.environ.get("ZMCACHE_TEST_ETCD_AWAY_S", "30"))

    async def main() -> None:
        async with (
            cluster_of(tmp_path, "a", "b", "c") as cluster,
            zmcache.connect(",".join(cluster.addresses.values()), timeout=5) as client,
            Load(client).running() as load,
        ):
            await load.wait_gets(500)

            await asyncio.to_thread(cluster.begin, "d")
            await members_are(client, {"a", "b", "c", "d"}, LEASE_S)
            await load.wait_gets(500)

            cluster.nodes["b"].send(signal.SIGTERM)
            assert await asyncio.to_thread(cluster.nodes["b"].wait_end) == 0
            await members_are(client, {"a", "c", "d"}, LEASE_S)
            await load.wait_gets(500)

            os.kill(cluster.etcd.pid, signal.SIGKILL)
            gone_until_s = time.monotonic() + away_s
            while time.monotonic() < gone_until_s:
                await load.wait_gets(100)
            await cluster.etcd.stop()
            await cluster.etcd.start()
            await members_are(client, {"a", "c", "d"}, 15 + LEASE_S)
            await load.wait_gets(500)

            etcd = await asyncio.to_thread(etcd_client, cluster.etcd)
            try:
                for number in range(20):
                    await asyncio.to_thread(etcd.put, "/elsewhere", str(number))
                revision = (await asyncio.to_thread(etcd.get, "/elsewhere"))[1].mod_revision
                await asyncio.to_thread(etcd.compact, revision)
                await load.wait_gets(500)
                await members_are(client, {"a", "c", "d"}, LEASE_S)

                lease_id = await lease_of(etcd, "c", 5 * LEASE_S)
                await asyncio.to_thread(etcd.revoke_lease, lease_id)
                await load.wait_gets(500)
                await members_are(client, {"a", "c", "d"}, 2 * LEASE_S)
            finally:
                await asyncio.to_thread(etcd.close)

            cluster.nodes["d"].send(signal.SIGKILL)
            await load.wait_gets(500)
            await members_are(client, {"a", "c"}, 2 * LEASE_S + 2)
            await load.wait_gets(500)
        assert load.failures == []
        print(f"{load.gets} gets, the slowest {load.slowest_s:.2f} s")

    run(main)


def test_two_nodes_with_opposite_rings_both_answer_within_a_second(tmp_path: Path) -> None:
    async def main() -> None:
        from processes import free_port

        ports = {"a": free_port(), "b": free_port()}
        addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        nodes = {}
        for name, other in (("a", "b"), ("b", "a")):
            # Each believes that the other has nearly all of the ring.
            members = ", ".join(
                f'{{id: {each}, endpoint: "tcp://{addresses[each]}", weight: {100 if each == other else 0.01}}}'
                for each in ("a", "b")
            )
            file = write_node(tmp_path, name, f"static: [{members}]", port=ports[name])
            file.write_text(file.read_text().replace("drain_timeout", f"weight: {0.01}, drain_timeout"))
            nodes[name] = Command("serve", str(file), folder=tmp_path)
        try:
            for name, node in nodes.items():
                await asyncio.to_thread(node.wait_line, rf"^{name} serves")
            async with (
                zmcache.connect(addresses["a"], route="any") as at_a,
                zmcache.connect(addresses["b"], route="any") as at_b,
            ):
                for key in (f"contested-{i}" for i in range(20)):
                    began_s = time.monotonic()
                    answers = await asyncio.gather(at_a.group("items").get(key), at_b.group("items").get(key))
                    assert answers == [f"value of {key}".encode()] * 2
                    assert time.monotonic() - began_s < 1.0
        finally:
            for node in nodes.values():
                await asyncio.to_thread(node.end)

    run(main)


HOST = """
import asyncio, sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2, __version__

# A message of the host's own, in a file of the name that etcd3's has, in the default pool.
file = descriptor_pb2.FileDescriptorProto(name="rpc.proto", package="host", syntax="proto3")
field = file.message_type.add(name="Order").field.add(name="id", number=1, type=5, label=1)
pool = descriptor_pool.Default()
pool.Add(file)
Order = message_factory.GetMessageClass(pool.FindMessageTypeByName("host.Order"))

import zmcache

async def main():
    async with zmcache.Node.from_yaml(sys.argv[1]) as node:
        assert await node.group("items").get("k") == b"value of k"
        assert [m.node_id for m in node.ring().members] == ["host"]
        assert Order.FromString(Order(id=7).SerializeToString()).id == 7
        struct = struct_pb2.Struct()
        struct.update({"a": 1})
        assert struct["a"] == 1
        print("both work with protobuf", __version__)

asyncio.run(main())
"""


def test_an_application_that_imported_protobuf_before_embeds_a_node_with_etcd(tmp_path: Path) -> None:
    async def main() -> None:
        async with EmbeddedEtcd() as etcd:
            file = write_node(tmp_path, "host", f'etcd: ["{etcd.endpoint}"]')
            host = await asyncio.create_subprocess_exec(
                *(sys.executable, "-W", "error", "-c", HOST, str(file)),
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(tmp_path)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            out, err = await asyncio.wait_for(host.communicate(), 30)
            assert host.returncode == 0, err.decode()
            assert b"both work with protobuf" in out

    run(main)
