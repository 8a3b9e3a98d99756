"""`zmcache up` as a process: a cluster on one machine, and nothing left of it afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from eventually import eventually_blocking
from processes import Command, free_port, is_alive, kill_quietly, running, taken_port

import zmcache

NODES = ("node-1", "node-2", "node-3")


def write_cluster(folder: Path, *, etcd: bool = True, last_listen: str = "tcp://127.0.0.1:0") -> Path:
    # A static list cannot hold ports that nobody knows yet.
    ports = [0, 0] if etcd else [free_port(), free_port()]
    listens = [*(f"tcp://127.0.0.1:{port}" for port in ports), last_listen]
    nodes = "\n".join(
        f'  - {{id: {node_id}, listen: "{listen}", drain_timeout: 5s}}'
        for node_id, listen in zip(NODES, listens, strict=True)
    )
    file = folder / "cluster.yaml"
    file.write_text(
        f"{'etcd: embedded' if etcd else ''}\nnodes:\n{nodes}\n"
        'groups:\n  items: {loader: {import: "zmcache.examples:echo", batch: true}}\n'
    )
    return file


def pids_of(up: Command) -> dict[str, int]:
    """Of etcd and the nodes, once all serve."""
    up.wait_line(r"^up +\| all 3 nodes serve")
    return {name: int(up.wait_line(rf"\| {name} serves at \S+ \(pid (\d+)\)")[1]) for name in ("etcd", *NODES)}


def addresses_of(up: Command) -> str:
    return ",".join(up.wait_line(rf"\| {name} serves at tcp://(\S+) ")[1] for name in NODES)


def wait_gone(pids: dict[str, int], limit_s: float = 20) -> None:
    def left() -> list[str]:
        return [name for name, pid in pids.items() if is_alive(pid)]

    eventually_blocking(lambda: not left(), left, within_s=limit_s)


def test_ctrl_c_takes_everything_down(tmp_path: Path) -> None:
    with running("up", str(write_cluster(tmp_path)), folder=tmp_path) as up:
        pids = pids_of(up)

        async def ask() -> list[bytes | None]:
            async with zmcache.connect(addresses_of(up)) as client:
                items = client.group("items")
                return list(await asyncio.gather(*(items.get(f"k{i}") for i in range(50))))

        assert all(asyncio.run(ask()))
        up.send(signal.SIGINT)
        assert up.wait_end() == 0
        assert not any(is_alive(pid) for pid in pids.values())
    assert up.err == []
    # each line says whose it is, and each end is announced
    assert {line.partition(" |")[0].strip() for line in up.out} == {"up", *NODES}
    for node_id in NODES:
        assert f"{node_id} exited with code 0" in "\n".join(up.out)


def test_a_node_that_dies_is_announced_and_the_others_go_on(tmp_path: Path) -> None:
    with running("up", str(write_cluster(tmp_path)), folder=tmp_path) as up:
        pids = pids_of(up)
        os.kill(pids["node-2"], signal.SIGKILL)
        up.wait_line(r"^up +\| node-2 was ended by SIGKILL")

        async def ask() -> bytes | None:
            async with zmcache.connect(addresses_of(up), timeout=10) as client:
                return await client.group("items").get("k")

        assert asyncio.run(ask()) is not None
        assert is_alive(pids["node-1"])
        assert is_alive(pids["node-3"])
        for node_id in ("node-1", "node-3"):
            os.kill(pids[node_id], signal.SIGKILL)
        assert up.wait_end() == 1
        assert "no node is left" in up.out[-1]
        assert not is_alive(pids["etcd"])


def test_killed_outright_it_leaves_nothing_behind(tmp_path: Path) -> None:
    with running("up", str(write_cluster(tmp_path)), folder=tmp_path) as up:
        pids = pids_of(up)
        try:
            up.send(signal.SIGKILL)
            assert up.wait_end() == -signal.SIGKILL
            wait_gone(pids)
        finally:
            for pid in pids.values():
                kill_quietly(pid)


def test_a_node_that_hangs_is_killed_at_the_second_signal(tmp_path: Path) -> None:
    with running("up", str(write_cluster(tmp_path)), folder=tmp_path) as up:
        pids = pids_of(up)
        up.send(signal.SIGTERM)
        up.wait_line(r"node-3 \| .* SIGTERM: leaving the ring")
        # It waits for half a second of quiet now.
        os.kill(pids["node-3"], signal.SIGSTOP)
        up.send(signal.SIGTERM)
        assert up.wait_end() == 1
        assert not any(is_alive(pid) for pid in pids.values())


@pytest.mark.parametrize("etcd", [True, False])
def test_a_node_that_does_not_start_takes_the_others_down(tmp_path: Path, *, etcd: bool) -> None:
    with taken_port() as port:
        file = write_cluster(tmp_path, etcd=etcd, last_listen=f"tcp://127.0.0.1:{port}")
        with running("up", str(file), folder=tmp_path) as up:
            assert up.wait_end() == 1
    text = "\n".join(up.out)
    assert f"node-3 | Error: {file}: nodes[2].listen: " in text
    assert "node-3 exited with code 2" in text
    assert "node-3 did not start: taking everything down" in text
