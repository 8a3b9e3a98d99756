"""From a file to its bytes, blocks and lines: read as a stream, however large it is.

A file packed with xz is told by its first bytes, never by its name. A file that breaks off gives everything before the break, and
then raises: what was asked until then was asked.
"""

from __future__ import annotations

import codecs
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from ..errors import TraceError

_XZ_MAGIC: Final = b"\xfd7zXZ\x00"
_BLOCK_BYTES: Final = 4 * 1024  # a thousand integers: few enough not to be felt as a pause; larger ones were no faster
_MAX_LINE_BYTES: Final = (
    4096  # four times the longest key: a key that is too long is the target's to refuse, within reason
)
_TOO_LONG: Final = f"is longer than {_MAX_LINE_BYTES} bytes"

_T = TypeVar("_T")


def read_blocks(path: Path) -> Iterator[bytes]:
    """The unpacked content, in blocks that are never empty. Raises OSError, EOFError and lzma.LZMAError after the last good one."""
    with path.open("rb") as file:
        if not file.peek(len(_XZ_MAGIC)).startswith(_XZ_MAGIC):
            while block := file.read1(_BLOCK_BYTES):
                yield block
            return
        # read1, not read, and no buffer around it: these would lose the last good bytes when they raise
        with lzma.LZMAFile(file) as unpacked:
            while block := unpacked.read1(_BLOCK_BYTES):
                yield block


def split_lines(blocks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Runs of whole lines, the last without its end, and the number of the first of them, from 1.

    Raises `TraceError` where a line does not end, so that it fills no memory.
    """
    rest, first = b"", 1
    for block in blocks:
        whole, end, begun = block.rpartition(b"\n")
        if end:
            lines = rest + whole
            yield first, lines.removeprefix(codecs.BOM_UTF8) if first == 1 else lines
            first += lines.count(b"\n") + 1
            rest = begun
        else:
            rest += begun
        if len(rest) > _MAX_LINE_BYTES:
            raise TraceError(f"line {first} {_TOO_LONG}")
    if rest:
        yield first, rest.removeprefix(codecs.BOM_UTF8) if first == 1 else rest


def texts(lines: bytes) -> list[str]:
    """A run of lines as text, without LF or CRLF. Raises ValueError where it is none, or a line is longer than 4 KiB."""
    if len(lines) > _MAX_LINE_BYTES and max(map(len, lines.split(b"\n"))) > _MAX_LINE_BYTES:
        raise ValueError(_TOO_LONG)
    try:
        text = lines.decode()
    except UnicodeDecodeError as exc:
        raise ValueError("is not UTF-8 text (--format int32 reads integers)") from exc
    # a CR that ends the last line of a run is followed by no LF here
    return text.removesuffix("\r").replace("\r\n", "\n").split("\n")


def convert_lines(runs: Iterator[tuple[int, bytes]], convert: Callable[[bytes], _T]) -> Iterator[_T]:
    """Each run of lines, converted at once; where that raises ValueError line by line, and at the guilty one `TraceError`."""
    for first, lines in runs:
        try:
            converted = convert(lines)
        except ValueError:
            yield from _one_by_one(first, lines, convert)
        else:
            yield converted


def _one_by_one(first: int, lines: bytes, convert: Callable[[bytes], _T]) -> Iterator[_T]:
    for number, line in enumerate(lines.split(b"\n"), first):
        try:
            converted = convert(line)
        except ValueError as exc:
            raise TraceError(f"line {number} {exc}") from exc
        yield converted
