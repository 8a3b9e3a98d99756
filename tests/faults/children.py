"""Processes of our own: what they write goes to a file each, and none outlives us.

The kernel kills a child when the one who started it is gone (util-linux's ``setpriv``), a stopped one too. Only what was started here is ever
signalled.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent.parent
_POLL_S: Final = 0.02


class Failed(Exception):
    """What a run needs did not come about, through no fault of what is tested, or it is not known whose; the run is no run."""


class Child:
    """One process, running. ``command`` may begin with what puts it somewhere: see `faults.network`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._seen = self.log.stat().st_size if self.log.exists() else 0
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ZMCACHE_")}
        paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, *dying_with_us(), *command],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder, start_new_session=True,
                env={**clean, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(paths), **(env or {})},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        """The exit code; below zero: the signal that ended it."""
        return self._process.poll()

    def signal(self, signum: int) -> None:
        """Of no effect when it has ended."""
        if self.is_running:
            self._process.send_signal(signum)

    def said(self) -> str:
        """What it wrote."""
        with self.log.open("rb") as log:
            log.seek(self._seen)
            return log.read().decode(errors="replace")

    async def wait_said(self, pattern: str, limit_s: float = 40.0) -> re.Match[str]:
        """The first that it writes like this. Raises `Failed`."""
        deadline_s = time.monotonic() + limit_s
        while (found := re.search(pattern, self.said(), re.MULTILINE)) is None:
            if not self.is_running and re.search(pattern, self.said(), re.MULTILINE) is None:
                raise Failed(f"{self.name} ended with {self.code}: {self.said()[-800:]}")
            if time.monotonic() > deadline_s:
                raise Failed(f"{self.name} has not said {pattern!r} within {limit_s:g} s: {self.said()[-800:]}")
            await asyncio.sleep(_POLL_S)
        return found

    async def wait_ended(self, limit_s: float) -> int:
        """Its exit code. Raises `Failed`."""
        deadline_s = time.monotonic() + limit_s
        while (code := self.code) is None:
            if time.monotonic() > deadline_s:
                raise Failed(f"{self.name} still runs after {limit_s:g} s: {self.said()[-800:]}")
            await asyncio.sleep(_POLL_S)
        return code

    def close_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """It is gone afterwards."""
        self.close_input()
        if self.is_running:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def dying_with_us() -> list[str]:
    """What to put before a command, so that the kernel ends it with us; nothing where that cannot be had."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL"]
