"""How often keys of other nodes are asked for here, lately: a rate over a window that slides.

Requests are counted in windows of one length. The rate of a key is what the window under way has counted, and of the one before as much as
lies within one length from now (the sliding window counter of rate limiters). Counts live in two dictionaries that take turns, so that a window
ends in constant time, and each is bounded: beyond the bound the newest keys go uncounted until the window turns, which a popular key outlives.
"""

from __future__ import annotations

from typing import Final

_MAX_COUNTED: Final = 16_384


class Popularity:
    """Rates are requests in ``window_s`` seconds."""

    __slots__ = ("_counts", "_previous", "_turns_at_s", "_window_s")

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._counts: dict[str, int] = {}
        self._previous: dict[str, int] = {}
        self._turns_at_s = 0.0

    def count(self, key: str, now_s: float) -> float:
        """Count one request for ``key``; its rate with it. About 0.2 us."""
        if now_s >= self._turns_at_s:
            self._turn(now_s)
        counts = self._counts
        count = counts.get(key, 0) + 1
        if count > 1 or len(counts) < _MAX_COUNTED:
            counts[key] = count
        return count + self._before(key, now_s) if key in self._previous else count

    def rate(self, key: str, now_s: float) -> float:
        """The rate of ``key``."""
        if now_s >= self._turns_at_s:
            self._turn(now_s)
        return self._counts.get(key, 0) + self._before(key, now_s)

    def _before(self, key: str, now_s: float) -> float:
        return self._previous.get(key, 0) * (self._turns_at_s - now_s) / self._window_s

    def _turn(self, now_s: float) -> None:
        stale = now_s >= self._turns_at_s + self._window_s
        self._previous = {} if stale else self._counts
        self._counts = {}
        self._turns_at_s = now_s + self._window_s
