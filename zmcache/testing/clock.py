"""The clock by which entries end in tests: real time, and as much more as it was told.

It is not a clock that stands still: what lives by it (entries, leases) and what lives by the event loop (deadlines, pings) have to keep the same
pace, or a lease whose end is awaited on the loop would never come.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from zmcache.core.units import parse_duration


class Clock:
    """Seconds, when called; `advance` adds to them. It never goes back."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._watchers: list[Callable[[], None]] = []

    def __call__(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() + self._ahead_s

    def advance(self, by: float | str) -> None:
        """Move ahead by seconds, or by text such as ``"1h30m"``. At once: who waits for something that ends by it hears in this call or
        in the next turn of the loop. Raises `ValueError` for what is no duration.
        """
        self._ahead_s += parse_duration(by)
        for tell in self._watchers:
            tell()

    def watch(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` after each `advance`."""
        self._watchers.append(tell)

    @property
    def ahead_s(self) -> float:
        """How far it is ahead of real time."""
        return self._ahead_s
