"""Who may touch a transport: the event loop, and the process, that made it.

A libzmq socket used from two threads corrupts itself, and after a fork both processes hold one connection. Both mistakes
are silent, so connecting, listening and closing ask here first; sending does not, which is paid for each frame.
"""

from __future__ import annotations

import asyncio
import os

from zmcache.errors import LifecycleError


class Owner:
    """The running loop and process at the time of making. Raises `LifecycleError` where no loop runs."""

    __slots__ = ("_pid", "loop")

    def __init__(self) -> None:
        try:
            self.loop = asyncio.get_running_loop()
        except RuntimeError as exc:
            raise LifecycleError("a transport is made inside a running event loop") from exc
        self._pid = os.getpid()

    def check(self) -> None:
        """Raises `LifecycleError` on another loop, in another thread, without a loop, or in a forked child."""
        if os.getpid() != self._pid:
            raise LifecycleError("the transport was made before a fork; make one in the new process")
        try:
            here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            here = False
        if not here:
            raise LifecycleError("the transport belongs to another event loop; use call_soon_threadsafe of that loop")
