"""A log that a flood of bad input cannot flood: one line a kind within a window, which tells how many it stands for.

What a peer sends decides how often these lines are reached, so the rate must not follow the peer. The first event of a
kind is always shown; the ones after it are counted, and the next line shown carries that count.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

# Short enough that a person who is looking sees the event, long enough that a day of a hostile peer is 8,640 lines.
WINDOW_S = 10.0


class QuietLog:
    """Wraps a logger; ``clock`` returns seconds and never falls."""

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._shown: dict[str, tuple[float, int]] = {}

    def warning(self, kind: str, message: str, *args: object, exc_info: bool = False) -> None:
        """Log a warning unless one of the same ``kind`` was shown less than `WINDOW_S` ago.

        ``kind`` must come from a fixed set of words in the code, never from input: one entry a kind is kept.
        """
        now = self._clock()
        last, held_back = self._shown.get(kind, (-WINDOW_S, 0))
        if now - last < WINDOW_S:
            self._shown[kind] = (last, held_back + 1)
            return
        self._shown[kind] = (now, 0)
        suffix = f" (and {held_back} more like it before)" if held_back else ""
        self._logger.warning(message + suffix, *args, exc_info=exc_info)
