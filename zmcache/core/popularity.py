"""Which keys of other nodes are asked for often enough to keep a copy of.

A key is popular when it was asked for `THRESHOLD` times within two windows. Counts live in two dictionaries that take turns, so that a window ends
in constant time, and each is bounded: beyond the bound the newest keys go uncounted until the window turns, which a popular key outlives.
"""

from __future__ import annotations

from typing import Final

# groupcache keeps a copy of one answer in ten by chance; a second request within the window says more, and keeps scans out.
THRESHOLD: Final = 2
_MAX_COUNTED: Final = 16_384


class Popularity:
    """Counts requests per key over a sliding pair of windows of ``window_s`` seconds."""

    __slots__ = ("_counts", "_previous", "_turns_at_s", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._counts: dict[str, int] = {}
        self._previous: dict[str, int] = {}
        self._turns_at_s = 0.0

    def is_popular(self, key: str, now_s: float) -> bool:
        """Count one request for ``key`` and say whether it is popular with it."""
        if now_s >= self._turns_at_s:
            stale = now_s >= self._turns_at_s + self._window_s
            self._previous = {} if stale else self._counts
            self._counts = {}
            self._turns_at_s = now_s + self._window_s
        count = self._counts.get(key, 0) + 1
        if count > 1 or len(self._counts) < _MAX_COUNTED:
            self._counts[key] = count
        return count + self._previous.get(key, 0) >= THRESHOLD
