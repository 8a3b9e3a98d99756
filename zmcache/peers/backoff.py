"""How long one who fell waits before being trusted again: longer each time, bounded, and forgiven with time. Pure: the time is passed in."""

from __future__ import annotations

from typing import Final

# Half a minute without a fall takes one back: who fell as often as counts has its good name again after a few minutes.
FORGIVEN_S: Final = 30.0


class Backoff:
    """The first wait is ``first_s``; each fall before it that is not forgiven doubles it, up to ``most_s``."""

    __slots__ = ("_falls", "_first_s", "_good_since_s", "_most_s")

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s, self._most_s = first_s, most_s
        self._falls = 0
        self._good_since_s: float | None = None

    def falls(self, now_s: float) -> int:
        """How many falls count now."""
        good_s = 0.0 if self._good_since_s is None else now_s - self._good_since_s
        return max(0, self._falls - int(good_s / FORGIVEN_S))

    def fell(self, now_s: float) -> float:
        """One more; how long to wait."""
        falls = self.falls(now_s)
        wait_s = min(self._first_s * 2.0**falls, self._most_s)
        # What makes the wait no longer need not be forgiven either.
        self._falls = falls + (wait_s < self._most_s or not falls)
        self._good_since_s = None
        return wait_s

    def back(self, now_s: float) -> None:
        """The wait is over: from now on its conduct is good, until the next fall."""
        self._good_since_s = now_s
