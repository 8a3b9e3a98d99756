"""Keys that nobody in this process makes anew for a while, because it has just failed, or came to nothing: the old value serves meanwhile.

Without it every call in the stale time of a key would run a function whose backend is down, which is when that can least be borne.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

PAUSE_S: Final = 1.0
"""Long enough that a backend which is down gets one call a second for each key and process, and not one for each caller; short
enough that nobody waits for long for what it has when it is back.
"""

# Who has more keys that fail at once has other cares; the oldest are forgotten.
_MOST: Final = 10_000


class Pauses:
    """The pauses of one group of calls."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until_s: dict[str, float] = {}

    def __contains__(self, key: str) -> bool:
        until_s = self._until_s.get(key)
        if until_s is None:
            return False
        if until_s > self._clock():
            return True
        del self._until_s[key]
        return False

    def begin(self, key: str) -> None:
        """One begins now."""
        self._until_s.pop(key, None)  # so that the oldest stay in front
        self._until_s[key] = self._clock() + PAUSE_S
        if len(self._until_s) > _MOST:
            del self._until_s[next(iter(self._until_s))]

    def end(self, key: str) -> None:
        """It was made after all, or is another's now."""
        self._until_s.pop(key, None)

    def clear(self) -> None:
        """So for all keys."""
        self._until_s.clear()
