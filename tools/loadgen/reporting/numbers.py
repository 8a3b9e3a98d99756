"""Numbers with their units, as people read them.

A unit is a word. These are told in the size that suits the number; any other word simply follows it:

    "us"     microseconds: 812 µs, 1.23 ms, 3.4 s
    "s"      seconds: 12 s
    "share"  0 to 1: 93.1 %
    "bytes"  16 KiB, 1.5 MiB
    "tail"   1/(1-p), the scale on which tails of latencies are drawn: 100 is the 99th percentile, and told as 99 %
    ""       a bare number
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

NOTHING: Final = "-"
_TIMES: Final = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"))
_BYTES: Final = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_LARGE: Final = 1e7  # from here on a number is told in millions
SELF_TOLD: Final = frozenset({"us", "s", "share", "bytes", "tail", ""})
"""Units that stand beside each number of an axis, so that the axis need not name them."""


def told(value: float | None, unit: str = "") -> str:
    """One number, to three significant digits; a dash for None."""
    if value is None:
        return NOTHING
    match unit:
        case "us":
            return _sized(value, _TIMES)
        case "bytes":
            return _sized(value, _BYTES)
        case "s":
            return f"{significant(value)} s"
        case "share":
            return _share(value)
        case "tail":
            return _percentile(value)
        case "":
            return significant(value)
        case _:
            return f"{significant(value)} {unit}"


def axis_texts(ticks: Sequence[float], unit: str, *, log: bool) -> list[str]:
    """What stands beside an axis. On a linear one all times are told in one size, so that they are compared at a glance."""
    if unit in ("us", "bytes") and not log and ticks:
        size, word = _size_of(max(ticks), _TIMES if unit == "us" else _BYTES)
        return ["0" if tick == 0 else f"{significant(tick / size)} {word}" for tick in ticks]
    if unit not in SELF_TOLD:
        unit = ""
    return [told(tick, unit) for tick in ticks]


def whole(value: float | None) -> str:
    """A count, with all its digits."""
    return NOTHING if value is None else f"{value:,.0f}"


def significant(value: float, digits: int = 3) -> str:
    """Rounded to so many digits, whole numbers kept whole; in millions where it is large."""
    if abs(value) >= _LARGE:
        return f"{significant(value / 1e6, digits)} M"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _share(value: float) -> str:
    """In percent. What is not all is not told as 100 %, and what is not nothing not as 0 %."""
    rest = abs(1 - value)
    enough = 0 if rest == 0 else max(0, -2 - math.floor(math.log10(rest)))  # a digit that is not a nine
    return f"{significant(100 * value, max(3, 2 + enough))} %"


def _sized(value: float, sizes: Sequence[tuple[float, str]]) -> str:
    size, word = _size_of(value, sizes)
    return f"{significant(value / size)} {word}"


def _size_of(value: float, sizes: Sequence[tuple[float, str]]) -> tuple[float, str]:
    return next((each for each in sizes if abs(value) >= each[0]), sizes[-1])


def _percentile(one_in: float) -> str:
    """1/(1-p) as the percentile, with as many nines as it has."""
    decimals = max(0, math.ceil(math.log10(max(one_in, 1.0)) - 1e-9) - 2) + (0 if _is_power_of_ten(one_in) else 1)
    text = f"{100 * (1 - 1 / max(one_in, 1.0)):.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def _is_power_of_ten(value: float) -> bool:
    exponent = math.log10(max(value, 1.0))
    return abs(exponent - round(exponent)) < 1e-9
