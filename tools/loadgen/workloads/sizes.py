"""How large a value is: a distribution a seed decides, and the text a person writes for it.

    128                                      always the same
    64-4096                                  uniform, both ends included
    lognormal:median=400,sigma=1.2,max=64KiB as sizes of web objects are: half below the median, a long tail above
    64:90%,4096:10%                          a mix

A number may have the unit B, KiB or MiB. `str()` of a distribution is the text that parses to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Final, Protocol

MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
"""Far above what any group takes: a value that is refused can be measured, a full memory cannot."""

DrawSizes = Callable[[int], list[int]]
"""So many sizes, drawn."""

_UNITS: Final = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024 * 1024}
_SIZE: Final = r"\d{1,12} ?(?:B|KiB|MiB|)"
_NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"
_RANGE: Final = re.compile(rf"({_SIZE})(?:-({_SIZE}))?", re.ASCII)
_SHARE: Final = re.compile(rf"({_SIZE}):({_NUMBER})%", re.ASCII)
_FIELD: Final = re.compile(rf"(?:(median|min|max)=({_SIZE})|(sigma)=({_NUMBER}))", re.ASCII)
_BOUNDS: Final = {"smallest": "min", "largest": "max"}
_EXPECTED: Final = (
    "sizes are written 128, 64-4096, lognormal:median=400,sigma=1.2,min=1,max=64KiB or 64:90%,4096:10%, in bytes"
)


class Sizes(Protocol):
    """A distribution of sizes."""

    def drawer(self, random: Random) -> DrawSizes:
        """What draws from it with the numbers of ``random``."""


@dataclass(frozen=True, slots=True)
class ConstantSize:
    """Always ``size`` bytes. Raises ValueError, as all of these, for what is not a size."""

    size: int

    def __post_init__(self) -> None:
        _check_range(self.size, self.size)

    def __str__(self) -> str:
        return str(self.size)

    def drawer(self, random: Random) -> DrawSizes:
        """Draws nothing."""
        return lambda count: [self.size] * count


@dataclass(frozen=True, slots=True)
class UniformSize:
    """Any size from ``smallest`` to ``largest`` bytes, all equally likely. 0.1 us a draw."""

    smallest: int
    largest: int

    def __post_init__(self) -> None:
        _check_range(self.smallest, self.largest)

    def __str__(self) -> str:
        return f"{self.smallest}-{self.largest}"

    def drawer(self, random: Random) -> DrawSizes:
        """One number a size."""
        uniform, smallest, span = random.random, self.smallest, self.largest - self.smallest + 1
        return lambda count: [smallest + int(uniform() * span) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class LognormalSize:
    """The logarithm of the size is normal, with the deviation ``sigma`` (0.5: mild, 1 to 2: as the web) around the median's.

    What falls outside ``smallest`` to ``largest`` becomes the nearer of them, so that a bound never makes draws costly.
    0.5 us a draw.
    """

    median: int
    sigma: float
    smallest: int = 1
    largest: int = 1024 * 1024

    def __post_init__(self) -> None:
        _check_range(self.smallest, self.largest)
        if not 1 <= self.smallest <= self.median <= self.largest:
            raise ValueError("the median lies between min and max, and min is at least 1")
        if not 0 < self.sigma <= 10:
            raise ValueError("sigma: above 0, at most 10")

    def __str__(self) -> str:
        return f"lognormal:median={self.median},sigma={_decimal(self.sigma)},min={self.smallest},max={self.largest}"

    def drawer(self, random: Random) -> DrawSizes:
        """One normal number a size."""
        normal, mu, sigma, smallest, largest = (
            random.gauss, math.log(self.median), self.sigma, self.smallest, self.largest,
        )  # fmt: skip
        exp = math.exp
        return lambda count: [min(largest, max(smallest, round(exp(normal(mu, sigma))))) for _ in range(count)]


@dataclass(frozen=True, slots=True)
class MixedSize:
    """Some sizes, each with its percentage; together they are 100. 0.2 us a draw."""

    parts: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        for size, percent in self.parts:
            _check_range(size, size)
            if not 0 < percent <= 100:
                raise ValueError(f"{size}: its percentage is above 0 and at most 100")
        if not math.isclose(sum(percent for _, percent in self.parts), 100, abs_tol=1e-6):
            raise ValueError("the percentages of a mix make 100 together")

    def __str__(self) -> str:
        return ",".join(f"{size}:{_decimal(percent)}%" for size, percent in self.parts)

    def drawer(self, random: Random) -> DrawSizes:
        """One number a size."""
        sizes = [size for size, _ in self.parts]
        cumulated = list(accumulate(percent for _, percent in self.parts))
        return lambda count: random.choices(sizes, cum_weights=cumulated, k=count)


def parse_sizes(text: str) -> Sizes:
    """The distribution that ``text`` names. Raises ValueError, in one line, for what does not parse."""
    try:
        sizes = _read(text.strip())
    except ValueError as exc:
        raise ValueError(f"{text!r} is no size of values: {exc}") from exc
    if sizes is None:
        raise ValueError(f"{text!r} is no size of values: {_EXPECTED}")
    return sizes


def _read(text: str) -> Sizes | None:
    if match := _RANGE.fullmatch(text):
        smallest = _bytes(match[1])
        return UniformSize(smallest, _bytes(match[2])) if match[2] else ConstantSize(smallest)
    parts = text.removeprefix("lognormal:").split(",")
    if text.startswith("lognormal:"):
        fields = [match for part in parts if (match := _FIELD.fullmatch(part))]
        named = {match[1] or match[3]: match[2] or match[4] for match in fields}
        if not len(parts) == len(fields) == len(named) or not {"median", "sigma"} <= named.keys():
            return None
        bounds = {field: _bytes(named[name]) for field, name in _BOUNDS.items() if name in named}
        return LognormalSize(_bytes(named["median"]), float(named["sigma"]), **bounds)
    shares = [match for part in parts if (match := _SHARE.fullmatch(part))]
    return (
        MixedSize(tuple((_bytes(match[1]), float(match[2])) for match in shares)) if len(shares) == len(parts) else None
    )


def _bytes(text: str) -> int:
    number = text.rstrip("BKMi ")
    return int(number) * _UNITS[text[len(number) :].strip()]


def _decimal(number: float) -> str:
    """As `_NUMBER` has it: without an exponent, which small numbers have elsewhere."""
    return f"{number:.9f}".rstrip("0").rstrip(".")


def _check_range(smallest: int, largest: int) -> None:
    if not 0 <= smallest <= largest <= MAX_VALUE_BYTES:
        raise ValueError(f"from 0 to {MAX_VALUE_BYTES} bytes, the smallest first")
