"""After the ring has moved, or the node's right to its keys is in doubt: what it may not keep is made short-lived, in slices.

A slice looks at `SLICE_KEYS` keys and no more, and a pause follows, so that most of the loop is left to those who ask. What is stored
while a sweep is under way was stored under the new ring and needs no visit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zmcache.core.store import Store
from zmcache.core.timers import CallLater, Timer

SLICE_KEYS: Final = 500  # about half a millisecond
PAUSE_S: Final = 0.002


class Sweep:
    """Shortens lives in ``store``: those of keys that are not ``is_ours`` at the time of the visit, or all of them."""

    __slots__ = ("_call_later", "_everything", "_is_ours", "_store", "_timer", "shortened")

    def __init__(self, store: Store, is_ours: Callable[[str], bool], call_later: CallLater) -> None:
        self._store = store
        self._is_ours = is_ours
        self._call_later = call_later
        self._timer: Timer | None = None  # while a sweep is under way
        self._everything = False
        self.shortened = 0
        """Entries whose lives were cut short, so far."""

    def begin(self, expires_at_s: float, *, everything: bool) -> None:
        """Start, soon, or start anew: what is to go ends by ``expires_at_s``."""
        # The ring usually moves right after a lost lease: a sweep of everything that is cut short by it begins again as one.
        self._everything = everything or (self._timer is not None and self._everything)
        self.stop()
        self._timer = self._call_later(0.0, lambda: self._slice(None, expires_at_s))

    def stop(self) -> None:
        """Leave the rest as it is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _slice(self, cursor: int | None, expires_at_s: float) -> None:
        keys, after = self._store.visit(cursor, SLICE_KEYS)
        for key in keys:
            if self._everything or not self._is_ours(key):
                self.shortened += self._store.shorten(key, expires_at_s)
        self._timer = None if after is None else self._call_later(PAUSE_S, lambda: self._slice(after, expires_at_s))
