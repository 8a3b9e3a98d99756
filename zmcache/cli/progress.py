"""What a command that waits says meanwhile: on a terminal one line that changes, else a line whenever there is something new to say.

Into a file or a pipe only what happens goes at once; how far it has come (keys, bytes) at most every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from zmcache.cli.tables import escaped

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

_AGAIN_S: Final = 5.0


class Progress:
    """Use it as ``with``. ``out``: the standard output."""

    def __init__(self, out: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._status: Status | None = _status(out) if out.is_terminal else None
        self._what = self._text = ""
        self._said_s = 0.0

    def __enter__(self) -> Self:
        """Begin."""
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """The line that changes goes; the others stay."""
        if self._status is not None:
            self._status.stop()

    def now(self, what: str, how_far: str = "") -> None:
        """Say what is under way, and how far it has come."""
        text = f"{what}: {how_far}" if how_far else what
        if self._status is not None:
            self._status.update(escaped(text))
        elif what != self._what or (text != self._text and self._clock() - self._said_s >= _AGAIN_S):
            self._say(text)
            self._said_s = self._clock()
        self._what, self._text = what, text

    def done(self, text: str) -> None:
        """Say what has been done; that line stays."""
        self._say(text)

    def _say(self, text: str) -> None:
        self._out.print(escaped(text), soft_wrap=True)


def _status(out: Console) -> Status:
    from rich.status import Status

    return Status("", console=out)
