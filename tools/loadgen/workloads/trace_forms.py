"""From blocks of bytes to accesses, a column at a time. The forms that say no more than the keys; CSV is next door.

- ``int32``: unsigned integers of 32 bits, big-endian, one an access and nothing between them; the key is the integer in
  decimal.
- ``lines``: UTF-8 text, one key a line, ended by LF or CRLF; what else stands in a line belongs to the key. Empty lines
  are skipped.
- ``arc``: the ``.lis`` files of Megiddo and Modha's ARC: lines of four numbers, ``start count ignored request-number``, each an
  access to ``count`` keys, one after the other, from ``start`` on.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ..errors import TraceError
from .trace_files import convert_lines, split_lines, texts

Form = Literal["int32", "lines", "arc", "csv"]

_FORM_BY_SUFFIX: Final[dict[str, Form]] = {
    ".txt": "lines", ".keys": "lines", ".lines": "lines", ".int32": "int32", ".bin": "int32", ".lis": "arc", ".csv": "csv",
}  # fmt: skip
_NOT_IN_TEXT: Final = bytes(set(range(32)) - set(b"\t\n\r"))
_RUN: Final = 1024  # accesses made at once, though a line of an ARC file may stand for millions


@dataclass(frozen=True, slots=True)
class Accesses:
    """Some accesses in a row, as columns of one length; None where the form does not say.

    ``seconds``: when, by the trace's own zero.
    """

    tokens: Sequence[int] | Sequence[str]
    ops: Sequence[int] | None = None
    sizes: Sequence[int] | None = None
    seconds: Sequence[float] | None = None

    def cut(self, part: slice) -> Accesses:
        """Those at ``part``."""
        return Accesses(
            self.tokens[part],
            self.ops and self.ops[part],
            self.sizes and self.sizes[part],
            self.seconds and self.seconds[part],
        )


def detect(path: Path, head: bytes) -> Form:
    """By the name where that is plain, and else by the first unpacked bytes: what no text has means integers."""
    suffixes = [suffix for suffix in path.suffixes if suffix != ".xz"]
    if suffixes and (named := _FORM_BY_SUFFIX.get(suffixes[-1].lower())):
        return named
    if head != head.translate(None, _NOT_IN_TEXT):
        return "int32"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # incremental: the head may end inside a character
    except UnicodeDecodeError:
        return "int32"
    return "lines"


def integers(blocks: Iterator[bytes]) -> Iterator[Accesses]:
    """``int32``. 0.02 us an access. Raises `TraceError` at an end inside a record."""
    rest, records = b"", 0
    for block in blocks:
        content = rest + block
        count, over = divmod(len(content), 4)
        rest = content[len(content) - over :]
        records += count
        yield Accesses(struct.unpack_from(f">{count}I", content))
    if rest:
        raise TraceError(f"ends inside a record, {len(rest)} of 4 bytes after record {records}")


def keys(blocks: Iterator[bytes]) -> Iterator[Accesses]:
    """``lines``. 0.1 us an access. Raises `TraceError` as `trace_files` does."""
    for lines in convert_lines(split_lines(blocks), texts):
        yield Accesses([line for line in lines if line])


def ranges(blocks: Iterator[bytes]) -> Iterator[Accesses]:
    """``arc``. 0.6 us a line and 0.02 us an access. Raises `TraceError` at a line that is none."""
    for found in convert_lines(split_lines(blocks), _ranges):
        gathered: list[int] = []
        for start, count in found:
            while count > _RUN:
                yield Accesses([*gathered, *range(start, start + _RUN)])
                gathered, start, count = [], start + _RUN, count - _RUN
            gathered += range(start, start + count)
            if len(gathered) >= _RUN:
                yield Accesses(gathered)
                gathered = []
        yield Accesses(gathered)


def _ranges(lines: bytes) -> list[tuple[int, int]]:
    """(start, count) of each line."""
    rows = [row for line in texts(lines) if (row := line.split())]
    # all four fields, though two are not used: a line with fewer is one that breaks off
    if rows and (set(map(len, rows)) != {4} or not "".join(map("".join, rows)).isdecimal()):
        raise ValueError("is not 'start count ignored request-number', four numbers from 0")
    found = [(int(row[0]), int(row[1])) for row in rows]
    if any(count >= 1 << 32 for _, count in found):
        raise ValueError("names more keys at once than any trace does")
    return found
