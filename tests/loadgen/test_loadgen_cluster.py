"""A cluster of one's own, of real processes: what can be done to it, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest
from eventually import eventually_blocking
from processes import is_alive, kill_quietly
from zmcache_loadgen.cluster import Cluster, ClusterFailed

GROUPS = {"items": {"budget": "1MiB", "loader": {"import": "zmcache.examples:echo", "batch": True}}}
KEEPER = """
import asyncio, sys
from zmcache_loadgen.cluster import Cluster

async def keep():
    async with Cluster.from_file(sys.argv[1]) as cluster:
        await cluster.pause("n1")
        print(*[serving.pid for serving in cluster.serving.values()], flush=True)
        await asyncio.Event().wait()

asyncio.run(keep())
"""


def cluster_file(folder: Path, *ids: str, **changes: object) -> Path:
    nodes = [{"id": node_id, "listen": "tcp://127.0.0.1:0"} for node_id in ids]
    path = folder / "cluster.yaml"
    path.write_text(json.dumps({"cluster": "t", "etcd": "embedded", "nodes": nodes, "groups": GROUPS, **changes}))
    return path


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def failure(doing: Awaitable[object]) -> str:
    with pytest.raises(ClusterFailed) as caught:
        await doing
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nodes_and_etcd_are_started_paused_killed_stopped_and_started_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with Cluster.from_file(cluster_file(tmp_path, "n1", "n2"), first=["n1"]) as cluster:
            assert list(cluster.serving) == ["n1", "etcd"]
            assert "never started" in await failure(cluster.stop("n2"))
            assert "serves at 127.0.0.1:" in await cluster.start("n2")
            assert await failure(cluster.start("n2")) == "n2 runs already"
            assert len(cluster.addresses) == 2

            first = cluster.serving["n2"].pid
            await cluster.pause("n2")
            eventually_blocking(lambda: state(first) == "T", lambda: state(first))
            assert await failure(cluster.pause("n2")) == "n2 is paused already"
            await cluster.resume("n2")
            eventually_blocking(lambda: state(first) != "T", lambda: state(first))
            assert await failure(cluster.resume("n2")) == "n2 is not paused"

            assert "exited with code 0" in await cluster.stop("n2")
            assert cluster.endings == {"n2": "exited with code 0"}
            assert not is_alive(first)
            await cluster.start("n2")
            assert cluster.serving["n2"].pid != first
            assert cluster.endings == {}

            before = cluster.serving["etcd"]
            await cluster.stop_etcd()
            assert not is_alive(before.pid)
            assert await failure(cluster.stop_etcd()) == "etcd does not run"
            await cluster.start_etcd()
            assert cluster.serving["etcd"].address == before.address
            assert await failure(cluster.start_etcd()) == "etcd runs already"

            assert await cluster.kill("n2") == "was ended by SIGKILL"
            assert cluster.endings == {"n2": "was ended by SIGKILL"}
            assert "there is no node 'n3'" in await failure(cluster.kill("n3"))
            left = [serving.pid for serving in cluster.serving.values()]
            await cluster.pause("n1")
        assert len(left) == 2
        assert not any(map(is_alive, left))

    asyncio.run(check())


def test_nodes_that_are_stopped_while_paused_drain_and_a_start_waits_for_the_end(tmp_path: Path) -> None:
    async def check() -> None:
        async with Cluster.from_file(cluster_file(tmp_path, "n1")) as cluster:
            await cluster.pause("n1")
            ended, _ = await asyncio.gather(cluster.stop("n1"), cluster.start("n1"))
            assert "exited with code 0" in ended
            assert list(cluster.serving) == ["n1", "etcd"]

    asyncio.run(check())


def test_nothing_is_left_when_the_generator_is_killed_not_even_a_paused_node(tmp_path: Path) -> None:
    file = cluster_file(tmp_path, "n1", "n2")
    env = {**os.environ, "TMPDIR": str(tmp_path)}  # who is killed cannot tidy up
    command = [sys.executable, "-c", KEEPER, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as keeper:
        pids: list[int] = []
        try:
            assert keeper.stdout is not None
            pids = [int(pid) for pid in keeper.stdout.readline().split()]
            assert len(pids) == 3
            eventually_blocking(lambda: state(pids[0]) == "T", lambda: state(pids[0]))
            os.kill(keeper.pid, signal.SIGKILL)
            eventually_blocking(lambda: not any(map(is_alive, pids)), lambda: [is_alive(pid) for pid in pids])
        finally:
            for pid in (keeper.pid, *pids):
                kill_quietly(pid)


def test_a_node_that_does_not_start_takes_the_others_down_and_its_own_words_are_told(tmp_path: Path) -> None:
    async def check() -> None:
        groups = {"items": {"loader": {"import": "zmcache.examples:nothing"}}}
        cluster = Cluster.from_file(cluster_file(tmp_path, "n1", "n2", groups=groups))
        told = await failure(cluster.__aenter__())
        assert "exited with code 2" in told
        assert "zmcache.examples:nothing" in told
        assert cluster.serving == {}
        assert cluster.addresses == []

    asyncio.run(check())


def test_the_etcd_of_others_is_left_alone(tmp_path: Path) -> None:
    async def check() -> None:
        cluster = Cluster.from_file(cluster_file(tmp_path, "n1", etcd=["127.0.0.1:1"]))
        assert not cluster.owns_etcd
        assert "not ours to stop" in await failure(cluster.stop_etcd())

    asyncio.run(check())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("a: [", "cannot be read"),
        ("node: {id: n1}", "expected a cluster file"),
        ("nodes: []", "expected a cluster file"),
        ("nodes: [{id: n1}, {listen: 'tcp://127.0.0.1:0'}]", "nodes[1].id: expected the name of the node"),
    ],
)
def test_a_file_that_is_no_cluster_file_is_refused_in_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "cluster.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ClusterFailed) as caught:
        Cluster.from_file(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
