"""The stage of the demonstration: a SQLite database in a temporary folder, and real processes that load from it.

``zmcache up`` runs etcd and three nodes, ``zmcache serve`` a fourth one later. Every port is the system's choice, so
that it runs beside anything, itself included; where things are is read from the lines that they print. Whatever ends
this process, its children see their sockets to it end and take themselves down.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, NamedTuple

from .errors import LoadgenError

GROUP: Final = "items"
FIRST_NODES: Final = ("node-1", "node-2", "node-3")
VALUE_BYTES: Final = 128

_SERVES: Final = re.compile(r"(\S+) serves at (?:tcp://)?(\S+) \(pid (\d+)\)$")
_ENDED: Final = re.compile(r"(\S+) (exited with code \d+|was ended by \S+)$")
_START_LIMIT_S: Final = 60.0
_END_LIMIT_S: Final = 30.0


class DemoFailed(LoadgenError):
    """The demonstration could not go on; the text says what the cluster said last."""


class Serving(NamedTuple):
    """A process that serves: where it answers (host:port), and its process id."""

    address: str
    pid: int


class Cluster:
    """What runs, as far as its lines tell."""

    def __init__(self, folder: Path) -> None:
        """``folder`` holds the database and the config files."""
        self.folder = folder
        self.serving: dict[str, Serving] = {}
        self.endings: dict[str, str] = {}
        """How each node that has ended did, in words: ``exited with code 0``."""
        self._lines: list[str] = []
        self._changed = asyncio.Event()

    async def wait(self, condition: Callable[[], bool], what: str, *, limit_s: float = _START_LIMIT_S) -> None:
        """Return when ``condition()`` is true. Raises `DemoFailed` when that takes too long or the cluster is gone."""
        try:
            async with asyncio.timeout(limit_s):
                while not condition():
                    if "cluster" in self.endings:
                        raise DemoFailed(f"the cluster has ended while waiting for {what}:\n{self.last_lines()}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise DemoFailed(f"waited {limit_s:.0f} s for {what}:\n{self.last_lines()}") from None

    def last_lines(self) -> str:
        """The last that its processes wrote."""
        return "\n".join(f"    {line}" for line in self._lines[-15:])

    def stop_node(self, node_id: str) -> None:
        """SIGTERM to a node that serves."""
        os.kill(self.serving[node_id].pid, signal.SIGTERM)

    @contextlib.asynccontextmanager
    async def run(self, *arguments: str, name: str) -> AsyncIterator[None]:
        """``zmcache`` with these arguments, for as long as the context lasts; then SIGTERM, and SIGKILL if that is not
        enough.
        """
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "zmcache", *arguments, f"--parent-pipe={theirs.fileno()}",
                    pass_fds=[theirs.fileno()], start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                )  # fmt: skip
            listening = asyncio.create_task(self._listen(process, name))
            try:
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await asyncio.wait([listening], timeout=_END_LIMIT_S)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await asyncio.wait([listening])

    async def _listen(self, process: asyncio.subprocess.Process, name: str) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            self._take(raw.decode(errors="replace").rstrip())
        self.endings[name] = f"exited with code {await process.wait()}"
        self._changed.set()

    def _take(self, line: str) -> None:
        self._lines.append(line)
        if match := _SERVES.search(line):
            self.serving[match[1]] = Serving(match[2], int(match[3]))
        elif match := _ENDED.search(line):
            self.endings[match[1]] = match[2]
        self._changed.set()


@contextlib.asynccontextmanager
async def running_cluster(rows: int) -> AsyncIterator[Cluster]:
    """A database of ``rows`` rows, and three nodes that serve. Raises `DemoFailed`."""
    with tempfile.TemporaryDirectory(prefix="zmcache-demo-") as folder:
        cluster = Cluster(Path(folder))
        make_database(cluster.folder / "items.db", rows)
        nodes = [{"id": node_id, "listen": "tcp://127.0.0.1:0"} for node_id in FIRST_NODES]
        file = _write(cluster.folder / "cluster.yaml", {"etcd": "embedded", "nodes": nodes, **_shared(cluster.folder)})
        async with cluster.run("up", str(file), name="cluster"):
            await cluster.wait(lambda: all(node_id in cluster.serving for node_id in FIRST_NODES), "three nodes")
            yield cluster


@contextlib.asynccontextmanager
async def joining_node(cluster: Cluster, node_id: str) -> AsyncIterator[None]:
    """One more node of the cluster, that serves for as long as the context lasts. Raises `DemoFailed`."""
    node = {"id": node_id, "listen": "tcp://127.0.0.1:0"}
    discovery = {"etcd": [cluster.serving["etcd"].address]}
    file = _write(cluster.folder / f"{node_id}.yaml", {"node": node, "discovery": discovery, **_shared(cluster.folder)})
    async with cluster.run("serve", str(file), name=node_id):
        await cluster.wait(lambda: node_id in cluster.serving or node_id in cluster.endings, node_id)
        if node_id in cluster.endings:
            raise DemoFailed(f"{node_id} {cluster.endings[node_id]}:\n{cluster.last_lines()}")
        yield


def make_database(path: Path, rows: int) -> None:
    """A table ``items`` of the keys ``0`` to ``rows - 1``, each with a value of 128 bytes."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE items (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        database.executemany("INSERT INTO items VALUES (?, ?)", ((str(row), value_of(str(row))) for row in range(rows)))


def value_of(key: str) -> bytes:
    """The value of a key in the database."""
    return f"row {key} ".encode().ljust(VALUE_BYTES, b".")


def _shared(folder: Path) -> dict[str, object]:
    """What every node of a cluster has to say alike."""
    sql = {"url": f"sqlite:///{folder / 'items.db'}", "query": "SELECT key, value FROM items WHERE key IN :keys"}
    return {"cluster": "demo", "groups": {GROUP: {"budget": "64MiB", "loader": {"sql": sql}}}}


def _write(path: Path, config: dict[str, object]) -> Path:
    path.write_text(json.dumps(config, indent=2))  # JSON is YAML
    return path
