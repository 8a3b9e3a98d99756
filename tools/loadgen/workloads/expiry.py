"""How long a written value lives: a range of seconds, each life in it equally likely; written ``30s`` or ``10s-60s``.

Lives that differ keep what was written together from expiring together, which no cache of real use does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION: Final = r"(\d{1,12}(?:\.\d{1,9})?) ?(ms|s|min|m|h|)"
_RANGE: Final = re.compile(rf"{_DURATION}(?:-{_DURATION})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Expiry:
    """From ``shortest_s`` to ``longest_s`` seconds. Raises ValueError for what is not above 0, or the wrong way round."""

    shortest_s: float
    longest_s: float

    def __post_init__(self) -> None:
        if not 0 < self.shortest_s <= self.longest_s < float("inf"):
            raise ValueError("above zero, the shortest first")

    def __str__(self) -> str:
        shortest, longest = f"{self.shortest_s:.12g}s", f"{self.longest_s:.12g}s"
        return shortest if shortest == longest else f"{shortest}-{longest}"

    def drawer(self, random: Random) -> Callable[[int], list[float]]:
        """So many lives in seconds. 0.1 us each."""
        uniform, shortest, span = random.random, self.shortest_s, self.longest_s - self.shortest_s
        if not span:
            return lambda count: [shortest] * count
        return lambda count: [shortest + uniform() * span for _ in range(count)]


def parse_expiry(text: str) -> Expiry:
    """``30s``, ``500ms``, ``10s-60s``, ``1m-1h``. Raises ValueError, in one line, for what does not parse."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no expiry: it is written 30s, 500ms or 10s-60s")
    shortest_s = float(match[1]) * _SECONDS[match[2]]
    try:
        return Expiry(shortest_s, float(match[3]) * _SECONDS[match[4]] if match[3] else shortest_s)
    except ValueError as exc:
        raise ValueError(f"{text!r} is no expiry: {exc}") from exc
