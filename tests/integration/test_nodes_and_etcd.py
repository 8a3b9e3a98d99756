"""Nodes whose etcd is away, hangs, or has lost all that it knew, while they begin, join and serve: on real sockets and a real etcd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from eventually import answered, eventually
from processes import free_port

import zmcache
from zmcache.config import load_node
from zmcache.core.ring import SERVING, Member
from zmcache.discovery import LastSeen, Snapshot
from zmcache.embedded_etcd import EmbeddedEtcd
from zmcache.errors import DiscoveryError

CONFIG = """
cluster: c
node: {{id: {name}, listen: "tcp://127.0.0.1:{port}", drain_timeout: 1s, join_timeout: 20s, state_dir: "{folder}", start_timeout: 10s}}
discovery: {{etcd: ["{etcd}"], lease: {lease}s}}
groups:
  items: {{budget: 16MiB, copies: 2, acks: 2}}
"""


class Nodes:
    """Nodes of this process. One that is killed says nothing to anybody, and its lease stands."""

    def __init__(self, folder: Path, etcd: str, *names: str, lease_s: int = 2) -> None:
        self._folder, self._etcd, self._lease_s = folder, etcd, lease_s
        self.ports = {name: free_port() for name in names}
        self.running: dict[str, zmcache.Node] = {}

    async def start(self, name: str) -> float:
        """How long it took."""
        file = self._folder / f"{name}.yaml"
        file.write_text(
            CONFIG.format(
                name=name, port=self.ports[name], folder=self._folder / name, etcd=self._etcd, lease=self._lease_s
            )
        )
        node = zmcache.Node(load_node(file))
        await self._address_is_free(name)
        began_s = time.monotonic()
        await node.start()
        self.running[name] = node
        return time.monotonic() - began_s

    async def _address_is_free(self, name: str) -> None:
        """A listener that was closed keeps its address for a tenth of a second."""

        async def is_free() -> bool:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", self.ports[name]))
                probe.listen()
                return True
            return False

        await answered(is_free, bool, what="the address is free", within_s=5)

    async def stop(self, name: str) -> None:
        await self.running.pop(name).stop()

    def remember(self) -> None:
        """What nodes that saw one another would have kept on disk."""
        members = tuple(Member(name, f"tcp://127.0.0.1:{port}") for name, port in self.ports.items())
        for name in self.ports:
            LastSeen(self._folder / name / f"c.{name}.json").save("c", Snapshot(7, members))

    def states(self) -> dict[str, dict[str, str]]:
        return {name: {m.node_id: m.state for m in node.ring().members} for name, node in self.running.items()}

    async def agree(self, within_s: float = 20.0) -> None:
        """Return when all who run see all who run, serving."""
        everyone = dict.fromkeys(self.running, dict.fromkeys(self.running, SERVING))

        async def seen() -> dict[str, dict[str, str]]:
            return self.states()

        await answered(seen, everyone.__eq__, what="all see all", within_s=within_s)

    async def write_and_read(self, what: str) -> None:
        for n in range(30):
            await next(iter(self.running.values())).group("items").set(f"{what}-{n}", b"%d" % n)
        for node in self.running.values():
            for n in range(30):
                assert await node.group("items").get(f"{what}-{n}") == b"%d" % n


@contextlib.asynccontextmanager
async def nodes_of(folder: Path, etcd: EmbeddedEtcd | str, *names: str, lease_s: int = 2) -> AsyncIterator[Nodes]:
    nodes = Nodes(folder, etcd if isinstance(etcd, str) else etcd.endpoint, *names, lease_s=lease_s)
    try:
        yield nodes
    finally:
        await asyncio.gather(*(node.stop() for node in nodes.running.values()))


async def kill(etcd: EmbeddedEtcd) -> None:
    pid = etcd.pid
    os.kill(pid, signal.SIGKILL)

    def is_gone() -> bool:
        try:
            return etcd.pid != pid
        except DiscoveryError:
            return True

    await eventually(is_gone)


def test_a_whole_cluster_starts_from_the_members_last_seen_while_etcd_is_away_and_is_registered_when_it_is_back(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with EmbeddedEtcd(folder=tmp_path / "etcd") as etcd, nodes_of(tmp_path, etcd, "a", "b", "c") as nodes:
            nodes.remember()
            await kill(etcd)
            took_s = await asyncio.gather(*(nodes.start(name) for name in "abc"))
            assert max(took_s) < 8, took_s
            await nodes.agree()
            await nodes.write_and_read("away")
            await etcd.start()
            await eventually(
                lambda: all(node._parts.discovery.statistics().registered for node in nodes.running.values()),  # type: ignore[attr-defined]
                within_s=20,
            )
            await nodes.agree()
            await nodes.write_and_read("back")

    asyncio.run(main())


def test_a_node_that_begins_again_while_etcd_is_away_is_used_by_those_who_run(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            EmbeddedEtcd(folder=tmp_path / "etcd") as etcd,
            nodes_of(tmp_path, etcd, "a", "b", "c", lease_s=60) as nodes,
        ):
            for name in "abc":
                await nodes.start(name)
            await nodes.agree()
            await nodes.write_and_read("before")
            await kill(etcd)
            await nodes.stop("b")  # the others cannot hear of it
            took_s = await nodes.start("b")
            assert took_s < 8
            await nodes.write_and_read("away")
            for n in range(30):
                assert await nodes.running["b"].group("items").get(f"before-{n}") == b"%d" % n
            await etcd.start()
            await nodes.agree(30)

    asyncio.run(main())


def test_an_etcd_that_lost_its_data_is_told_again_that_all_serve_and_newcomers_join(tmp_path: Path) -> None:
    async def main() -> None:
        async with EmbeddedEtcd(folder=tmp_path / "etcd") as etcd, nodes_of(tmp_path, etcd, "a", "b", "c") as nodes:
            await nodes.start("a")
            await nodes.start("b")
            await nodes.agree()
            await nodes.write_and_read("before")
            await kill(etcd)
            shutil.rmtree(tmp_path / "etcd" / "data")
            await etcd.start()
            await eventually(
                lambda: all(node._parts.discovery.statistics().registered for node in nodes.running.values()),  # type: ignore[attr-defined]
                within_s=20,
            )
            for _ in range(20):  # not for something to happen: for nothing to
                assert all(set(seen) == {"a", "b"} for seen in nodes.states().values())
                await asyncio.sleep(0.1)
            assert await nodes.start("c") < 8
            await nodes.agree()
            for n in range(30):
                assert await nodes.running["c"].group("items").get(f"before-{n}") == b"%d" % n

    asyncio.run(main())


@pytest.mark.parametrize("lease_s", [2, 30])
def test_a_node_that_was_killed_is_back_within_its_old_lease_and_has_what_it_is_to_hold(
    tmp_path: Path, lease_s: int
) -> None:
    async def main() -> None:
        async with (
            EmbeddedEtcd(folder=tmp_path / "etcd") as etcd,
            nodes_of(tmp_path, etcd, "a", "b", "c", lease_s=lease_s) as nodes,
        ):
            for name in "abc":
                await nodes.start(name)
            await nodes.agree()
            await nodes.write_and_read("before")
            killed = nodes.running.pop("b")
            # As a kill: nobody takes it off the list.
            killed._parts.discovery._worker.post = lambda *_: None  # type: ignore[attr-defined]
            killed._parts.discovery._worker._keeper.registration = None  # type: ignore[attr-defined]
            await killed.stop()
            took_s = await nodes.start("b")
            assert took_s < 8
            await nodes.agree()
            held = nodes.running["b"].group("items").get_nowait
            ring = nodes.running["b"].ring()
            mine = [
                f"before-{n}" for n in range(30) if "b" in {member.node_id for member in ring.owners(f"before-{n}", 2)}
            ]
            await eventually(lambda: all(held(key) is not None for key in mine))

    asyncio.run(main())


def test_a_node_that_joins_while_etcd_hangs_serves_when_it_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with EmbeddedEtcd(folder=tmp_path / "etcd") as etcd, nodes_of(tmp_path, etcd, "a", "b") as nodes:
            await nodes.start("a")
            os.kill(etcd.pid, signal.SIGSTOP)
            starting = asyncio.create_task(nodes.start("b"))
            await asyncio.sleep(4)  # longer than the lease
            await nodes.running["a"].group("items").get("anything")
            os.kill(etcd.pid, signal.SIGCONT)
            await starting
            await nodes.agree()
            await nodes.write_and_read("then")

    asyncio.run(main())
