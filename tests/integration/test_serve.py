"""`zmcache serve` as a process: how it starts, what it says, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from etcd_access import etcd_client, key_of
from eventually import eventually, eventually_blocking
from processes import Command, free_port, is_alive, running, taken_port

import zmcache
from zmcache.embedded_etcd import EmbeddedEtcd

SLOW_LOADER = """
import asyncio, pathlib

async def load(key):
    pathlib.Path("began-" + key).touch()
    await asyncio.sleep({seconds})
    return key.encode()
"""
NODE = """
node: {{id: only, listen: "tcp://127.0.0.1:{port}", drain_timeout: {drain}}}
groups:
  items: {{loader: {{import: "{loader}"}}, load_timeout: 60s}}
"""


def write_node(folder: Path, *, port: int = 0, drain: str = "5s", seconds: float | None = None) -> Path:
    """A node file; with ``seconds`` its loader stands beside it and takes so long."""
    loader = "zmcache.examples:value_of"
    if seconds is not None:
        (folder / "slow_backend.py").write_text(SLOW_LOADER.format(seconds=seconds))
        loader = "slow_backend:load"
    file = folder / "node.yaml"
    file.write_text(NODE.format(port=port, drain=drain, loader=loader))
    return file


@contextlib.asynccontextmanager
async def asked_slowly(node: Command, folder: Path) -> AsyncIterator[asyncio.Task[Any]]:
    """A get whose load is under way."""
    async with zmcache.connect(node.wait_address("only"), timeout=30) as client:
        answer = asyncio.create_task(client.group("items").get("k"))
        while not (folder / "began-k").exists():  # noqa: ASYNC110 - a file sets no event
            await asyncio.sleep(0.01)
        yield answer
        answer.cancel()
        await asyncio.wait([answer])


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(tmp_path: Path, signum: int) -> None:
    with running("serve", str(write_node(tmp_path)), folder=tmp_path) as node:
        node.wait_address("only")
        node.send(signum)
        assert node.wait_end() == 0
    assert node.err[-1].endswith("only stopped")


def test_sigterm_takes_its_key_out_of_etcd(tmp_path: Path, shared_etcd: EmbeddedEtcd) -> None:
    file = write_node(tmp_path)
    key = key_of("zmcache", "only")
    with etcd_client(shared_etcd.endpoint) as etcd:
        with running("serve", str(file), f"--etcd={shared_etcd.endpoint}", folder=tmp_path) as node:
            address = node.wait_address("only")
            assert address.encode() in etcd.get(key)[0]
            node.send(signal.SIGTERM)
            assert node.wait_end() == 0
        assert etcd.get(key) == (None, None)


def test_what_is_in_flight_when_it_is_asked_to_stop_is_answered(tmp_path: Path) -> None:
    file = write_node(tmp_path, seconds=0.5)

    async def ask(node: Command) -> bytes | None:
        async with asked_slowly(node, tmp_path) as answer:
            node.send(signal.SIGTERM)
            value: bytes | None = await answer
            return value

    with running("serve", str(file), folder=tmp_path) as node:
        assert asyncio.run(ask(node)) == b"k"
        assert node.wait_end() == 0


def test_a_second_signal_stops_it_at_once_with_1(tmp_path: Path) -> None:
    file = write_node(tmp_path, seconds=60, drain="60s")

    async def ask(node: Command) -> None:
        async with asked_slowly(node, tmp_path):
            node.send(signal.SIGTERM)
            eventually_blocking(lambda: any("SIGTERM" in line for line in node.err), lambda: node.err)
            node.send(signal.SIGTERM)
            assert node.wait_end(10) == 1

    with running("serve", str(file), folder=tmp_path) as node:
        asyncio.run(ask(node))


def test_a_loader_that_swallows_its_cancellation_does_not_keep_the_process(tmp_path: Path) -> None:
    stubborn = """
import asyncio, pathlib

async def load(key):
    pathlib.Path("began-" + key).touch()
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
"""
    file = write_node(tmp_path, drain="100ms", seconds=60)
    (tmp_path / "slow_backend.py").write_text(stubborn)
    with running("serve", str(file), folder=tmp_path) as node:
        address = node.wait_line(r"serves at tcp://(\S+)")[1]

        async def ask() -> None:
            async with zmcache.connect(address) as client:
                asking = asyncio.ensure_future(client.group("items").get("k"))
                await eventually((tmp_path / "began-k").exists)
                node.send(signal.SIGTERM)
                await asyncio.gather(asking, return_exceptions=True)

        asyncio.run(ask())
        assert node.wait_end() == 0
        assert any("left behind" in line for line in node.err)


def test_a_port_in_use_is_one_line_with_the_file_and_the_place_in_it(tmp_path: Path) -> None:
    with taken_port() as port:
        file = write_node(tmp_path, port=port)
        with running("serve", str(file), folder=tmp_path) as node:
            assert node.wait_end() == 2
        assert node.out == []
        (line,) = node.err
        assert line.startswith(f"Error: {file}: node.listen: ")
        assert str(port) in line
        assert "in use" in line


def test_a_port_in_use_is_found_in_a_cluster_file_too(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    with taken_port() as port:
        nodes = f'[{{id: a, listen: "tcp://127.0.0.1:{free_port()}"}}, {{id: b, listen: "tcp://127.0.0.1:{port}"}}]'
        file.write_text(f"nodes: {nodes}\ngroups: {{items: {{}}}}\n")
        with running("serve", str(file), folder=tmp_path, env={"ZMCACHE_NODE_ID": "b"}) as node:
            assert node.wait_end() == 2
        assert node.err[0].startswith(f"Error: {file}: nodes[1].listen: ")


def test_a_loader_that_cannot_be_found_is_one_line_with_its_group(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text('node: {listen: "tcp://127.0.0.1:0"}\ngroups: {items: {loader: {import: "nowhere_at_all:load"}}}\n')
    with running("serve", str(file), folder=tmp_path) as node:
        assert node.wait_end() == 2
    (line,) = node.err
    assert line.startswith(f"Error: {file}: groups.items.loader: ")
    assert "nowhere_at_all" in line


def test_without_an_etcd_it_gives_up_after_start_timeout_with_one_line_and_1(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    nobody = f"127.0.0.1:{free_port()}"
    file.write_text(
        'node: {id: only, listen: "tcp://127.0.0.1:0", start_timeout: 1s}\n'
        f'discovery: {{etcd: ["{nobody}"]}}\ngroups: {{items: {{}}}}\n'
    )
    with running("serve", str(file), "--log-level=error", folder=tmp_path) as node:
        assert node.wait_end() == 1
    (line,) = node.err
    assert line.startswith("Error: ")
    assert nobody in line


def test_a_signal_while_it_tries_to_start_ends_it_with_0(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    with socket.socket() as silent:
        # It takes connections and never answers.
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        file.write_text(
            'node: {id: only, listen: "tcp://127.0.0.1:0"}\n'
            f'discovery: {{etcd: ["127.0.0.1:{silent.getsockname()[1]}"]}}\ngroups: {{items: {{}}}}\n'
        )
        with running("serve", str(file), folder=tmp_path) as node:
            silent.accept()[0].close()
            node.send(signal.SIGTERM)
            assert node.wait_end() == 0
    assert node.out == []


def test_it_drains_when_its_launcher_is_gone(tmp_path: Path) -> None:
    file = write_node(tmp_path)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "zmcache", "serve", str(file), f"--parent-pipe={theirs.fileno()}"],
            pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        theirs.close()
        ours.settimeout(20)
        assert ours.recv(64)
        assert is_alive(process.pid)
    assert process.wait(20) == 0
