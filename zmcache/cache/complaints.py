"""What one group's fills have to complain of: logged once in a while, for a program must not drown in what one bad backend does."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from zmcache.cache.away import LOG_PAUSE_S

_log = logging.getLogger("zmcache.cache")


class Complaints:
    """Call it as one calls a logger; it names the group itself."""

    def __init__(self, group: str, clock: Callable[[], float]) -> None:
        self._group = group
        self._clock = clock
        self._logged_s = -math.inf

    def __call__(self, text: str, *details: object) -> None:
        """Log it, unless something was logged a moment ago."""
        now_s = self._clock()
        if now_s - self._logged_s >= LOG_PAUSE_S:
            self._logged_s = now_s
            _log.warning("group %s: " + text, self._group, *details)
