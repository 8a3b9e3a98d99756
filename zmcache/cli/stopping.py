"""Being asked to stop, once kindly and once more in earnest; for the processes that run until they are asked to.

Who asks over the wire (`zmcache leave`) asks as kindly, however often: only a signal that follows a signal is meant in earnest. It may ask the
process to begin anew, too (`zmcache.cli.anew`), which whoever asks it to stop overrules.

One way of being asked is the end of the launcher. It is seen through a socket that only the launcher holds
(``--parent-pipe``, not for people): the system closes it however the launcher ends, which a signal on the parent's death
does not promise.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import click

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_ON_ITS_WAY_S: Final = 0.01

parent_pipe_option = click.option("--parent-pipe", type=click.IntRange(min=3), hidden=True)


class Stop:
    """Who asked this process to stop, and how often. From the second time on signals meet their default handlers.

    ``anew``: whether it is to begin again afterwards, as far as is known.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_first: Callable[[str], None]) -> None:
        self._loop = loop
        self._on_first = on_first
        self.asked = asyncio.Event()
        self.asked_again = asyncio.Event()
        self.anew = False
        self._is_counted = False
        for signum in SIGNALS:
            loop.add_signal_handler(signum, self.ask, signum.name)

    def ask(self, reason: str) -> None:
        """The first time: finish and stop. The second: stop."""
        self.anew = False
        if not self._is_counted:
            self._is_counted = True
            self.asked.set()
            self._on_first(reason)
        else:
            self.asked_again.set()
            for signum in SIGNALS:
                self._loop.remove_signal_handler(signum)

    def ask_from_afar(self, reason: str, *, anew: bool) -> None:
        """Finish and stop, and begin again if ``anew``. It counts for nothing: a first signal that follows changes no more than ``anew``."""
        if self.asked.is_set():
            self.anew &= anew
        else:
            self.anew = anew
            self.asked.set()
            self._on_first(reason)

    async def is_anew_at_last(self) -> bool:
        """Whether to begin again, for good: a signal from now on ends the process, as its default is."""
        for signum in SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        # One that came a moment ago is still on its way through the loop.
        await asyncio.sleep(_ON_ITS_WAY_S)
        return self.anew


def on_hangup(stop: Stop, reload: Callable[[], None]) -> None:
    """On SIGHUP ``reload``, as daemons do; but where it means what it says, that the terminal is gone, stop as before."""
    had_terminal = sys.stdin is not None and sys.stdin.isatty()

    def on_signal() -> None:
        if had_terminal and not sys.stdin.isatty():
            stop.ask("the terminal is gone")
        else:
            reload()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_signal)


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


@contextmanager
def launched(descriptor: int | None, stop: Stop) -> Iterator[socket.socket | None]:
    """The launcher's socket, whose end of stream asks to stop; None where nobody launched this process."""
    if descriptor is None:
        yield None
        return
    # What a loader starts must not hold the socket open.
    os.set_inheritable(descriptor, False)
    loop = asyncio.get_running_loop()
    with socket.socket(fileno=descriptor) as launcher:
        launcher.setblocking(False)

        def on_end() -> None:
            loop.remove_reader(launcher)
            stop.ask("the launcher is gone")

        # It never writes: readable means its end.
        loop.add_reader(launcher, on_end)
        try:
            yield launcher
        finally:
            loop.remove_reader(launcher)
