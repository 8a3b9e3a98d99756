"""Which keys are popular enough to be kept, where room is short: those that pay.

A copy costs its owner a note and a message, and another copy its place. So a key has to be asked for ``least`` times within a window
(`zmcache.core.popularity`) before it is kept, and ``least`` moves until copies are found `PAYS` times each before they have to go. With
plenty of room it is `LEAST`.
"""

from __future__ import annotations

from typing import Final

from zmcache.core.popularity import Popularity

LEAST: Final = 2.0
PAYS: Final = 30
_STEP: Final = 1.5
_LOOK_EVERY: Final = 1 / 8  # of the entries, evicted since the last look


class Admission:
    """For one store. Times are seconds of one clock."""

    __slots__ = ("_evictions", "_hits", "_popularity", "_window_s", "due_s", "least")

    def __init__(self, window_s: float) -> None:
        self._popularity = Popularity(window_s)
        self._window_s = window_s
        self._evictions = self._hits = 0
        self.due_s = 0.0
        """When it is to learn something at the latest."""
        self.least = LEAST

    def admits(self, key: str, now_s: float) -> bool:
        """Count one request for ``key``, which is not kept; whether it is to be. About 0.4 us."""
        return self._popularity.count(key, now_s) >= self.least

    def learn(self, entries: int, evictions: int, hits: int, now_s: float) -> None:
        """How the store does; ``evictions`` and ``hits`` since it began."""
        gone, found = evictions - self._evictions, hits - self._hits
        if gone > max(8.0, _LOOK_EVERY * entries):
            if found < PAYS * gone:
                self.least *= _STEP
        elif now_s >= self.due_s:
            self.least = max(LEAST, self.least / _STEP)
        else:
            return
        self._evictions, self._hits, self.due_s = evictions, hits, now_s + self._window_s
