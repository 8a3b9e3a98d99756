"""Being asked to stop, once kindly and once more in earnest; for the processes that run until they are asked to."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Who asked this process to stop, and how often. From the second time on signals meet their default handlers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_first: Callable[[str], None]) -> None:
        self._loop = loop
        self._on_first = on_first
        self.asked = asyncio.Event()
        self.asked_again = asyncio.Event()
        for signum in SIGNALS:
            loop.add_signal_handler(signum, self.ask, signum.name)

    def ask(self, reason: str) -> None:
        """The first time: finish and stop. The second: stop."""
        if not self.asked.is_set():
            self.asked.set()
            self._on_first(reason)
        else:
            self.asked_again.set()
            for signum in SIGNALS:
                self._loop.remove_signal_handler(signum)


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do ``work``, but give it up when ``event`` is set before it is done; whether it was done. Raises what it raises."""
    doing, waiting = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            doing.cancel()
        with suppress(asyncio.CancelledError):
            await doing
            return True
        return False
    finally:
        waiting.cancel()
