"""How long a node's loop ever stood still, told by the node itself: its config names `load` as the loader of a group of its own.

So the process that is measured is an ordinary ``zmcache serve``. A timer of a millisecond notes by how much it came late. Each key that is asked
for must be a new one, or the cache answers: ``start:1``, ``read:2``.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Final

TARGET: Final = "zmcache_loadgen.bench.probe:load"
_EVERY_S: Final = 0.001


class Probe:
    """A timer of a millisecond in the running loop. It begins at once."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None
        self.start()

    def start(self) -> None:
        """From here on, or again from here on."""
        self.stop()
        self._last_s = time.perf_counter()
        self._longest_s = 0.0
        self._handle = asyncio.get_running_loop().call_later(_EVERY_S, self._tick)

    def _tick(self) -> None:
        now_s = time.perf_counter()
        self._longest_s = max(self._longest_s, now_s - self._last_s - _EVERY_S)
        self._last_s = now_s
        self._handle = asyncio.get_running_loop().call_later(_EVERY_S, self._tick)

    def stop(self) -> None:
        """Measure no more."""
        if self._handle is not None:
            self._handle.cancel()

    def read(self) -> dict[str, float]:
        """The longest pause, in milliseconds."""
        return {"pause_ms": self._longest_s * 1e3}


_probes: list[Probe] = []
"""At most one: a loader is a function, and the process has one loop."""


async def load(key: str) -> bytes:
    """``start:...`` begins to measure; any other key gives what was measured, as JSON."""
    if key.startswith("start:"):
        if _probes:
            _probes[0].start()
        else:
            _probes.append(Probe())
        return b"{}"
    return json.dumps(_probes[0].read()).encode()
