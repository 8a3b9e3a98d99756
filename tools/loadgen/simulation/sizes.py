"""How large a cache is, as people write it: ``300`` items, ``64MiB``, or ``5%`` of what a trace has."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

_UNITS: Final = {
    "b": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}
_WRITTEN: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(%|[a-z]*)", re.ASCII)


class WrongSize(ValueError):
    """No size of a cache; the text says what one is."""


class CacheSize(NamedTuple):
    """So many items, bytes, or per cent of the keys (in items) or of the bytes of all distinct values (in bytes)."""

    kind: Literal["items", "bytes", "share"]
    amount: float
    written: str


def parse_size(text: str) -> CacheSize:
    """Raises `WrongSize`."""
    written = text.strip()
    match = _WRITTEN.fullmatch(written.lower().replace("_", "").replace(",", ""))
    if match:
        amount, unit = float(match[1]), match[2]
        if unit == "%" and 0 < amount <= 100:
            return CacheSize("share", amount / 100, written)
        if unit in ("", "items") and amount >= 1 and amount == int(amount):
            return CacheSize("items", amount, written)
        if unit in _UNITS and amount * _UNITS[unit] >= 1:
            return CacheSize("bytes", amount * _UNITS[unit], written)
    raise WrongSize(
        f"{text!r} is no size of a cache: a number of items such as 1500, bytes such as 64MiB, or a share such as 5%"
    )
