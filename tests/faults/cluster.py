"""Etcd and nodes, each a process, as people run them; what can be done to them here needs the process and nothing of its inside.

A node keeps its address over its restarts. Its values are small against its budget, so that nothing is evicted: what is not there any more was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from etcd_access import etcd_client, key_of

import zmcache
from faults.backend import FOLDER, NODE
from faults.children import Child, Failed
from faults.network import Network, Place
from zmcache.config.model import GroupConfig
from zmcache.embedded_etcd import EmbeddedEtcd
from zmcache.errors import DiscoveryError

CLUSTER: Final = "faults"
LEASE_S: Final = 3.0
HOT_S: Final = 1.0
BRIEF_S: Final = 3.0
"""`moved_ttl`: how long what may be old lives."""
BUDGETS_BYTES: Final = 3 * (32 << 20)
_END_S: Final = 25.0

# One line switches it on: a config that does not know them refuses them.
KNOWS_COPIES: Final = "copies" in {field.encode_name for field in msgspec.structs.fields(GroupConfig)}

_NODE: Final = """\
cluster: {cluster}
node: {{id: {name}, listen: "{place.listen}", advertise: "{place.advertise}", drain_timeout: 8s{more}}}
discovery: {discovery}
groups:
  kept: {{budget: 32MiB, hot_ttl: {hot:g}s, moved_ttl: {brief:g}s{copies}}}
  items: {{budget: 32MiB, hot_ttl: {hot:g}s, moved_ttl: {brief:g}s{copies}, ttl_jitter: 0, loader: {loader}}}
  mixed: {{budget: 32MiB, hot_ttl: {hot:g}s, moved_ttl: {brief:g}s{copies}, loader: {loader}}}
"""
_LOADER: Final = '{import: "faults.backend:load", batch: true}'


class Cluster:
    """Etcd runs while the context lasts, and nodes from `start` on. ``static``: for each node the members that it believes in, and no etcd."""

    def __init__(
        self,
        folder: Path,
        network: Network,
        copies: int,
        acks: int,
        *,
        static: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.folder, self.network = folder, network
        self.etcd = EmbeddedEtcd()
        self.nodes: dict[str, Child] = {}
        self.places: dict[str, Place] = {}
        self.expected_ends: set[int] = set()
        """Process ids of nodes that were ended on purpose."""
        self._copies = f", copies: {copies}, acks: {acks}" if KNOWS_COPIES else ""
        self._static = static
        self._all: list[Child] = []

    async def __aenter__(self) -> Self:
        try:
            if self._static is None:
                await self.etcd.start()
            await self.network.open("" if self._static is not None else self.etcd.endpoint)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        # The record is complete: nothing is gained by a long goodbye.
        for node in self._all:
            node.kill()
        await self.network.close()
        await self.etcd.stop()

    # -- nodes -----------------------------------------------------------------------------------------------------

    async def start(
        self,
        *names: str,
        more: str = "",
        program: tuple[str, ...] = (sys.executable, "-m", "zmcache"),
        prefix: tuple[str, ...] = (),
    ) -> None:
        """All at once; returns when each serves. ``more``: further settings of the node; ``program``: zmcache; ``prefix``: what runs that."""
        for name in names:
            place = self.places[name] = await self.network.place(name)
            file = self.folder / f"{name}.yaml"
            text = _NODE.format(
                cluster=CLUSTER, name=name, place=place, more=more, discovery=await self._discovery(name, place),
                hot=HOT_S, brief=BRIEF_S, copies=self._copies, loader=_LOADER,
            )  # fmt: skip
            file.write_text(text)
            env = {FOLDER: str(self.folder), NODE: name}
            node = Child(name, [*program, "serve", str(file)], self.folder, prefix=(*place.prefix, *prefix), env=env)
            self.nodes[name] = node
            self._all.append(node)
            self.network.runs_as(name, node.pid)
        for name in names:
            await self.nodes[name].wait_said(rf"^{name} serves at ")

    async def _discovery(self, name: str, place: Place) -> str:
        if self._static is None:
            return f'{{etcd: ["{place.etcd}"], lease: {LEASE_S:g}s}}'
        members = [(each, (await self.network.place(each)).advertise) for each in self._static[name]]
        return "{static: [" + ", ".join(f'{{id: {each}, endpoint: "{endpoint}"}}' for each, endpoint in members) + "]}"

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.expected_ends.add(self.nodes[name].pid)
        self.nodes.pop(name).kill()

    async def leave(self, name: str) -> None:
        """SIGTERM, and return when it has ended. Raises `Failed` unless it did so in good order."""
        node = self.nodes[name]
        self.expected_ends.add(node.pid)
        node.signal(signal.SIGTERM)
        code = await node.wait_ended(_END_S)
        del self.nodes[name]
        if code:
            raise Failed(f"{name} ended with code {code} after SIGTERM: {node.said()[-800:]}")

    @property
    def addresses(self) -> str:
        """For a client, of all that run."""
        return ",".join(self.places[name].address for name in self.nodes)

    def ended_by_themselves(self) -> list[str]:
        """In words, which nodes ended although nobody ended them."""
        return [
            f"{node.name} ended with code {node.code}: {node.said()[-300:]}"
            for node in self._all if not node.is_running and node.pid not in self.expected_ends
        ]  # fmt: skip

    def tracebacks(self) -> list[str]:
        """What nodes wrote that nobody should have to read: the last lines of each traceback."""
        return [
            f"{node.name}: {' / '.join(after.splitlines()[-3:])}"
            for node in self._all for after in _tracebacks(node.said())
        ]  # fmt: skip

    # -- what they say ---------------------------------------------------------------------------------------------

    async def wait_rest(self, limit_s: float, names: Collection[str] | None = None) -> None:
        """Until each has exactly the nodes that run in its ring, serving, and nothing is left to copy or to hand over. Raises `Failed`."""
        wanted = set(self.nodes if names is None else names)
        deadline_s = time.monotonic() + limit_s
        seen: dict[str, object] = {}
        while True:
            seen = {name: await self._seen_by(name) for name in wanted}
            if all(state == (wanted, 0.0) for state in seen.values()):
                return
            if time.monotonic() > deadline_s:
                raise Failed(
                    f"not at rest within {limit_s:g} s: expected {sorted(wanted)} in each ring and nothing left to copy, found {seen}"
                )
            await asyncio.sleep(0.05)

    async def _seen_by(self, name: str) -> tuple[set[str], float] | None:
        # A fresh client knows this one node, and its first ring is what that node said.
        with contextlib.suppress(zmcache.MeshError):
            async with zmcache.connect(self.places[name].address, connect_timeout=1.0) as client:
                members = client.ring().members
                figures = (await client.statistics(timeout=1.0)).get(name, {})
                if not figures:
                    return None
                left = sum(value for figure, value in figures.items() if figure.endswith((".copies_short", ".handing")))
                return {
                    member.node_id if member.state == "serving" else f"{member.node_id} ({member.state})"
                    for member in members
                }, left
        return None

    async def statistics(self) -> dict[str, dict[str, float]]:
        """Of all nodes that answer."""
        async with zmcache.connect(self.addresses, connect_timeout=5.0) as client:
            return await client.statistics(timeout=3.0)

    def resident_bytes(self) -> dict[str, int]:
        """Of each node that runs."""
        found = {}
        for name, node in self.nodes.items():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{node.pid}/status").read_text()
                found[name] = int(status.partition("VmRSS:")[2].split()[0]) << 10
        return found

    # -- etcd ------------------------------------------------------------------------------------------------------

    async def kill_etcd(self) -> None:
        """SIGKILL, and return when it is gone."""
        os.kill(self.etcd.pid, signal.SIGKILL)
        with contextlib.suppress(DiscoveryError):
            while self.etcd.pid:  # noqa: ASYNC110 - a process sets no event
                await asyncio.sleep(0.02)

    def forget_etcd(self) -> None:
        """Remove all that it has kept; it must not run."""
        shutil.rmtree(self.etcd.log_path.parent / "data")

    async def in_etcd(self, what: Any, *arguments: Any) -> Any:
        """``what(client, *arguments)`` with an etcd client, in a thread."""

        def ask() -> Any:
            with etcd_client(self.etcd.endpoint) as client:
                return what(client, *arguments)

        return await asyncio.to_thread(ask)


def revoke_lease(etcd: Any, name: str) -> None:
    """Of a node, as if etcd had not heard of it for too long."""
    found = etcd.get(key_of(CLUSTER, name))[1]
    if found is not None:
        etcd.revoke_lease(int(found.lease_id))


def compact(etcd: Any) -> None:
    """Make a history, and make etcd forget it."""
    for number in range(50):
        etcd.put("/elsewhere", str(number))
    etcd.compact(etcd.get("/elsewhere")[1].mod_revision)


def _tracebacks(log: str) -> list[str]:
    parts = log.split("Traceback (most recent call last)")[1:]
    # Its lines are indented but for the last one.
    found = []
    for part in parts:
        lines = part.splitlines()[1:]
        end = next((i for i, line in enumerate(lines) if line and not line.startswith(" ")), len(lines) - 1)
        found.append("\n".join(lines[: end + 1]))
    return found
