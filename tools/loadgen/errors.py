"""What ends a run, or keeps it from starting. A request that fails ends nothing: it is counted.

    LoadgenError
    |- TargetUnavailable     nobody there: at the start the run is refused, later the counters are merely older
    |- TargetRefused         it is there, and will never do what is asked (no such group, a wrong address)
    `- TraceError            the file cannot be read on; what was asked before it broke stands

The text of each is one line that a person at a shell can act on.
"""

from __future__ import annotations


class LoadgenError(Exception):
    """The root of the generator's own errors."""


class TargetUnavailable(LoadgenError):
    """No node answers."""


class TargetRefused(LoadgenError):
    """Every request of this run would fail, so that going on would measure nothing."""


class TraceError(LoadgenError):
    """The trace is empty, damaged, or ends inside a record."""
