"""What this node is not to hold any more is removed, in slices.

A slice looks at `SLICE_KEYS` keys and no more, and a pause follows, so that most of the loop is left to those who ask. What is stored
while a sweep is under way was stored under the new ring and needs no visit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from zmcache.core.store import Store
from zmcache.core.timers import CallLater, Timer

SLICE_KEYS: Final = 150  # about half a millisecond
PAUSE_S: Final = 0.002


class Sweep:
    """Removes from ``store`` what is not ``is_kept`` when it is visited. ``clock`` is the store's; ``on_end`` is called after each sweep."""

    __slots__ = ("_call_later", "_clock", "_due_s", "_is_kept", "_on_end", "_store", "_timer", "removed")

    def __init__(
        self,
        store: Store,
        is_kept: Callable[[str], bool],
        call_later: CallLater,
        clock: Callable[[], float],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._is_kept = is_kept
        self._call_later = call_later
        self._clock = clock
        self._on_end = on_end
        self._due_s = math.inf  # of the sweep that was asked for and has not begun
        self._timer: Timer | None = None  # until a sweep begins, and while it is under way
        self.removed = 0

    def begin(self, after_s: float) -> None:
        """Begin after that time, unless one is under way or about to begin. One that was stopped begins when it was to."""
        if self._timer is None:
            now_s = self._clock()
            self._due_s = min(self._due_s, now_s + after_s)
            self._timer = self._call_later(max(0.0, self._due_s - now_s), lambda: self._slice(None))

    def stop(self) -> None:
        """Leave the rest as it is, until `begin`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _slice(self, cursor: int | None) -> None:
        if cursor is None:
            self._due_s = math.inf
        keys, after = self._store.visit(cursor, SLICE_KEYS)
        now_s = self._clock()
        for key in keys:
            if not self._is_kept(key):
                self.removed += self._store.delete(key, now_s)
        self._timer = None if after is None else self._call_later(PAUSE_S, lambda: self._slice(after))
        if after is None:
            self._on_end()
