"""The processes that are measured, on ports of the system's choosing and loopback alone, each in a folder that goes with it.

Nodes are what people run, ``zmcache serve FILE``; redis-server and memcached are the system's, told to keep nothing on disk. All of
them end with the context that started them; nodes and the echo also when this process is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from .goals import NotMeasurable

LOOPBACK: Final = "127.0.0.1"
_START_LIMIT_S: Final = 30.0
_END_LIMIT_S: Final = 5.0


class Server(NamedTuple):
    """A process that answers at a port of `LOOPBACK`."""

    port: int
    pid: int

    @property
    def address(self) -> str:
        """As ``host:port``."""
        return f"{LOOPBACK}:{self.port}"

    def resident_bytes(self) -> int:
        """What of its memory is in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A port that nobody listens at now."""
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def node(
    groups: Mapping[str, Mapping[str, Any]],
    *,
    node_id: str = "bench",
    port: int | None = None,
    settings: Mapping[str, object] | None = None,
    **config: object,
) -> AsyncIterator[Server]:
    """``zmcache serve`` with these groups, and ``settings`` of the node. Raises `NotMeasurable` when it does not start."""
    port = port or free_port()
    settings = {"id": node_id, "listen": f"tcp://{LOOPBACK}:{port}", "drain_timeout": "0s", **(settings or {})}
    with tempfile.TemporaryDirectory(prefix="zmcache-bench-") as folder:
        file = Path(folder) / "node.yaml"
        file.write_text(json.dumps({"cluster": "bench", "node": settings, "groups": groups, **config}))  # JSON is YAML
        ours, theirs = socket.socketpair()
        with ours, theirs:
            command = [sys.executable, "-m", "zmcache", "serve", str(file), f"--parent-pipe={theirs.fileno()}"]
            command.append("--log-level=error")  # what it tells while it does well would stand between the rows
            async with running(command, pass_fds=(theirs.fileno(),), folder=folder) as process:
                await _answering(process, port, "the node")
                yield Server(port, process.pid)


@asynccontextmanager
async def redis() -> AsyncIterator[Server]:
    """A redis-server. Raises `NotMeasurable` where there is none."""
    program, port = _found("redis-server", "redis-server"), free_port()
    command = [program, "--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no"]
    async with _plain(command, port) as server:
        yield server


@asynccontextmanager
async def memcached() -> AsyncIterator[Server]:
    """A memcached with 1 GiB. Raises `NotMeasurable` where there is none."""
    program, port = _found("memcached", "memcached"), free_port()
    user = ["-u", "root"] if os.geteuid() == 0 else []
    async with _plain([program, "-l", LOOPBACK, "-p", str(port), "-U", "0", "-m", "1024", *user], port) as server:
        yield server


@asynccontextmanager
async def echo() -> AsyncIterator[Server]:
    """The blocking ZeroMQ echo, in a process of its own."""
    command = [sys.executable, "-m", "zmcache_loadgen.bench.echo"]
    async with running(command, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        async with asyncio.timeout(_START_LIMIT_S):
            line = await process.stdout.readline()
        if not line:
            raise NotMeasurable("the ZeroMQ echo did not start")
        yield Server(int(line), process.pid)


@asynccontextmanager
async def _plain(command: list[str], port: int) -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="zmcache-bench-") as folder:
        async with running(command, folder=folder) as process:
            await _answering(process, port, Path(command[0]).name)
            yield Server(port, process.pid)


@asynccontextmanager
async def running(
    command: list[str], *, folder: str | None = None, stdin: int = DEVNULL, stdout: int = DEVNULL, pass_fds: tuple[int, ...] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:  # fmt: skip
    """Run it, in a session of its own so that a Ctrl-C is ours to handle; SIGTERM at the end, and SIGKILL if that is not enough."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdin=stdin, stdout=stdout, pass_fds=pass_fds, start_new_session=True
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_END_LIMIT_S):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _answering(process: asyncio.subprocess.Process, port: int, name: str) -> None:
    """Return when somebody listens at the port. Raises `NotMeasurable`."""
    try:
        async with asyncio.timeout(_START_LIMIT_S):
            while process.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(LOOPBACK, port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise NotMeasurable(f"{name} did not answer within {_START_LIMIT_S:.0f} s") from None
    raise NotMeasurable(f"{name} ended at its start, with code {process.returncode}")


def _found(program: str, package: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise NotMeasurable(f"{program} is not installed: apt-get install {package}")
    return path
