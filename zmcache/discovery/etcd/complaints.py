"""Says once what is wrong with a record under the prefix, however often it is read, and never floods the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_log = logging.getLogger("zmcache.discovery")

_MOST_REMEMBERED = 1000
_MOST_A_MINUTE = 10
"""A person reads the first few; whoever writes faster than this is not going to be read."""


class Complaints:
    """Counts the records that were ignored, and logs each new one within a rate."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[bytes, bytes] = {}
        self._minute, self._said = 0.0, 0
        self.count = 0

    def __call__(self, key: bytes, value: bytes, reason: str) -> None:
        """Complain of ``value`` under ``key``, unless that was done."""
        if self._told.get(key) == value:
            return
        self.count += 1
        now = self._clock()
        if now - self._minute >= 60:
            self._minute, self._said = now, 0
        if self._said >= _MOST_A_MINUTE:
            return
        self._said += 1
        if len(self._told) >= _MOST_REMEMBERED:
            self._told.clear()
        self._told[key] = value
        _log.warning("ignored what stands under %s in etcd: %s", key.decode(errors="replace"), reason)
