"""What was written here of keys that are another node's: kept whole for a short time, and then looked at again.

Whoever sent it goes by another ring than this node. If that one is the older, the entry has no business here for long: nobody would overwrite it
here. But if this node's is the older, the key is about to become its own, and the entry must not end with the time that it was a stray: its writer
has been told that it lasts. So its life is not cut short at once, but when it is still a stray after half of ``life_s``, and before all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zmcache.core.store import Store

MOST: Final = 100_000
SLICE_KEYS: Final = 500  # two milliseconds


class Strays:
    """In two generations: every half of ``life_s`` the old one is looked at, and the young one becomes the old one. ``may_stay`` at that time."""

    __slots__ = ("_due", "_half_s", "_may_stay", "_old", "_store", "_turned_s", "_young", "ended")

    def __init__(self, store: Store, may_stay: Callable[[str], bool], life_s: float, now_s: float) -> None:
        self._store = store
        self._may_stay = may_stay
        self._half_s = life_s / 2
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._due: list[str] = []
        self._turned_s = now_s
        self.ended = 0
        """Those that were ended, so far."""

    def add(self, key: str) -> bool:
        """Look at it again. False: there is no time, or no room for more."""
        if not self._half_s or len(self._young) >= MOST:
            return False
        self._young.add(key)
        return True

    def turn(self, now_s: float) -> bool:
        """End those whose time as strays is over, a slice of them; whether there are more. Called every now and then."""
        since_s = now_s - self._turned_s
        if self._half_s and since_s >= self._half_s:
            # Where nobody called for so long, the time of the young ones is over, too.
            late = self._young if since_s >= 2 * self._half_s else set[str]()
            self._due += self._old | late
            self._young, self._old = set(), self._young - late
            self._turned_s = now_s
        due, self._due = self._due[:SLICE_KEYS], self._due[SLICE_KEYS:]
        self.ended += sum(self._store.shorten(key, now_s) for key in due if not self._may_stay(key))
        return bool(self._due)

    def clear(self) -> None:
        """Nothing of it is here any more."""
        self._young, self._old, self._due = set(), set(), []
