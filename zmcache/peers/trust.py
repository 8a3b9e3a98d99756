"""Whether what a peer sends makes sense: one that answers with garbage costs each call its whole timeout, and is better not asked.

A few answers in a row that cannot be read, or are of no kind that was asked for, with nothing better close behind, and it is left alone for a
while. It is tried again then, and one more such answer is enough, for twice as long; an answer that can be read ends all doubt. Pongs prove
nothing here: what answers them need not be what answers gets.
"""

from __future__ import annotations

from typing import Final

# One may come from a bad moment, such as a node that was replaced by another version.
BAD_ANSWERS: Final = 3
JUDGED_AFTER_S: Final = 0.01  # garbage among good answers harms nobody
PAUSE_S: Final = 1.0
PAUSE_MAX_S: Final = 30.0


class Trust:
    """One connection's."""

    __slots__ = ("_bad", "_pause_s", "_until_s", "in_doubt")

    def __init__(self) -> None:
        self.in_doubt = False
        """Whether `good` would change anything."""
        self._bad = 0
        self._pause_s = 0.0
        self._until_s = 0.0

    def good(self) -> None:
        """An answer that can be read, to something that was asked."""
        self.in_doubt, self._bad, self._pause_s = False, 0, 0.0

    def bad(self) -> bool:
        """One that cannot; True when it is time to `judge`, a moment later."""
        self.in_doubt = True
        self._bad += 1
        return self._bad == self._most

    @property
    def _most(self) -> int:
        return 1 if self._pause_s else BAD_ANSWERS

    def judge(self, now_s: float) -> bool:
        """Whether the peer is to be left alone from now on."""
        if self._bad < self._most:
            return False
        self._bad = 0
        self._pause_s = min(max(PAUSE_S, 2 * self._pause_s), PAUSE_MAX_S)
        self._until_s = now_s + self._pause_s
        return True

    def may_be_asked(self, now_s: float) -> bool:
        """Whether it has been left alone for long enough."""
        return now_s >= self._until_s
