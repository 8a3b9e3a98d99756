"""What becomes of a call when the cache is away: it raises, or it is a miss; either way it is counted, and now and then logged with its cause.

A cache that is not there must not take the program with it: with ``on_error="miss"`` a read finds nothing, a write does nothing, and a function
that is cached simply runs. Only what the mesh could not do counts (`MeshError`): a wrong argument or a loader's failure is raised in any case.
A call counts once, however many of its keys have failed.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from zmcache.errors import ConfigError, MeshError, ProtocolError

OnError: TypeAlias = Literal["raise", "miss"]

LOG_PAUSE_S: Final = 10.0

_log = logging.getLogger("zmcache.cache")


class Away:
    """The choice of one connection, and its count of calls that failed so far. ``clock`` is that by which its calls wait."""

    def __init__(self, on_error: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises `ConfigError` unless it is ``"raise"`` or ``"miss"``."""
        if on_error not in ("raise", "miss"):
            raise ConfigError(f"expected on_error 'raise' or 'miss', found {on_error!r}")
        self.clock = clock
        self.is_miss = on_error == "miss"
        self.failures = 0
        self._logged_s = -math.inf
        self._logged_failures = 0

    def note(self, group: str, error: MeshError | ProtocolError) -> None:
        """A call has failed: raises ``error``, unless that is to be a miss."""
        if not self.is_miss:
            self.failures += 1
            raise error
        self.tell(group, error)

    def tell(self, group: str, error: MeshError | ProtocolError) -> None:
        """The same of a call that says by itself what has failed, or nothing of it: it is counted, and now and then logged."""
        self.failures += 1
        now_s = self.clock()
        if now_s - self._logged_s >= LOG_PAUSE_S:
            count, self._logged_failures = self.failures - self._logged_failures, self.failures
            self._logged_s = now_s
            _log.warning(
                "group %s: the cache is away, %d calls went without it or a part of it: %s: %s",
                group,
                count,
                type(error).__name__,
                error,
            )
