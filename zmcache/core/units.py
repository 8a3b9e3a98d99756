"""Sizes and durations as people write them: text or a number in, bytes or seconds out, and back.

Sizes: ``64MiB``, ``1.5 GiB``, ``10MB`` (decimal), ``1048576`` (bytes). Durations: ``1.5s``, ``150us``, ``2h30m``,
``0.5`` (seconds). A bare ``K`` or ``M`` is refused, since half of its readers take it for 1000 and half for 1024.
Nothing here knows a setting; what is wrong is a `ValueError` whose text says what was expected and what was found.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

_SIZE_UNITS: Final = {
    "": 1, "b": 1,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip
_DURATION_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}

SIZE_PATTERN: Final = r"^\s*[0-9]+(\.[0-9]+)?\s*([KkMmGgTt]?[Bb]|[KkMmGgTt][Ii][Bb])?\s*$"
_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
DURATION_PATTERN: Final = (
    rf"^\s*(?=.*[0-9])(?:{_NUMBER}|"
    + "".join(rf"(?:{_NUMBER}\s*{unit}\s*)?" for unit in ("d", "h", "m", "s", "ms", "[uµ]s"))
    + r")\s*$"
)

_SIZE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)
_DURATION: Final = re.compile(DURATION_PATTERN)
_PART: Final = re.compile(rf"({_NUMBER})\s*(ms|[uµ]s|d|h|m|s)")

MAX_SIZE: Final = 2**62
MAX_DURATION_S: Final = 100 * 365 * 86400.0
"""A hundred years: what the wire can carry as an expiry. Whoever means for ever says null."""


def parse_size(value: object) -> int:
    """Bytes. Fractions of a byte are cut off. Raises `ValueError` for anything that is not a size."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        unit = _SIZE_UNITS.get(match[2].lower()) if match else None
        size = int(Decimal(match[1]) * unit) if match and unit else -1
    elif (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value == int(value)
    ):
        size = int(value)
    else:
        size = -1
    if not 0 <= size <= MAX_SIZE:
        raise wrong("a size such as 64MiB or 1048576 (bytes)", value)
    return size


def parse_duration(value: object) -> float:
    """Seconds, zero or more. Raises `ValueError` for anything that is not a duration, infinity included."""
    seconds = -1.0
    if isinstance(value, str):
        if _DURATION.match(value):
            parts = _PART.findall(value)
            seconds = math.fsum(_in_seconds(float(number), unit) for number, unit in parts) if parts else float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= MAX_DURATION_S else -1.0
    if not 0 <= seconds <= MAX_DURATION_S:  # also false for nan
        raise wrong("a duration such as 1.5s, 150us, 2h30m or 30 (seconds)", value)
    return seconds


def _in_seconds(number: float, unit: str) -> float:
    # Divided rather than multiplied by 1e-6, so that 150us is the float that 0.00015 is.
    if unit == "ms":
        return number / 1e3
    return number / 1e6 if unit in ("us", "µs") else number * _DURATION_UNITS[unit]


def format_size(size: int) -> str:
    """As `parse_size` reads it: exact where a binary unit divides it, else rounded to two decimals."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size // factor}{unit}" if size % factor == 0 else f"{size / factor:.2f}{unit}"
    return f"{size}B"


def format_duration(seconds: float) -> str:
    """As `parse_duration` reads it, rounded to six digits or, from a minute on, to whole seconds."""
    if seconds == 0:
        return "0s"
    if seconds < 60:
        for unit, factor in (("us", 1e6), ("ms", 1e3)):
            if seconds * factor < 1000:
                return f"{seconds * factor:.6g}{unit}"
        return f"{seconds:.6g}s"
    rest, parts = round(seconds), []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def wrong(expected: str, value: object) -> ValueError:
    """The error for a value that is not what was expected."""
    return ValueError(f"expected {expected}, found {found(value)}")


def found(value: object) -> str:
    """What stands in the file, short and on one line, for the end of an error message."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value) if len(value) <= 60 else repr(value[:57] + "...")
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return str(value)
