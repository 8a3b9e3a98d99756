"""Where a value stands on an axis, and which values are written beside it. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["linear", "log"]

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_FEW_DECADES: Final = 2.0  # below so many, ticks at powers of ten alone would leave an axis bare

_BINARY_TICKS_MAX: Final = 7


@dataclass(frozen=True, slots=True)
class Scale:
    """From ``low`` to ``high``, with values to write between them. A log scale's are above zero."""

    kind: Kind
    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """0 at the low end, 1 at the high one; what lies outside stands at the end that it is beyond."""
        value = min(max(value, self.low), self.high)
        if self.kind == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def scale(
    kind: Kind,
    values: Sequence[float],
    *,
    low: float | None = None,
    high: float | None = None,
    ticks: int = 5,
    fit: bool = False,
    binary: bool = False,
) -> Scale:
    """A scale that holds all of ``values`` and ends on round ones.

    ``low``, ``high``: ends that are wanted all the same. ``ticks``: about how many. ``fit``: end where the values do
    (an axis of time), and not on round ones. ``binary``: on a log scale powers of two are round, as for bytes. A linear
    scale that is not fitted begins at zero unless a value is below.
    """
    if kind == "log":
        positive = [value for value in values if value > 0]
        return _binary(positive, low, high, fit=fit) if binary else _log(positive, low, high, fit=fit)
    return _linear(values, low, high, ticks, fit=fit)


def _linear(values: Sequence[float], low: float | None, high: float | None, ticks: int, *, fit: bool) -> Scale:
    lowest = low if low is not None else min([*values, *([] if fit and values else [0.0])])
    highest = high if high is not None else max(values, default=1.0)
    if highest <= lowest:
        highest = lowest + (abs(lowest) or 1.0)
    rough = (highest - lowest) / max(ticks, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(each for each in _STEPS if each * power >= rough * (1 - 1e-9))
    first, last = math.ceil(lowest / step - 1e-9), math.floor(highest / step + 1e-9)
    if not fit:
        first = first if low is not None else math.floor(lowest / step + 1e-9)
        last = last if high is not None else math.ceil(highest / step - 1e-9)
        lowest, highest = min(lowest, first * step), max(highest, last * step)
    # Rounded, since 3 * 0.1 would be written as it is.
    return Scale("linear", lowest, highest, tuple(round(n * step, 12) for n in range(first, last + 1)))


def _log(values: Sequence[float], low: float | None, high: float | None, *, fit: bool) -> Scale:
    lowest = low or min(values, default=1.0)
    highest = high or max(values, default=10.0)
    if not fit:
        lowest, highest = low or _round_down(lowest), high or _round_up(highest)
    if highest <= lowest * 1.0001:
        lowest, highest = (lowest, lowest * 10) if fit or low else (lowest / 2, lowest * 5)
    decades = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    factors = (1, 2, 5) if math.log10(highest / lowest) < _FEW_DECADES else (1,)
    marks = (factor * 10.0**decade for decade in decades for factor in factors)
    within = tuple(mark for mark in marks if lowest * (1 - 1e-9) <= mark <= highest * (1 + 1e-9))
    return Scale("log", lowest, highest, within)


def _binary(values: Sequence[float], low: float | None, high: float | None, *, fit: bool) -> Scale:
    lowest, highest = low or min(values, default=1.0), high or max(values, default=1024.0)
    if highest <= lowest * 1.0001:
        lowest, highest = lowest / 2, lowest * 2
    first, last = math.floor(math.log2(lowest) + 1e-9), math.ceil(math.log2(highest) - 1e-9)
    if not fit:
        lowest, highest = low or 2.0**first, high or 2.0**last
    step = -(-(last - first) // _BINARY_TICKS_MAX) or 1
    marks = (2.0**power for power in range(first, last + 1, step))
    within = tuple(mark for mark in marks if lowest * (1 - 1e-9) <= mark <= highest * (1 + 1e-9))
    return Scale("log", lowest, highest, within)


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return power * next(factor for factor in (5, 2, 1) if factor * power <= value * (1 + 1e-9))


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= value * (1 - 1e-9))
