"""A process that this one owns: started, listened to, signalled, and gone when this one is.

It is in a session of its own, so that Ctrl-C in a terminal reaches this process alone, which then ends everything in
order. If this process is killed, `zmcache` commands see their sockets to it end and drain. A stopped one (SIGSTOP) sees
nothing, so the kernel wakes it by a signal on its parent's death; what is not zmcache's is killed by the same means (on
Linux with util-linux's ``setpriv``, for a launcher that starts it from its main thread).
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

_SERVES: Final = re.compile(r"serves at (?:tcp://)?(\S+) \(pid \d+\)$")
_CHUNK: Final = 65536
_LONGEST_LINE: Final = 2**20
_LINES_KEPT: Final = 15
_LAST_WORDS_S: Final = 1.0


class Process:
    """One process. ``on_change`` is called when it says where it serves, and when it has ended."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        on_change: Callable[[], None],
        line: socket.socket | None = None,
    ) -> None:
        """Not for use from outside: `start_zmcache`, `start_other`. ``line`` is kept open for as long as it lives."""
        self.name = name
        self.pid = process.pid
        self.address: str | None = None
        """Where it serves (host:port), from its own words."""
        self.is_paused = False
        self.is_ending = False
        """It was asked to end."""
        self.lines: deque[str] = deque(maxlen=_LINES_KEPT)
        """The last that it wrote."""
        self._process = process
        self._on_change = on_change
        self._line = line
        self._ended = asyncio.create_task(self._watch(), name=f"watch {name}")

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, paused or not."""
        return self._process.returncode is None

    @property
    def ending(self) -> str:
        """How it ended, in words: ``exited with code 0``, ``was ended by SIGKILL``; empty while it runs."""
        code = self._process.returncode
        if code is None or code >= 0:
            return "" if code is None else f"exited with code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    @property
    def last_line(self) -> str:
        """The last thing that it said."""
        return next((line for line in reversed(self.lines) if line), "it said nothing")

    def terminate(self) -> None:
        """Ask it to finish and end. A paused one goes on first: it would take no notice."""
        self.is_ending = True
        self._signal(signal.SIGTERM)
        self.resume()

    def kill(self) -> None:
        """End it at once, paused or not."""
        self.is_ending = True
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: it keeps its memory and its connections, and does nothing."""
        self.is_paused = True
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.is_paused = False
        self._signal(signal.SIGCONT)

    async def wait_ended(self, limit_s: float | None = None) -> bool:
        """Wait for its end, and until all that it wrote was read; False if it still runs then."""
        done, _ = await asyncio.wait([self._ended], timeout=limit_s)
        return bool(done)

    def _signal(self, signum: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signum)

    async def _watch(self) -> None:
        relay = asyncio.create_task(self._relay(), name=f"relay {self.name}")
        await self._process.wait()
        # What it left running may hold the stream open for ever; its own last words are there at once.
        await asyncio.wait([relay], timeout=_LAST_WORDS_S)
        relay.cancel()
        if self._line is not None:
            self._line.close()
        self._on_change()

    async def _relay(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        rest = b""
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._take(line.decode(errors="replace").rstrip())
        self._take(rest.decode(errors="replace").rstrip())

    def _take(self, line: str) -> None:
        self.lines.append(line)
        if self.address is None and (match := _SERVES.search(line)):
            self.address = match[1]
            self._on_change()


async def start_zmcache(name: str, arguments: Sequence[str], on_change: Callable[[], None]) -> Process:
    """``zmcache`` with these arguments, by this interpreter."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "zmcache", *arguments, f"--parent-pipe={theirs.fileno()}"]
        try:
            process = await _start(command, "CONT", {**os.environ, "PYTHONUNBUFFERED": "1"}, theirs.fileno())
        except BaseException:
            ours.close()
            raise
    return Process(name, process, on_change, ours)


async def start_other(
    name: str, command: Sequence[str], env: Mapping[str, str], on_change: Callable[[], None]
) -> Process:
    """Any other program. Raises `OSError`."""
    return Process(name, await _start(command, "KILL", env), on_change)


async def _start(
    command: Sequence[str], on_our_death: Literal["CONT", "KILL"], env: Mapping[str, str], *kept: int
) -> asyncio.subprocess.Process:
    prefix: list[str] = []
    if threading.current_thread() is threading.main_thread() and (setpriv := _setpriv()) is not None:
        prefix = [setpriv, "--pdeathsig", on_our_death]
    return await asyncio.create_subprocess_exec(
        *prefix, *command, pass_fds=kept, start_new_session=True, env=dict(env),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


@functools.cache
def _setpriv() -> str | None:
    """The program, where there is one that can do it."""
    found = shutil.which("setpriv")
    if found is None:
        return None
    probe = [found, "--pdeathsig", "CONT", "true"]
    done = subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return found if done.returncode == 0 else None
