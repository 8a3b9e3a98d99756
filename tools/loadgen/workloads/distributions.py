"""Which key next: numbers from 0, drawn from a distribution that the seed alone decides. The contract, and the plain ones.

Streams have no clock. What moves over time moves by the number of the request, and where a rate is known that number is the
intended second: request k of an open loop is due at k / rate.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

from .base import Part

Draw = Callable[[int, int], list[int]]
"""(how many, number of the first request in its worker's stream) -> keys."""


class Distribution(Protocol):
    """A distribution over the keys 0 to n - 1."""

    @property
    def description(self) -> Mapping[str, object]:
        """Its parameters, for the report."""

    def check(self, keys: int) -> None:
        """Raises ValueError where it cannot be drawn over so many keys, or its parameters are outside their range."""

    def drawer(self, keys: int, random: Random, part: Part) -> Draw:
        """What draws keys, from 0 to ``keys`` - 1, with the numbers of ``random``, for one worker."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every key is equally likely."""

    @property
    def description(self) -> Mapping[str, object]:
        """Its name is all."""
        return {"kind": "uniform"}

    def check(self, keys: int) -> None:
        """Any number of keys will do."""

    def drawer(self, keys: int, random: Random, part: Part) -> Draw:
        """0.1 us a key."""
        uniform = random.random
        return lambda count, _: [int(uniform() * keys) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class HotSet:
    """A share of the keys gets a share of the requests; the others, and the keys within each part, are equally likely.

    ``hot_keys``: share of the keys, above 0 to 1 (at least one key). ``hot_share``: share of the requests, 0 to 1.
    The hot keys lie side by side, and a shift makes their next neighbours the hot ones, none of them hot before (until all were).
    Either ``shift_s``: at these seconds from the start of the run, warm-up included, with ``rate``, the requests a second of all
    workers of an open loop (under Poisson arrivals the shift is early or late by as much as these are). Or ``shift_every``:
    after so many requests of all workers together, for a closed loop, whose requests have no second of their own. Neither: never.
    """

    hot_keys: float = 0.1
    hot_share: float = 0.9
    shift_s: tuple[float, ...] = ()
    rate: float | None = None
    shift_every: int | None = None

    @property
    def description(self) -> Mapping[str, object]:
        """The shares, and when it shifts."""
        shift = {"shift_s": list(self.shift_s)} if self.shift_s else {"shift_every": self.shift_every}
        return {"kind": "hotset", "hot_keys": self.hot_keys, "hot_share": self.hot_share, **shift}

    def check(self, keys: int) -> None:
        """Shares are shares; seconds need a rate."""
        for holds, expected in (
            (0 < self.hot_keys <= 1, "hot keys: a share above 0, at most 1"),
            (0 <= self.hot_share <= 1, "hot share: a share from 0 to 1"),
            (not (self.shift_s and self.shift_every), "hot set: shifts at seconds or every so many requests, not both"),
            (self.shift_every is None or self.shift_every >= 1, "hot set: shifts every 1 request or more"),
            (all(0 < second < math.inf for second in self.shift_s), "hot set: shifts at seconds above 0"),
            (
                not self.shift_s or self.rate is not None,
                "hot set: shifts at seconds only with the rate of an open loop",
            ),
            (self.rate is None or 0 < self.rate < math.inf, "rate: a finite number above 0"),
        ):
            if not holds:
                raise ValueError(expected)

    def drawer(self, keys: int, random: Random, part: Part) -> Draw:
        """0.2 us a key."""
        hot = max(1, round(self.hot_keys * keys))
        cold, share, uniform = keys - hot, self.hot_share if hot < keys else 1.0, random.random
        shifts_before, next_shift = self._shifts(part.workers)

        def place(u: float) -> int:
            """From the first hot key on. One number says both which part and where in it."""
            return int(u / share * hot) if u < share else hot + int((u - share) / (1 - share) * cold)

        def draw(count: int, first: int) -> list[int]:
            drawn: list[int] = []
            while count:
                shifts = shifts_before(first)
                run = min(count, next_shift(shifts) - first)
                start = shifts * hot
                drawn += [(start + place(uniform())) % keys for _ in range(run)]
                first += run
                count -= run
            return drawn

        return draw

    def _shifts(self, workers: int) -> tuple[Callable[[int], int], Callable[[int], int]]:
        """How many shifts a worker's request of this number has behind it; and the number of the one with one shift more."""
        if every := self.shift_every:
            mine = -(-every // workers)
            return lambda number: number // mine, lambda shifts: (shifts + 1) * mine
        at = [math.ceil(second * (self.rate or 0) / workers) for second in sorted(self.shift_s)]
        never = 1 << 62
        return lambda number: bisect(at, number), lambda shifts: at[shifts] if shifts < len(at) else never


@dataclass(frozen=True, slots=True)
class Sequential:
    """0, 1, 2 and so on, and round again. Several workers take turns: each has every n-th key."""

    @property
    def description(self) -> Mapping[str, object]:
        """Its name is all."""
        return {"kind": "sequential"}

    def check(self, keys: int) -> None:
        """Any number of keys will do."""

    def drawer(self, keys: int, random: Random, part: Part) -> Draw:
        """0.05 us a key. Nothing is drawn."""
        at = part.worker

        def draw(count: int, first: int) -> list[int]:
            nonlocal at
            start, at = at, at + count * part.workers
            return [number % keys for number in range(start, at, part.workers)]

        return draw
