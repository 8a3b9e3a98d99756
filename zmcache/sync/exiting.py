"""The end of a program that has not closed its connections: their loops stop before the interpreter does.

Python ends daemon threads where they next want to run Python code; but uvloop asks for that in a way that crashes the process where the interpreter
is already gone, and a timer in the last millisecond is enough for that (seen once in some hundred ends). So, just before, each loop is
made to stand still for ever. It fails nobody's calls: the threads that still wait are daemons, which end without a word.

Exit handlers of the program that were registered after this module was imported run before it and find everything as always; those registered earlier
run after it, and their calls are refused.
"""

from __future__ import annotations

import atexit
import os
import threading
from _thread import allocate_lock
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from zmcache.sync.bridge import Bridge

# A loop that does not get to it by then is held up by a callback of the program's own.
_LIMIT_S: Final = 1.0

_running: Final[WeakSet[Bridge]] = WeakSet()


def stop_with_the_program(bridge: Bridge) -> None:
    """``bridge`` runs from now on."""
    _running.add(bridge)


def _stop_all() -> None:
    for bridge in list(_running):
        if bridge.loop is not None and bridge.pid == os.getpid() and not bridge.frozen:
            stands = threading.Event()
            bridge.frozen = True
            try:
                bridge.loop.call_soon_threadsafe(_stand_still, stands)
            except RuntimeError:  # it has been closed
                continue
            stands.wait(_LIMIT_S)


def _stand_still(stands: threading.Event) -> None:
    never = allocate_lock()
    never.acquire()
    stands.set()
    never.acquire()


atexit.register(_stop_all)
