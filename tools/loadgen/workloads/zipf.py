"""Zipf's law over ranks: of popularity, and of age.

It is bounded and exact: rank k of n, counted from 1, has the probability k**-s / (1**-s + ... + n**-s), for any s above 0, and
not only in the limit. A uniform number is looked up in the cumulated probabilities (8 bytes a key); a guide of up to 65,536
entries says between which of them, so that the search has few steps left to do. Which nodes the popular keys fall to is the
ring's affair: it hashes them.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Final

from .base import Part
from .distributions import Draw

MAX_ZIPF_KEYS: Final = 20_000_000
"""The table of so many keys takes 160 MB and some seconds to fill."""

_GUIDE_BITS: Final = 16  # 256 KiB, which a processor's cache can hold; few of a million keys' twenty steps are left


@dataclass(frozen=True, slots=True)
class Zipf:
    """Key 0 is the most asked for. ``exponent``: above 0; 0.99 is YCSB's, web traffic has 0.6 to 1.2."""

    exponent: float = 0.99

    @property
    def description(self) -> Mapping[str, object]:
        """Its exponent."""
        return {"kind": "zipf", "exponent": self.exponent}

    def check(self, keys: int) -> None:
        """At most `MAX_ZIPF_KEYS`."""
        _check_zipf(self.exponent, keys)

    def drawer(self, keys: int, random: Random, part: Part) -> Draw:
        """0.4 us a key with a million of them; the table is filled here, 0.15 us a key."""
        draw, uniform = ZipfTable(keys, self.exponent).ranks, random.random
        return lambda count, _: draw([uniform() for _ in range(count)])


class LatestDraw:
    """Keys by their age: rank 0 is the newest there is. See `Latest`."""

    def __init__(self, keys: int, exponent: float, uniform: Callable[[], float], part: Part) -> None:
        self._keys = keys
        self._uniform = uniform
        self._part = part
        self._table = ZipfTable(keys, exponent)
        self._inserted = 0

    def __call__(self, count: int, first: int) -> list[int]:
        """So many keys that exist now."""
        uniform = self._uniform
        ages = self._table.ranks([uniform() for _ in range(count)])
        inserted, step, oldest_inserted = self._inserted, self._part.workers, self._keys + self._part.worker
        newest = oldest_inserted + (inserted - 1) * step
        newest_of_old = self._keys - 1 + inserted
        return [newest - age * step if age < inserted else newest_of_old - age for age in ages]

    def insert(self) -> int:
        """A key that no worker has had yet: it is the newest from now on."""
        key = self._keys + self._part.worker + self._inserted * self._part.workers
        self._inserted += 1
        self._table.grow()
        return key


@dataclass(frozen=True, slots=True)
class Latest:
    """Zipf by age: the newest key is the most asked for; those that the workload inserts are the newest (YCSB D).

    A worker knows the keys there were at the start and those it inserted itself, as an application's process would. A key may be
    asked for while its insert is still under way. Past `MAX_ZIPF_KEYS` the oldest keys are not asked for any more.
    """

    exponent: float = 0.99

    @property
    def description(self) -> Mapping[str, object]:
        """Its exponent."""
        return {"kind": "latest", "exponent": self.exponent}

    def check(self, keys: int) -> None:
        """At most `MAX_ZIPF_KEYS` at the start."""
        _check_zipf(self.exponent, keys)

    def drawer(self, keys: int, random: Random, part: Part) -> LatestDraw:
        """0.6 us a key with a million of them."""
        return LatestDraw(keys, self.exponent, random.random, part)


class ZipfTable:
    """Looks uniform numbers up in the cumulated probabilities of Zipf's law. The law may be given more ranks later."""

    def __init__(self, n: int, exponent: float) -> None:
        """``n`` ranks. 8 bytes and 0.15 us each."""
        self._exponent = exponent
        self._sums = sums = cumulated_weights(n, exponent)
        self._guided = total = sums[-1]  # ranks added later are beyond the guide, and searched without it
        self._steps = steps = 1 << min(_GUIDE_BITS, n.bit_length())
        # Entry i is a little below where step i begins, and entry i + 2 beyond where it ends: no rounding leads past the rank.
        self._guide = array("I", (bisect(sums, (step - 0.001) / steps * total, 0, n - 1) for step in range(steps + 3)))

    def ranks(self, uniforms: list[float]) -> list[int]:
        """From 0, for numbers of 0 or more, below 1."""
        sums, guide, guided = self._sums, self._guide, self._guided
        total, last, scale = sums[-1], len(sums) - 1, self._steps / guided
        found: list[int] = []
        for uniform in uniforms:
            looked_up = uniform * total
            if looked_up < guided:
                step = int(looked_up * scale)
                found.append(bisect(sums, looked_up, guide[step], guide[step + 2]))
            else:
                found.append(bisect(sums, looked_up, 0, last))  # bounded: a product may round up to the total
        return found

    def grow(self) -> None:
        """One rank more, up to `MAX_ZIPF_KEYS`."""
        if (ranks := len(self._sums)) < MAX_ZIPF_KEYS:
            self._sums.append(self._sums[-1] + (ranks + 1) ** -self._exponent)


def cumulated_weights(n: int, exponent: float) -> array[float]:
    """The sums of k**-exponent for k from 1 to 1, 2, ..., n, not divided by the last."""
    return array("d", accumulate(k**-exponent for k in range(1, n + 1)))


def _check_zipf(exponent: float, keys: int) -> None:
    if not 0 < exponent < math.inf:
        raise ValueError("exponent: a finite number above 0")
    if keys > MAX_ZIPF_KEYS:
        raise ValueError(f"keys: at most {MAX_ZIPF_KEYS} with zipf and latest")
