"""A cluster of the generator's own: every node of a cluster file as a process of it, so that it can be done to them what
befalls nodes.

Each node is what people run, ``zmcache serve FILE --node ID``; with ``etcd: embedded`` there is an etcd besides. What
is done to a node needs its process and nothing of its inside. All of them are gone when the context ends, the paused
ones too, and also when this process is killed.

A node that listens at port 0 serves at another one when it is started again, as the ring then says. One that was
killed serves again only when the lease of its former self is over.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import yaml

import zmcache

from .errors import LoadgenError
from .own_etcd import OwnEtcd
from .process import Process, start_zmcache

_START_LIMIT_S: Final = 60.0
_LOOK_S: Final = 0.02
_END_LIMIT_S: Final = 30.0  # more than a node takes to drain, unless its file says otherwise


class ClusterFailed(LoadgenError):
    """The cluster does not do what was asked; the text says what it said last."""


class Serving(NamedTuple):
    """A process that serves: where it answers (host:port), and its process id."""

    address: str
    pid: int


class Cluster:
    """Nodes, and perhaps their etcd. What is done to them returns how it went, in words, and raises `ClusterFailed`."""

    def __init__(
        self, file: Path, node_ids: Sequence[str], *, own_etcd: bool, first: Iterable[str] | None = None
    ) -> None:
        """``first``: the nodes to start with; None: all."""
        self.file = file
        self.node_ids = tuple(node_ids)
        self.owns_etcd = own_etcd
        self._first = self.node_ids if first is None else tuple(first)
        self._nodes: dict[str, Process] = {}
        self._starting: set[str] = set()
        self._etcd: OwnEtcd | None = None
        self._etcd_folder: Path | None = None
        self._changed = asyncio.Event()

    @classmethod
    def from_file(cls, path: str | Path, *, first: Iterable[str] | None = None) -> Self:
        """The cluster of a cluster file, not started yet. Raises `ClusterFailed`; what is wrong inside of the file its
        nodes say when they start.
        """
        file = Path(path)
        try:
            raw = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as exc:
            raise ClusterFailed(f"{file}: cannot be read: {' '.join(str(exc).split())}") from exc
        if not isinstance(raw, Mapping) or not isinstance(raw.get("nodes"), list) or not raw["nodes"]:
            raise ClusterFailed(f"{file}: expected a cluster file, with a list of `nodes`, found none")
        return cls(file, _ids(file, raw["nodes"]), own_etcd=raw.get("etcd") == "embedded", first=first)

    @property
    def addresses(self) -> list[str]:
        """Where the nodes serve that run, paused ones included."""
        return [one.address for one in self._nodes.values() if one.is_running and one.address is not None]

    @property
    def serving(self) -> dict[str, Serving]:
        """All that run, the etcd included if it is ours, by name."""
        found = {
            name: Serving(one.address, one.pid) for name, one in self._nodes.items() if one.is_running and one.address
        }
        if self._etcd is not None and self._etcd.is_running and self._etcd.process is not None:
            found["etcd"] = Serving(self._etcd.address, self._etcd.process.pid)
        return found

    @property
    def endings(self) -> dict[str, str]:
        """How each node that has ended did, in words: ``exited with code 0``."""
        return {name: one.ending for name, one in self._nodes.items() if not one.is_running}

    async def wait(self, condition: Callable[[], bool], what: str, *, limit_s: float = _START_LIMIT_S) -> None:
        """Return when ``condition()``, of what is known here, is true. Raises `ClusterFailed` when that takes too long."""
        try:
            async with asyncio.timeout(limit_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise ClusterFailed(
                f"waited {limit_s:.0f} s for {what}; the nodes said last:\n{self.last_lines()}"
            ) from None

    def last_lines(self) -> str:
        """The last that each node wrote."""
        return "\n".join(f"    {name}: {line}" for name, one in self._nodes.items() for line in list(one.lines)[-5:])

    async def start(self, node_id: str) -> str:
        """Start a node that does not run, and return when it serves. One that is ending is waited for."""
        before = self._node(node_id)
        if node_id in self._starting or (before is not None and before.is_running and not before.is_ending):
            raise ClusterFailed(f"{node_id} runs already")
        self._starting.add(node_id)
        began_s = monotonic()
        try:
            if before is not None:
                await before.wait_ended()
            arguments = ["serve", str(self.file), f"--node={node_id}"]
            if self._etcd is not None:
                arguments.append(f"--etcd={self._etcd.address}")
            node = self._nodes[node_id] = await start_zmcache(node_id, arguments, self._changed.set)
            await self.wait(lambda: node.address is not None or not node.is_running, f"{node_id} to serve")
        finally:
            self._starting.discard(node_id)
        if not node.is_running:
            await node.wait_ended()
            raise ClusterFailed(f"{node_id} {node.ending}: {node.last_line}")
        return f"serves at {node.address} after {monotonic() - began_s:.1f} s"

    async def stop(self, node_id: str) -> str:
        """SIGTERM, and return when it has drained and ended. A paused one goes on first."""
        node, began_s = self._running(node_id), monotonic()
        node.terminate()
        if not await node.wait_ended(_END_LIMIT_S):
            raise ClusterFailed(f"{node_id} has not ended {_END_LIMIT_S:.0f} s after SIGTERM: {node.last_line}")
        return f"{node.ending} after {monotonic() - began_s:.1f} s"

    async def kill(self, node_id: str) -> str:
        """SIGKILL, and return when it is gone."""
        node = self._running(node_id)
        node.kill()
        await node.wait_ended()
        return node.ending

    async def pause(self, node_id: str) -> str:
        """SIGSTOP: it keeps its connections and answers nobody."""
        node = self._running(node_id)
        if node.is_paused:
            raise ClusterFailed(f"{node_id} is paused already")
        node.pause()
        return "paused"

    async def resume(self, node_id: str) -> str:
        """SIGCONT."""
        node = self._running(node_id)
        if not node.is_paused:
            raise ClusterFailed(f"{node_id} is not paused")
        node.resume()
        return "goes on"

    async def stop_etcd(self) -> str:
        """End the etcd; its data stay."""
        etcd = self._own_etcd()
        if not etcd.is_running or etcd.process is None:
            raise ClusterFailed("etcd does not run")
        await etcd.stop()
        return etcd.process.ending

    async def start_etcd(self) -> str:
        """Start the etcd again, with the data and at the address that it had."""
        etcd, began_s = self._own_etcd(), monotonic()
        if etcd.is_running:
            raise ClusterFailed("etcd runs already")
        await etcd.start()
        return f"serves at {etcd.address} after {monotonic() - began_s:.1f} s"

    def terminate(self, node_id: str) -> None:
        """SIGTERM, and look on: `endings` will tell."""
        self._running(node_id).terminate()

    async def __aenter__(self) -> Self:
        try:
            if self.owns_etcd:
                self._etcd_folder = Path(tempfile.mkdtemp(prefix="zmcache-loadgen-etcd-"))
                self._etcd = OwnEtcd(self._etcd_folder, self._changed.set)
                await self._etcd.start()
            starts = [asyncio.create_task(self.start(node_id)) for node_id in self._first]
            try:
                await asyncio.gather(*starts)
            finally:
                for start in starts:
                    start.cancel()
                await asyncio.gather(*starts, return_exceptions=True)
            await self._wait_rest()
        except BaseException:
            await self._take_down(at_once=True)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._take_down(at_once=False)

    async def _take_down(self, *, at_once: bool) -> None:
        """The nodes first, each draining unless it is paused or there is no time, then etcd, so that they can say goodbye."""
        left = [node for node in self._nodes.values() if node.is_running]
        try:
            for node in left:
                if at_once or node.is_paused:
                    node.kill()
                else:
                    node.terminate()
            await asyncio.gather(*(node.wait_ended(_END_LIMIT_S) for node in left))
        finally:
            for node in left:
                node.kill()
            if self._etcd is not None and self._etcd.process is not None:
                self._etcd.process.kill()
            await asyncio.gather(*(node.wait_ended() for node in left))
            if self._etcd is not None and self._etcd.process is not None:
                await self._etcd.process.wait_ended()
            if self._etcd_folder is not None:
                shutil.rmtree(self._etcd_folder, ignore_errors=True)

    async def _wait_rest(self) -> None:
        """Until each of the nodes that were started has all of them in its ring.

        Etcd tells each by itself. Before all know of all, two may take a key for theirs, and a client does not know whom to count.
        """
        try:
            async with asyncio.timeout(_START_LIMIT_S):
                for node_id in self._first:
                    while not set(self._first) <= await _ring_of(self.serving[node_id].address):  # noqa: ASYNC110 - a node tells nobody of a new ring
                        await asyncio.sleep(_LOOK_S)
        except (TimeoutError, KeyError) as exc:  # no such name: it serves no more
            raise ClusterFailed(f"the nodes have not found each other; they said last:\n{self.last_lines()}") from exc

    def _node(self, node_id: str) -> Process | None:
        if node_id not in self.node_ids:
            raise ClusterFailed(f"there is no node {node_id!r} in {self.file}; there are {', '.join(self.node_ids)}")
        return self._nodes.get(node_id)

    def _running(self, node_id: str) -> Process:
        node = self._node(node_id)
        if node is None or not node.is_running:
            raise ClusterFailed(f"{node_id} does not run: {node.ending if node else 'it was never started'}")
        return node

    def _own_etcd(self) -> OwnEtcd:
        if self._etcd is None:
            raise ClusterFailed(f"the etcd of {self.file} is not ours to stop or start: only an `embedded` one is")
        return self._etcd


async def _ring_of(address: str) -> set[str]:
    """Whom the node there knows of; nobody, where it does not answer. A fresh client's ring is what the node that it asked has just said."""
    with suppress(zmcache.MeshError):
        async with zmcache.connect(address) as client:
            return {member.node_id for member in client.ring().members}
    return set()


def _ids(file: Path, nodes: Sequence[Any]) -> list[str]:
    ids = []
    for index, node in enumerate(nodes):
        node_id = node.get("id") if isinstance(node, Mapping) else None
        if not isinstance(node_id, str) or not node_id:
            raise ClusterFailed(f"{file}: nodes[{index}].id: expected the name of the node, found none")
        ids.append(node_id)
    return ids
