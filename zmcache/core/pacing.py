"""A token bucket that tells how long to wait instead of waiting, so that it needs no clock and no task."""

from __future__ import annotations


class TokenBucket:
    """``rate`` tokens a second, at most ``burst`` saved up. Tokens may be taken in advance: the answer is the wait until they exist."""

    __slots__ = ("_burst", "_rate", "_tokens", "_updated_s")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens = burst
        self._updated_s = 0.0

    def take(self, now_s: float, max_wait_s: float) -> float | None:
        """Take one token: seconds to wait before using it, or None (and nothing taken) where that were longer than ``max_wait_s``."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._updated_s) * self._rate)
        self._updated_s = now_s
        wait_s = max(0.0, (1.0 - self._tokens) / self._rate)
        if wait_s > max_wait_s:
            return None
        self._tokens -= 1.0
        return wait_s
