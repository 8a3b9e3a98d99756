"""Wrong addresses, no node, no etcd: one clear line and an exit code, or a retry where waiting makes sense."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from counting_node import value_of
from processes import LOADGEN, free_port, running

import zmcache
from zmcache.embedded_etcd import EmbeddedEtcd

LOADER = 'def load(key):\n    return ("value of " + key).encode()\n'
NODE = """
node: {{id: only, listen: "tcp://127.0.0.1:{port}", start_timeout: {start_timeout}, state_dir: state}}
discovery: {discovery}
groups: {{items: {{loader: {{import: "backend:load"}}}}}}
"""


def write_node(folder: Path, discovery: str, *, port: int = 0, start_timeout: str = "20s") -> Path:
    (folder / "backend.py").write_text(LOADER)
    (folder / "state").mkdir(exist_ok=True)
    file = folder / "node.yaml"
    file.write_text(NODE.format(discovery=discovery, port=port, start_timeout=start_timeout))
    return file


async def get(nodes: str) -> bytes | None:
    async with zmcache.connect(nodes, connect_timeout=15) as client:
        return await client.group("items").get("k")


@pytest.mark.parametrize("command", [("get", "k"), ("set", "k", "v"), ("delete", "k"), ("stats",), ("ring",)])
def test_a_command_that_finds_nobody_is_one_line_with_the_address_and_1(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with running(*command, "--nodes", nobody, "--timeout", "500ms", folder=tmp_path) as process:
        assert process.wait_end() == 1
    assert process.out == []
    (line,) = process.err
    assert line.startswith("Error: ")
    assert nobody in line


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:", "127.0.0.1:99999", ","])
def test_what_cannot_be_an_address_is_one_line_and_2(tmp_path: Path, address: str) -> None:
    with running("get", "k", "--nodes", address, folder=tmp_path) as process:
        assert process.wait_end() == 2
    (line,) = process.err
    assert line.startswith("Error: ")


def test_a_host_that_has_no_address_is_one_line_and_1(tmp_path: Path) -> None:
    with running("get", "k", "--nodes", "host.invalid:7401", "--timeout", "1s", folder=tmp_path) as process:
        assert process.wait_end() == 1
    (line,) = process.err
    assert "host.invalid:7401" in line


def test_a_load_generator_that_finds_nobody_is_one_line_and_2(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    done = subprocess.run(
        [*LOADGEN, "run", "--nodes", nobody, "--no-progress"],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert nobody in line


@pytest.mark.parametrize("route", ["owner", "any"])
def test_one_good_address_among_dead_ones_is_enough(tmp_path: Path, route: str) -> None:
    file = write_node(tmp_path, "{}")

    async def ask(nodes: str) -> list[bytes | None]:
        async with zmcache.connect(nodes, route=route, timeout=5) as client:
            return [await client.group("items").get(f"k{i}") for i in range(20)]

    with running("serve", str(file), folder=tmp_path) as node:
        nodes = f"127.0.0.1:{free_port()},{node.wait_address('only')},127.0.0.1:{free_port()}"
        assert asyncio.run(ask(nodes)) == [value_of(f"k{i}") for i in range(20)]


def test_a_client_that_comes_before_its_node_waits_for_it(tmp_path: Path) -> None:
    port = free_port()
    file = write_node(tmp_path, "{}", port=port)

    async def main() -> bytes | None:
        asked = asyncio.create_task(get(f"127.0.0.1:{port}"))
        # Long enough that its first attempts have failed.
        done, _ = await asyncio.wait([asked], timeout=0.5)
        assert not done
        with running("serve", str(file), folder=tmp_path):
            return await asked

    assert asyncio.run(main()) == value_of("k")


def test_a_node_that_comes_before_its_etcd_serves_once_that_is_there(tmp_path: Path) -> None:
    port = free_port()
    file = write_node(tmp_path, f'{{etcd: ["127.0.0.1:{port}"]}}')

    async def main() -> bytes | None:
        with running("serve", str(file), folder=tmp_path) as node:
            with pytest.raises(AssertionError, match="serves"):
                await asyncio.to_thread(node.wait_line, r"^only serves", 2.0)
            async with EmbeddedEtcd(port=port):
                return await get(await asyncio.to_thread(node.wait_address, "only"))

    assert asyncio.run(main()) == value_of("k")


def test_a_node_that_has_seen_its_cluster_starts_without_etcd(tmp_path: Path) -> None:
    async def first_life() -> Path:
        async with EmbeddedEtcd() as etcd:
            file = write_node(tmp_path, f'{{etcd: ["{etcd.endpoint}"]}}')
            with running("serve", str(file), folder=tmp_path) as node:
                assert await get(await asyncio.to_thread(node.wait_address, "only")) == value_of("k")
                # As after a power cut: nothing is signed off, and etcd does not come back.
                node.process.kill()
            return file

    file = asyncio.run(first_life())
    with running("serve", str(file), folder=tmp_path) as node:
        assert asyncio.run(get(node.wait_address("only"))) == value_of("k")
