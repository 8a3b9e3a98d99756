"""`zmcache leave`, `zmcache rolling-restart` and `zmcache nodes`, on real processes: what was acknowledged stays, and nobody who asks notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eventually import answered, eventually_blocking
from processes import Command, free_port, running

import zmcache

NODES = ("node-1", "node-2", "node-3")
GROUPS = ("pairs", "single")


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[Command, Path, dict[str, str]]]:
    """`zmcache up` of three nodes whose groups load nothing: its file, and where each node is."""
    addresses = {node_id: f"127.0.0.1:{free_port()}" for node_id in NODES}
    nodes = "\n".join(f'  - {{id: {node_id}, listen: "tcp://{at}"}}' for node_id, at in addresses.items())
    file = folder / "cluster.yaml"
    file.write_text(
        f"etcd: embedded\nnodes:\n{nodes}\ngroups:\n"
        "  pairs: {budget: 32MiB, copies: 2, acks: 2}\n  single: {budget: 32MiB}\n"
    )
    with running("up", str(file), folder=folder) as up:
        up.wait_line(r"^up +\| all 3 nodes serve")
        yield up, file, addresses


def pid_of(up: Command, node_id: str) -> int:
    return int(up.wait_line(rf"\| {node_id} serves at \S+ \(pid (\d+)\)")[1])


def zm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zmcache", *arguments], capture_output=True, text=True, timeout=100, check=False
    )


def nodes_by_id(*addresses: str) -> dict[str, Any]:
    found = json.loads(zm("nodes", "--json", "--nodes", ",".join(addresses)).stdout)
    return {node["id"]: node for node in found["nodes"]}


class Writers:
    """They set and get, without a pause, for as long as the context lasts. ``wrong``: calls that failed, and values that are not the last ones."""

    def __init__(self, cache: zmcache.Cache, count: int = 500) -> None:
        self.values = {(group, f"k{n}"): b"first" for group in GROUPS for n in range(count)}
        self.calls = 0
        self.wrong: list[str] = []
        self._groups = {name: cache.group(name) for name in GROUPS}
        self._going = True

    async def __aenter__(self) -> Writers:
        for group, items in self._groups.items():
            mine = {key: value for (name, key), value in self.values.items() if name == group}
            assert await items.set_many(mine) == []
        names = list(self.values)
        self._tasks = [asyncio.create_task(self._work(names[at::8])) for at in range(8)]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)

    async def _work(self, names: list[tuple[str, str]]) -> None:
        while self._going:
            for group, key in names:
                await asyncio.sleep(0.005)
                await self._check(group, key)
                value = b"%d" % self.calls
                try:
                    await self._groups[group].set(key, value)
                    self.values[group, key] = value
                except zmcache.ZmcacheError as error:
                    self.wrong.append(f"set {group} {key}: {error!r}")
                if not self._going:
                    return

    async def _check(self, group: str, key: str) -> None:
        self.calls += 1
        try:
            value = await self._groups[group].get(key)
            if value != self.values[group, key]:
                self.wrong.append(f"{group} {key}: {value!r} in place of {self.values[group, key]!r}")
        except zmcache.ZmcacheError as error:
            self.wrong.append(f"get {group} {key}: {error!r}")

    async def check_all(self) -> None:
        for group, key in self.values:
            await self._check(group, key)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_rolling_restart_under_load_loses_nothing_and_no_call_fails(tmp_path: Path) -> None:
    with cluster(tmp_path) as (up, file, addresses):
        pids = {node_id: pid_of(up, node_id) for node_id in NODES}

        async def main() -> tuple[subprocess.CompletedProcess[str], Writers]:
            async with zmcache.connect(",".join(addresses.values()), timeout=5) as cache:
                async with Writers(cache) as writers:
                    done = await asyncio.to_thread(zm, "rolling-restart", str(file), "--pause", "100ms")
                await writers.check_all()
            return done, writers

        done, writers = asyncio.run(main())
        assert (done.returncode, done.stderr) == (0, "")
        for number, node_id in enumerate(NODES, start=1):
            assert f"{number} of 3: {node_id} serves again, after" in done.stdout
        assert writers.wrong == []
        assert writers.calls > 1000
        # They were the same processes all along, and their launcher knows.
        seen = nodes_by_id(*addresses.values())
        assert {node_id: node["state"] for node_id, node in seen.items()} == dict.fromkeys(NODES, "serving")
        assert all(f"{node_id} serves again" in "\n".join(up.out) for node_id in NODES)
        assert not any("exited" in line for line in up.out)
        assert all(sum(f"{node_id} serves at" in line for line in up.out) == 2 for node_id in NODES)
        assert all(
            f"(pid {pid})" in line for node_id, pid in pids.items() for line in up.out if f"{node_id} serves at" in line
        )
        up.send(signal.SIGTERM)
        assert up.wait_end() == 0


def test_a_node_that_leaves_hands_over_what_it_holds(tmp_path: Path) -> None:
    with cluster(tmp_path) as (up, _, addresses):
        values = {f"k{n}": b"%d" % n for n in range(300)}

        async def fill() -> None:
            async with zmcache.connect(addresses["node-1"]) as cache:
                for group in GROUPS:
                    assert await cache.group(group).set_many(values) == []

        async def read() -> list[dict[str, bytes]]:
            async with zmcache.connect(addresses["node-1"]) as cache:
                return [await cache.group(group).get_many(list(values)) for group in GROUPS]

        asyncio.run(fill())
        held = nodes_by_id(addresses["node-1"])["node-2"]["keys"]
        assert held > 200
        nodes = ("--nodes", f"{addresses['node-2']},{addresses['node-3']}")
        done = zm("leave", "node-2", *nodes)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].startswith("node-2 has left; handed over: ")
        up.wait_line("node-2 exited with code 0")
        assert asyncio.run(read()) == [values, values]
        again = zm("leave", "node-2", *nodes)
        assert (again.returncode, again.stderr) == (
            1,
            "Error: there is no node 'node-2' in the ring; there are: node-1, node-3\n",
        )


def test_a_node_that_stands_still_is_shown_with_who_suspects_it_and_cannot_be_asked_to_leave(tmp_path: Path) -> None:
    with cluster(tmp_path) as (up, _, addresses):
        pid = pid_of(up, "node-2")
        os.kill(pid, signal.SIGSTOP)
        try:
            # Before its lease ends it is in the ring, and nobody uses it.
            async def look() -> dict[str, Any]:
                return await asyncio.to_thread(nodes_by_id, addresses["node-1"])

            def is_suspected(found: dict[str, Any]) -> bool:
                return bool(found.get("node-2", {}).get("suspected_by") == ["node-1", "node-3"])

            found = asyncio.run(answered(look, is_suspected, what="node-2 is suspected", within_s=20))
            assert not found["node-2"]["answers"]
            assert found["node-1"]["suspected_by"] == []
            refused = zm("leave", "node-2", "--nodes", addresses["node-1"])
            assert refused.returncode == 1
            assert "node-2" in refused.stderr
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_signal_while_it_begins_anew_makes_it_stop(tmp_path: Path) -> None:
    with cluster(tmp_path) as (up, _, addresses):
        pid = pid_of(up, "node-3")
        asked = Command("leave", "node-3", "--anew", "--nodes", addresses["node-1"], "--timeout", "4s", folder=tmp_path)
        try:
            up.wait_line("node-3 .* asked to begin anew")
            os.kill(pid, signal.SIGTERM)
            up.wait_line("node-3 exited with code 0")
            assert asked.wait_end() == 1
            assert "node-3 does not serve again after 4s" in "\n".join(asked.err)
        finally:
            asked.end()


def test_a_node_with_a_static_list_begins_anew_in_its_place_and_cannot_leave_it(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    file = tmp_path / "node.yaml"
    file.write_text(f'node: {{id: only, listen: "tcp://{address}"}}\ngroups: {{items: {{}}}}\n')
    with running("serve", str(file), folder=tmp_path) as node:
        node.wait_address("only")
        for _ in range(3):
            done = zm("leave", "only", "--anew", "--nodes", address)
            assert (done.returncode, done.stderr) == (0, "")
        eventually_blocking(lambda: sum("only serves at" in line for line in node.out) == 4, lambda: node.out)
        done = zm("leave", "only", "--nodes", address)
        assert done.returncode == 1
        assert "fixed list" in done.stderr
        # The interpreter finds its file gone: that ends it, and is said.
        file.unlink()
        done = zm("rolling-restart", "--nodes", address, "--timeout", "3s")
        assert done.returncode == 1
        assert "stopped at only (1 of 1): only does not serve again" in done.stderr
        assert node.wait_end() == 2
