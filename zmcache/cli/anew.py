"""Beginning anew: the process runs the program that it was started with once more, in its own place.

The process stays the same one for all who look at it from outside: its id, its launcher's socket, its standard streams, what a service manager knows
of it. What it has opened itself goes: Python opens nothing that would be inherited. The new program reads config and code from the disk, so this
is also how a node gets another version of either.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn


def begin_anew(folder: str, *kept: int) -> NoReturn:
    """Never returns. ``folder`` is where it began, for a loader may have gone elsewhere; ``kept`` are descriptors that the new program is to have.

    Raises `OSError` where the interpreter is not there any more; then all is as before.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(folder)
    # What asks to read the file again comes too early for a program that has not read it yet, and must not end it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for descriptor in kept:
        os.set_inheritable(descriptor, True)
    # Not by the first of those words: what was found on the PATH then may not be what is found there now.
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
