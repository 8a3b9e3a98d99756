"""What was written here of keys that are another node's: kept whole for a short time, and then looked at again.

Whoever sent it goes by another ring than this node. If that one is the older, the entry has no business here for long: nobody would overwrite it
here. But if this node's is the older, the key is about to become its own, and the entry must not end with the time that it was a stray: its writer
has been told that it lasts. So its life is not cut short at once, but when it is still a stray after half of ``life_s``, and before all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zmcache.core.store import Store

MOST: Final = 10_000


class Strays:
    """In two generations: every half of ``life_s`` the old one is looked at, and the young one becomes the old one. ``is_ours`` at that time."""

    __slots__ = ("_half_s", "_is_ours", "_old", "_store", "_turned_s", "_young")

    def __init__(self, store: Store, is_ours: Callable[[str], bool], life_s: float, now_s: float) -> None:
        self._store = store
        self._is_ours = is_ours
        self._half_s = life_s / 2
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._turned_s = now_s

    def add(self, key: str) -> bool:
        """Look at it again. False: there is no time, or no room for more; then its life is to be cut short at once."""
        if not self._half_s or len(self._young) >= MOST:
            return False
        self._young.add(key)
        return True

    def turn(self, now_s: float) -> int:
        """End those whose time as strays is over, if it is; how many. Called every now and then; about 3 us each."""
        if now_s - self._turned_s < self._half_s:
            return 0
        # One that came a moment ago is given a whole turn, unless nobody called for so long that its time is over, too.
        due = self._old | self._young if now_s - self._turned_s >= 2 * self._half_s else self._old
        self._young, self._old = set(), self._young - due
        self._turned_s = now_s
        return sum(self._store.shorten(key, now_s) for key in due if not self._is_ours(key))
