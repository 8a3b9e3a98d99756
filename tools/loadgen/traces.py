"""Which key next, from a recorded file: read as a stream, a chunk at a time, however large it is.

Two forms, each plain or packed with xz (told by the first bytes, never by the name):

- ``int32``: unsigned integers of 32 bits, big-endian, one an access and nothing between them; the key is the integer in
  decimal.
- ``lines``: UTF-8 text, one key a line, ended by LF or CRLF; what else stands in a line belongs to the key. Empty lines
  are skipped.

``auto`` goes by the name where that is plain (``.txt``, ``.keys``, ``.lines``; ``.int32``, ``.bin``) and else by the
content: bytes that no text has mean integers.

A file that breaks off gives everything before the break, and then `TraceError`: what was asked until then was asked.
"""

from __future__ import annotations

import codecs
import io
import lzma
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal, cast

from .errors import TraceError
from .workload import Request

Form = Literal["int32", "lines"]

_XZ_MAGIC = b"\xfd7zXZ\x00"
_CHUNK_BYTES = 16 * 1024
_MAX_LINE_BYTES = 4096  # four times the longest key: a key that is too long is the target's to refuse, within reason
_FORM_BY_SUFFIX: dict[str, Form] = {
    ".txt": "lines", ".keys": "lines", ".lines": "lines", ".int32": "int32", ".bin": "int32",
}  # fmt: skip
_NOT_IN_TEXT = bytes(set(range(32)) - set(b"\t\n\r"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceWorkload:
    """The accesses of one file, in order, as reads.

    ``form``: ``"auto"``, ``"int32"`` or ``"lines"``. ``limit``: how many accesses at most (None: all). ``prefix``:
    stands before each key.
    """

    path: Path
    form: Literal["auto", "int32", "lines"] = "auto"
    limit: int | None = None
    prefix: str = ""

    @property
    def seed(self) -> int | None:
        """Nothing is drawn."""
        return None

    @property
    def description(self) -> Mapping[str, object]:
        """The file's name, not its folder, and how it is read."""
        return {"kind": "trace", "file": self.path.name, "form": self.form, "limit": self.limit, "prefix": self.prefix}

    @property
    def total(self) -> int | None:
        """Only the limit is known before the file was read."""
        return self.limit

    def requests(self) -> Iterator[Request]:
        """The stream. A file that cannot be opened, or has no record at all, raises `TraceError` here and not later."""
        keys = read_keys(self.path, self.form)
        try:
            first = next(keys)
        except StopIteration:
            raise TraceError(f"{self.path}: empty, there is nothing to replay") from None
        prefix = self.prefix
        return ((key, f"{prefix}{key}", None) for key in islice(chain([first], keys), self.limit))


def read_keys(path: Path, form: str = "auto") -> Iterator[int | str]:
    """The keys of a trace, in order. Raises `TraceError` where the file ends wrongly, and only there."""
    records = 0
    try:
        with path.open("rb") as file, _unpacked(file) as stream:
            known = _detect(path, stream) if form == "auto" else form
            keys: Iterator[int | str] = _integers(stream) if known == "int32" else _lines(stream)
            for key in keys:
                records += 1
                yield key
    except TraceError as exc:
        raise TraceError(f"{path}: {exc}") from exc
    except EOFError as exc:
        raise TraceError(f"{path}: the packed file ends too early, after record {records}") from exc
    except lzma.LZMAError as exc:
        raise TraceError(f"{path}: the packed file is damaged, after record {records} ({exc})") from exc
    except OSError as exc:
        raise TraceError(f"{path}: cannot be read, after record {records} ({exc.strerror or exc})") from exc


def _unpacked(file: io.BufferedReader) -> io.BufferedReader:
    if file.peek(len(_XZ_MAGIC)).startswith(_XZ_MAGIC):
        return io.BufferedReader(cast("io.RawIOBase", lzma.LZMAFile(file)), _CHUNK_BYTES)
    return file


def _detect(path: Path, stream: io.BufferedReader) -> Form:
    suffixes = [suffix for suffix in path.suffixes if suffix != ".xz"]
    if suffixes and (named := _FORM_BY_SUFFIX.get(suffixes[-1].lower())):
        return named
    head = stream.peek(_CHUNK_BYTES)[:_CHUNK_BYTES]
    if head != head.translate(None, _NOT_IN_TEXT):
        return "int32"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # incremental: the head may end inside a character
    except UnicodeDecodeError:
        return "int32"
    return "lines"


def _integers(stream: io.BufferedReader) -> Iterator[int]:
    rest, records = b"", 0
    # read1, not read: a packed file that breaks off raises after its last good bytes, which read would lose
    while chunk := stream.read1(_CHUNK_BYTES):
        chunk = rest + chunk
        count, over = divmod(len(chunk), 4)
        rest = chunk[len(chunk) - over :]
        records += count
        yield from struct.unpack_from(f">{count}I", chunk)
    if rest:
        raise TraceError(f"ends inside a record, {len(rest)} of 4 bytes after record {records}")


def _lines(stream: io.BufferedReader) -> Iterator[str]:
    number = 0
    while line := stream.readline(_MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > _MAX_LINE_BYTES:
            raise TraceError(f"line {number} is longer than {_MAX_LINE_BYTES} bytes")
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            key = line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as exc:
            raise TraceError(f"line {number} is not UTF-8 text (--format int32 reads integers)") from exc
        if key:
            yield key
