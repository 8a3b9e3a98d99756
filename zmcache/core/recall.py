"""What a group remembers of keys, whether it holds them or not: why each went, why the last get of it missed, how long its last load took.

It is a memory for people who wonder (`explain`), so it may forget, and costs the same whatever happens: two tables of so many places, a key in the
place that its hash gives it, the newest in the place of who was there before. Nothing is kept of a key but that hash, and nothing that the garbage
collector would visit. What is noted is that an entry went, a miss, a load: a hit notes nothing.
"""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

# Why a get missed, as it travels. Some are why an entry went, too.
NOT_MISSED: Final = 0  # as far as is remembered
NEVER_SEEN: Final = 1  # or so long ago that it was forgotten
EXPIRED: Final = 2
EVICTED: Final = 3
DELETED: Final = 4
CLEARED: Final = 5
MOVED: Final = 6
NEGATIVE: Final = 7
ELSEWHERE: Final = 8
TAGGED: Final = 9

# 17 KiB for what went and 58 KiB for gets, once something is noted. Who asks why a key is missing does so soon after, of a key that others ask for.
_PLACES: Final = 2048


class Recalled(NamedTuple):
    """``missed``: one of the constants above. Times are of the clock that they were noted by; None: not known."""

    missed: int = NOT_MISSED
    missed_s: float | None = None
    took_s: float | None = None
    loaded_s: float | None = None


class Recall:
    """The memory of one group."""

    __slots__ = ("_gets", "_loaded_s", "_missed", "_missed_s", "_took_s", "_went", "_whys")

    def __init__(self) -> None:
        self._went = array("q")
        self._whys = array("B")
        self._gets = array("q")
        self._missed = array("B")
        self._missed_s = array("d")
        self._took_s = array("d")
        self._loaded_s = array("d")

    def went(self, key: str, why: int) -> None:
        """An entry went. About 0.2 us."""
        if not self._went:
            self._went, self._whys = array("q", bytes(8 * _PLACES)), array("B", bytes(_PLACES))
        hashed = hash(key)
        at = hashed % _PLACES
        self._went[at], self._whys[at] = hashed, why

    def why_gone(self, key: str) -> int:
        """Why it is not here, as far as is remembered."""
        hashed = hash(key)
        at = hashed % _PLACES
        return self._whys[at] if self._went and self._went[at] == hashed else NEVER_SEEN

    def missed(self, key: str, why: int, now_s: float) -> None:
        """A get found nothing. About 0.4 us."""
        at = self._place(key)
        self._missed[at], self._missed_s[at] = why, now_s

    def loaded(self, key: str, took_s: float, now_s: float) -> None:
        """A load of it has ended with an answer."""
        at = self._place(key)
        self._took_s[at], self._loaded_s[at] = took_s, now_s

    def of(self, key: str) -> Recalled:
        """What is remembered of its gets."""
        hashed = hash(key)
        at = hashed % _PLACES
        if not self._gets or self._gets[at] != hashed:
            return Recalled()
        missed, took_s = self._missed[at], self._took_s[at]
        return Recalled(
            missed,
            None if missed == NOT_MISSED else self._missed_s[at],
            None if took_s < 0 else took_s,
            None if took_s < 0 else self._loaded_s[at],
        )

    def _place(self, key: str) -> int:
        """The key's own place among those of gets."""
        if not self._gets:
            self._gets, self._missed = array("q", bytes(8 * _PLACES)), array("B", bytes(_PLACES))
            self._missed_s, self._loaded_s = array("d", bytes(8 * _PLACES)), array("d", bytes(8 * _PLACES))
            self._took_s = array("d", [-1.0]) * _PLACES
        hashed = hash(key)
        at = hashed % _PLACES
        if self._gets[at] != hashed:
            self._gets[at], self._missed[at], self._took_s[at] = hashed, NOT_MISSED, -1.0
        return at
