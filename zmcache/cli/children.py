"""One node as a child process: started, listened to, ended.

The child is in a session of its own, so that Ctrl-C in a terminal reaches the launcher alone, which then ends
everything in order. Launcher and child share a pair of sockets: the child says through it that it serves, and sees by
its end that the launcher is gone, however it went. A node that begins anew is the same process and has the same socket: it says once more
that it serves. What the child writes, to either stream, comes here line by line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from zmcache.errors import ZmcacheError

_CHUNK: Final = 65536
_LONGEST_LINE: Final = 2**20
_LAST_WORDS_S: Final = 1.0


class DiedAtStart(ZmcacheError):
    """A node ended before it served."""


class Child:
    """A process of ``zmcache serve``. ``on_line`` gets each line that it writes, ``on_exit`` its exit code (negative: a
    signal's number), once. ``on_again`` is called when it has begun anew and serves again.
    """

    def __init__(
        self, node_id: str, process: asyncio.subprocess.Process, line: socket.socket,
        on_line: Callable[[str], None], on_exit: Callable[[int], None], on_again: Callable[[], None],
    ) -> None:  # fmt: skip
        """Not for use from outside: `start`."""
        self.node_id = node_id
        self.pid = process.pid
        self._process = process
        self._line = line
        self._on_line = on_line
        self._on_exit = on_exit
        self._on_again = on_again
        self._has_served: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._hearing = asyncio.create_task(self._hear(), name=f"hear {node_id}")
        self.ended = asyncio.create_task(self._watch(), name=f"watch {node_id}")
        """Done when the process has ended and all that it wrote was passed on."""

    @classmethod
    async def start(
        cls, node_id: str, arguments: Sequence[str],
        on_line: Callable[[str], None], on_exit: Callable[[int], None], on_again: Callable[[], None],
    ) -> Child:  # fmt: skip
        """Run ``zmcache serve`` with these arguments, by this interpreter."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "zmcache", "serve", *arguments, f"--parent-pipe={theirs.fileno()}",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                pass_fds=[theirs.fileno()], start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        return cls(node_id, process, ours, on_line, on_exit, on_again)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.returncode is None

    async def wait_serving(self) -> None:
        """Return when it serves. Raises `DiedAtStart`."""
        if await asyncio.shield(self._has_served):
            return
        # Its line ends a moment before it does: ended from here meanwhile, it would not tell its own exit code.
        await asyncio.wait([self.ended], timeout=_LAST_WORDS_S)
        raise DiedAtStart(f"{self.node_id} did not start")

    def terminate(self) -> None:
        """Ask it to drain and stop. Of no effect on one that has ended."""
        self._signal(signal.SIGTERM)
        # A process that was stopped takes no notice before it goes on.
        self._signal(signal.SIGCONT)

    def reload(self) -> None:
        """Ask it to read its file again."""
        self._signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, signum: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signum)

    async def _hear(self) -> None:
        """What it says through its socket, until that ends."""
        try:
            with suppress(OSError):
                while words := await asyncio.get_running_loop().sock_recv(self._line, 64):
                    for _ in range(words.count(b"\n")):
                        if self._has_served.done():
                            self._on_again()
                        else:
                            self._has_served.set_result(True)
        finally:
            if not self._has_served.done():
                self._has_served.set_result(False)

    async def _watch(self) -> None:
        relay = asyncio.create_task(self._relay(), name=f"relay {self.node_id}")
        code = await self._process.wait()
        # What a loader left running may hold the stream open for ever; the node's own last words are there at once.
        await asyncio.wait([relay], timeout=_LAST_WORDS_S)
        relay.cancel()
        self._hearing.cancel()
        await asyncio.wait([self._hearing])
        self._line.close()
        self._on_exit(code)

    async def _relay(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        rest = b""
        while chunk := await stream.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._on_line(line.decode(errors="replace"))
        if rest:
            self._on_line(rest.decode(errors="replace"))


def arguments_for(file: Path, node_id: str, etcd: str | None, log_level: str) -> list[str]:
    """What a node of a cluster file is started with."""
    return [str(file), f"--node={node_id}", f"--log-level={log_level}", *([f"--etcd={etcd}"] if etcd else [])]
