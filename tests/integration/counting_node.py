"""Node files whose loader writes down each key that it is asked for, in a file of its process: loads are counted outside the cache, and by nobody who
could be wrong together with it.
"""

from __future__ import annotations

from pathlib import Path

CLUSTER = "acceptance"
_LOADER = """
import asyncio, os

async def load(keys):
    with open("loads-%d" % os.getpid(), "a") as log:
        log.writelines(key + "\\n" for key in keys)
    await asyncio.sleep({load_s})
    return {{key: ("value of " + key).encode() for key in keys}}
"""
_NODE = """
cluster: {cluster}
node: {{id: {node_id}, listen: "tcp://127.0.0.1:{port}", weight: {weight}, drain_timeout: 5s}}
discovery: {discovery}
groups:
  items: {{budget: 64MiB, loader: {{import: "counting_backend:load", batch: true}}}}
"""


def value_of(key: str) -> bytes:
    """What the loader answers."""
    return f"value of {key}".encode()


def write_node(
    folder: Path, node_id: str, discovery: str, *, port: int = 0, weight: float = 1.0, load_s: float = 0.001
) -> Path:
    """A node file, and beside it the loader, which takes ``load_s`` a batch; the node has to run in this folder."""
    (folder / "counting_backend.py").write_text(_LOADER.format(load_s=load_s))
    file = folder / f"{node_id}.yaml"
    file.write_text(_NODE.format(cluster=CLUSTER, node_id=node_id, port=port, weight=weight, discovery=discovery))
    return file


def loads_in(folder: Path) -> list[str]:
    """The keys that loaders were asked for, one entry a load, in no order, by all nodes that ever ran in this folder."""
    return [key for log in folder.glob("loads-*") for key in log.read_text().split()]
