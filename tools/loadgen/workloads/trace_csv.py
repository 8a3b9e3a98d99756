"""A trace as CSV: the first line names the columns, each other one is an access; commas between, quotes as RFC 4180 has them, but
no line breaks inside a record, so that a record can be named by its line.

Which column is what is said by name: ``time=ts,key=obj,size=bytes,op=cmd``. Only the key is needed; without operations all are
reads. A time that goes back is the time before it: what was logged a little late was due at once.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Literal, get_args

from ..errors import TraceError
from ..requests import DELETE, READ, WRITE
from .sizes import MAX_VALUE_BYTES
from .trace_files import convert_lines, split_lines, texts
from .trace_forms import Accesses

TimeUnit = Literal["s", "ms", "us", "ns"]

_UNITS_A_SECOND: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_FIELDS: Final = ("time", "key", "size", "op")


class _Spellings(dict[str, int]):
    """What traces call an operation. Looked up as written; only a spelling that is neither lower nor upper case is put right."""

    def __missing__(self, text: str) -> int:
        op = self.get(text.strip().lower())
        if op is None:
            raise ValueError(f"has the operation {text!r}, which is no spelling of get, set or delete")
        return op


_NAMES: Final = {
    READ: "get gets gat read r fetch lookup head",
    WRITE: "set put write w store add replace insert update cas append prepend incr decr post",
    DELETE: "delete del d remove rm unlink invalidate purge",
}
_OPS: Final = _Spellings(
    (spelling, op) for op, names in _NAMES.items() for name in names.split() for spelling in (name, name.upper())
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvColumns:
    """The names of the columns; None: there is none. ``time_unit``: of the time."""

    key: str
    time: str | None = None
    size: str | None = None
    op: str | None = None
    time_unit: TimeUnit = "s"

    def __post_init__(self) -> None:
        if self.time_unit not in get_args(TimeUnit):
            raise ValueError(f"{self.time_unit!r} is no unit of time: s, ms, us or ns")

    def __str__(self) -> str:
        return ",".join(f"{field}={name}" for field in _FIELDS if (name := getattr(self, field)) is not None)


def parse_csv_columns(text: str, time_unit: TimeUnit = "s") -> CsvColumns:
    """``time=ts,key=obj,size=bytes,op=cmd``. Raises ValueError, in one line, for what does not parse."""
    pairs = [part.partition("=") for part in text.split(",")]
    names = {field.strip(): name.strip() for field, _, name in pairs}
    if len(names) != len(pairs) or not all(names.values()) or "key" not in names or not names.keys() <= set(_FIELDS):
        raise ValueError(
            f"{text!r} names no columns: they are written key=obj or time=ts,key=obj,size=bytes,op=cmd, the key at least"
        )
    return CsvColumns(
        key=names["key"], time=names.get("time"), size=names.get("size"), op=names.get("op"), time_unit=time_unit
    )


def rows(blocks: Iterator[bytes], columns: CsvColumns, size_bytes: int) -> Iterator[Accesses]:
    """The accesses, 0.7 us each with all four columns. ``size_bytes``: where the size is not told.

    Raises `TraceError` where a column is missing, and at a line that is no record, after all before it.
    """
    runs = split_lines(blocks)
    head = next(runs, None)
    if head is None:
        return
    first, _, rest = head[1].partition(b"\n")
    convert = _Converter(first, columns, size_bytes)

    def records() -> Iterator[tuple[int, bytes]]:
        if rest:
            yield 2, rest
        yield from runs

    latest = -math.inf
    for accesses in convert_lines(records(), convert):
        if accesses.seconds:
            seconds = list(accumulate(accesses.seconds, max, initial=latest))[1:]
            latest = seconds[-1]
            yield Accesses(accesses.tokens, accesses.ops, accesses.sizes, seconds)
        else:
            yield accesses


class _Converter:
    """From a run of lines to columns."""

    def __init__(self, header: bytes, columns: CsvColumns, size_bytes: int) -> None:
        try:
            names = [name.strip() for name in next(csv.reader(texts(header), strict=True), [])]
        except ValueError as exc:
            raise TraceError(f"line 1 {exc}") from exc
        except csv.Error as exc:
            raise TraceError(f"line 1 is no CSV ({exc})") from exc
        self._width = len(names)
        self._key = _position(names, columns.key)
        self._time, self._size, self._op = (
            None if name is None else _position(names, name) for name in (columns.time, columns.size, columns.op)
        )
        self._units = _UNITS_A_SECOND[columns.time_unit]
        self._size_bytes = size_bytes

    def __call__(self, lines: bytes) -> Accesses:
        """Raises ValueError where one of them is no record."""
        columns = self._columns(texts(lines))
        keys = columns[self._key]
        if "" in keys:
            raise ValueError("has no key")
        op, size, time = self._op, self._size, self._time
        return Accesses(
            keys,
            None if op is None else list(map(_OPS.__getitem__, columns[op])),
            None if size is None else self._sizes(columns[size]),
            None if time is None else self._seconds(columns[time]),
        )

    def _columns(self, lines: list[str]) -> list[list[str]]:
        """The cells of each column. Without quotes, empty lines and stray CRs a split does it, in a fraction of the time of the csv module."""
        text, width = ",\n,".join(lines), self._width
        if '"' not in text and "\r" not in text and all(lines):
            cells = text.split(",")
            # a cell that is the end of a line stands after every so many, and nowhere else: all lines have as many cells
            between = cells[width :: width + 1]
            if len(cells) == len(lines) * (width + 1) - 1 and between.count("\n") == len(lines) - 1:
                return [cells[column :: width + 1] for column in range(width)]
        try:
            rows = list(csv.reader(lines, strict=True))
        except csv.Error as exc:
            raise ValueError(f"is no CSV ({exc})") from exc
        if len(rows) != len(lines):
            raise ValueError("has a line break inside a record")
        rows = [row for row in rows if row]
        for row in rows:
            if len(row) != width:
                raise ValueError(f"has {len(row)} of {width} columns")
        return [[row[column] for row in rows] for column in range(width)]

    def _sizes(self, column: list[str]) -> list[int]:
        try:
            sizes = list(map(int, column)) if "" not in column else [int(cell or self._size_bytes) for cell in column]
        except ValueError as exc:
            raise ValueError("has a size that is no number of bytes") from exc
        if sizes and not 0 <= min(sizes) <= max(sizes) <= MAX_VALUE_BYTES:
            raise ValueError(f"has a size that is not from 0 to {MAX_VALUE_BYTES} bytes")
        return sizes

    def _seconds(self, column: list[str]) -> list[float]:
        units = self._units
        try:
            seconds = [float(cell) / units for cell in column]
        except ValueError as exc:
            raise ValueError("has a time that is no number") from exc
        if not math.isfinite(sum(seconds)):  # as soon as one of them is not, their sum is not
            raise ValueError("has a time that is not finite")
        return seconds


def _position(names: list[str], name: str) -> int:
    if name not in names:
        raise TraceError(f"line 1 names no column {name!r}; there are: {', '.join(names)}")
    return names.index(name)
