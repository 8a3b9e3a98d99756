"""Real processes of zmcache, for tests: their lines are waited for, their ends are waited for, and none outlives its test."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from eventually import eventually_blocking

LIMIT_S = 60.0
LOADGEN = (sys.executable, "-c", "from zmcache_loadgen.cli import main; main()")
"""The load generator as a command of its own, whether or not its script is on the PATH."""


class Command:
    """``zmcache`` with some arguments, running. ``out`` and ``err`` grow as it writes."""

    def __init__(self, *arguments: str, folder: Path, env: dict[str, str] | None = None) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ZMCACHE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zmcache", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
            start_new_session=True, env={**clean, "PYTHONUNBUFFERED": "1", **(env or {})},
        )  # fmt: skip
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=args, daemon=True)
            for args in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: object, lines: list[str]) -> None:
        for line in stream:  # type: ignore[attr-defined]
            lines.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait_line(self, pattern: str, limit_s: float = LIMIT_S) -> re.Match[str]:
        """The first line of the standard output in which the pattern is found."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found[:] = [match for line in list(self.out) if (match := re.search(pattern, line))]
            return bool(found) or self.process.poll() is not None

        eventually_blocking(look, lambda: f"{pattern!r} in {self.out + self.err}", within_s=limit_s)
        assert found, f"ended with {self.process.returncode} without {pattern!r}: {self.out + self.err}"
        return found[0]

    def wait_address(self, node_id: str) -> str:
        """Where this node says that it serves, once it does: host:port."""
        return self.wait_line(rf"^{node_id} serves at tcp://(\S+) \(pid \d+\)$")[1]

    def wait_end(self, limit_s: float = LIMIT_S) -> int:
        """The exit code, when all that it wrote has been read."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {limit_s} s: {self.out + self.err}") from None
        for reader in self._readers:
            reader.join(5)
        return code

    def end(self) -> None:
        """Whatever became of it, it is gone afterwards, and so is what it started."""
        if self.process.poll() is None:
            # SIGTERM, so that its children end with it; what does not, is killed.
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def running(*arguments: str, folder: Path, env: dict[str, str] | None = None) -> Iterator[Command]:
    command = Command(*arguments, folder=folder, env=env)
    try:
        yield command
    finally:
        command.end()


def run_python(program: str, *arguments: str, folder: Path) -> list[str]:
    """The lines that a program prints; it has to end well, with nothing on its standard error, warnings included."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not waited for does not."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def kill_quietly(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


# Below those that the system gives to listeners that name none, and to connections: of both there are many while tests run side by side. Whoever
# was told one of those as free would find it taken now and then, or, where nobody is to answer, be connected to itself.
_PORTS = range(20_000, 32_000)
_untried = islice(cycle(_PORTS), os.getpid() * 1009 % len(_PORTS), None)  # each process of tests begins elsewhere


def free_port() -> int:
    """A port that nobody listens on just now, and that nobody else is given until all others have been."""
    while True:
        port = next(_untried)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
