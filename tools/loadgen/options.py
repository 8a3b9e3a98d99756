"""What people write on the command line, as numbers: durations, ranges of sizes."""

from __future__ import annotations

import math
import re

import click

_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|min|m|h|)")
_SIZES = re.compile(r"(\d+)(?:-(\d+))?")
# far above what any group takes: a value that is refused can be measured, a full memory cannot
_MAX_VALUE_BYTES = 64 * 1024 * 1024


class Duration(click.ParamType[float]):
    """``10s``, ``500ms``, ``2m``, ``1h`` or a bare number of seconds; above zero."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} is not a duration above zero, such as 10s, 500ms or 2m", param, ctx)
        return seconds


class Sizes(click.ParamType[tuple[int, int]]):
    """``128`` or ``64-4096``: bytes, the smallest and the largest."""

    name = "bytes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """The range."""
        if isinstance(value, tuple):
            return value
        match = _SIZES.fullmatch(str(value).strip())
        smallest, largest = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not smallest <= largest <= _MAX_VALUE_BYTES:
            self.fail(f"{value!r} is not a number of bytes or a range of them, such as 128 or 64-4096", param, ctx)
        return smallest, largest


class Exponent(click.ParamType[float]):
    """Any finite number above zero."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            exponent = float(str(value))
        except ValueError:
            exponent = 0.0
        if not 0 < exponent < math.inf:
            self.fail(f"{value!r} is not a number above 0, such as 0.99", param, ctx)
        return exponent
