"""docs/examples/quotes.py prints the same lines in its process, on three nodes over TCP, or over sockets in the file system."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mesh_members import rings_agree
from processes import run_python, running

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PROGRAM = (EXAMPLES / "quotes.py").read_text()
CLUSTER = (EXAMPLES / "quotes.yaml").read_text()
NODES = ("node-1", "node-2", "node-3")


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return run_python(PROGRAM, folder=tmp_path_factory.mktemp("program"))


@contextmanager
def three_nodes(folder: Path, *, over: str) -> Iterator[list[str]]:
    """The cluster file as it is shipped, but for the endpoints, once each node has all three in its ring; their endpoints."""
    listens = iter([f"ipc://{folder}/{at}" if over == "ipc" else "tcp://127.0.0.1:0" for at in range(3)])
    text, count = re.subn(r"tcp://127\.0\.0\.1:75\d\d", lambda _: next(listens), CLUSTER.partition("\nnodes:")[2])
    assert count == 3
    file = folder / "quotes.yaml"
    file.write_text(CLUSTER.partition("nodes:")[0] + "nodes:" + text)
    with running("up", str(file), folder=folder) as up:
        up.wait_line(r"^up +\| all 3 nodes serve")
        endpoints = [up.wait_line(rf"\| {name} serves at (\S+) ")[1] for name in NODES]
        asyncio.run(rings_agree(endpoints))
        yield endpoints


def test_it_says_what_its_calls_do(in_process: list[str]) -> None:
    assert len(in_process) == 22
    told = dict(line.split(": ", 1) for line in in_process)
    assert told["a hundred callers"] == "{10000}"
    assert told["the exchange was asked"] == "1"
    assert told["past its life"] == "10000 stale"
    assert told["four changes at once"] == "Quote(symbol='ACME', price=12560)"
    assert told["get_or_set"] == "{10000} asked: 1"


@pytest.mark.parametrize("over", ["tcp", "ipc"])
def test_on_three_nodes_it_prints_the_same_again_and_again(
    over: str, in_process: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("n")  # a short name: a socket's path has to fit into 107 bytes
    with three_nodes(folder, over=over) as endpoints:
        if over == "tcp":
            hosts = ",".join(endpoint.removeprefix("tcp://") for endpoint in endpoints)
            addresses = [f"zmcache://{hosts}", f"zmcache://{hosts}/?route=any&timeout=5s"]
        else:
            addresses = [endpoints[0], ",".join(endpoints) + "/?timeout=5s"]
        for address in addresses:
            assert run_python(PROGRAM, address, folder=folder) == in_process
