"""The stage of the demonstration: a SQLite database in a temporary folder, and a cluster of real processes that load
from it: etcd, three nodes, and later a fourth one.

Every port is the system's choice, so that it runs beside anything, itself included.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from . import cluster
from .errors import LoadgenError

GROUP: Final = "items"
FIRST_NODES: Final = ("node-1", "node-2", "node-3")
VALUE_BYTES: Final = 128

_JOINERS: Final = ("node-4",)


class DemoFailed(LoadgenError):
    """The demonstration could not go on; the text says why."""


class Cluster(cluster.Cluster):
    """The demonstration's."""

    def stop_node(self, node_id: str) -> None:
        """SIGTERM to a node that serves; `endings` tells how it ended."""
        self.terminate(node_id)


@contextlib.asynccontextmanager
async def running_cluster(rows: int) -> AsyncIterator[Cluster]:
    """A database of ``rows`` rows, and three nodes that serve. Raises `ClusterFailed`."""
    with tempfile.TemporaryDirectory(prefix="zmcache-demo-") as folder:
        make_database(Path(folder) / "items.db", rows)
        file = Path(folder) / "cluster.yaml"
        file.write_text(json.dumps(_config(Path(folder)), indent=2))  # JSON is YAML
        async with Cluster.from_file(file, first=FIRST_NODES) as running:
            yield running


@contextlib.asynccontextmanager
async def joining_node(running: Cluster, node_id: str) -> AsyncIterator[None]:
    """One more node of the cluster, that serves for as long as the context lasts. Raises `ClusterFailed`."""
    await running.start(node_id)
    try:
        yield
    finally:
        with contextlib.suppress(cluster.ClusterFailed):  # it has ended by itself, and its requests have told
            await running.stop(node_id)


def make_database(path: Path, rows: int) -> None:
    """A table ``items`` of the keys ``0`` to ``rows - 1``, each with a value of 128 bytes."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE items (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        database.executemany("INSERT INTO items VALUES (?, ?)", ((str(row), value_of(str(row))) for row in range(rows)))


def value_of(key: str) -> bytes:
    """The value of a key in the database."""
    return f"row {key} ".encode().ljust(VALUE_BYTES, b".")


def _config(folder: Path) -> dict[str, object]:
    sql = {"url": f"sqlite:///{folder / 'items.db'}", "query": "SELECT key, value FROM items WHERE key IN :keys"}
    return {
        "cluster": "demo",
        "etcd": "embedded",
        "nodes": [{"id": node_id, "listen": "tcp://127.0.0.1:0"} for node_id in (*FIRST_NODES, *_JOINERS)],
        "groups": {GROUP: {"budget": "64MiB", "loader": {"sql": sql}}},
    }
