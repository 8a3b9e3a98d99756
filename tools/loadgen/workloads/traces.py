"""A recorded file as a workload: what was asked, in order, at the pace it was recorded, a multiple of it, or as fast as it goes.

The forms are those of `trace_forms` and `trace_csv`, each plain or packed with xz. ``auto`` goes by the name where that is plain
(``.lis``: arc; ``.csv``; ``.txt``, ``.keys``, ``.lines``; ``.int32``, ``.bin``) and else by the content: bytes that no text has mean
integers.

A file is read as it is replayed: its first request is there at once. One that breaks off gives everything before the break, and
then `TraceError`: what was asked until then was asked.
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from typing import Literal

from ..errors import TraceError
from ..requests import READ, WRITE, Request
from .base import WHOLE, Part, named
from .sizes import MAX_VALUE_BYTES
from .trace_csv import CsvColumns, rows
from .trace_files import read_blocks
from .trace_forms import Accesses, detect, integers, keys, ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceWorkload:
    """The accesses of one file. Integers and keys cost 0.2 us a request, ARC ranges 0.4 and CSV with four columns 0.9.

    ``form``: ``"auto"``, ``"int32"``, ``"lines"``, ``"arc"`` or ``"csv"``. ``csv_columns``: needed for CSV, and unused elsewhere.
    ``limit``: how many accesses of the file at most (None: all). ``pace``: 1.0 as recorded, 2.0 twice as fast, None as fast as it
    goes; only CSV has times. ``size_bytes``: of the values where the file has no sizes. ``prefix``: stands before each key.
    ``part``: see `for_worker`. Raises ValueError for what is outside that.
    """

    path: Path
    form: Literal["auto", "int32", "lines", "arc", "csv"] = "auto"
    csv_columns: CsvColumns | None = None
    limit: int | None = None
    pace: float | None = None
    size_bytes: int = 128
    prefix: str = ""
    part: Part = WHOLE

    def __post_init__(self) -> None:
        timed = self.csv_columns is not None and self.csv_columns.time is not None
        for holds, expected in (
            (self.form in ("auto", "int32", "lines", "arc", "csv"), "form: auto, int32, lines, arc or csv"),
            (self.form != "csv" or self.csv_columns is not None, "a CSV trace needs the names of its columns"),
            (self.limit is None or self.limit >= 1, "limit: at least 1 access"),
            (self.pace is None or 0 < self.pace < math.inf, "pace: a finite number above 0"),
            (self.pace is None or timed, "pace: only with the time column of a CSV trace"),
            (0 <= self.size_bytes <= MAX_VALUE_BYTES, f"value size: from 0 to {MAX_VALUE_BYTES} bytes"),
        ):
            if not holds:
                raise ValueError(expected)
        self.part.check()

    @property
    def seed(self) -> int | None:
        """Nothing is drawn."""
        return None

    @property
    def description(self) -> Mapping[str, object]:
        """The file's name, not its folder, and how it is read."""
        csv = self.csv_columns
        columns = {} if csv is None else {"columns": str(csv), "time_unit": csv.time_unit}
        return {
            "kind": "trace",
            "file": self.path.name,
            "form": self.form,
            **columns,
            "limit": self.limit,
            "pace": self.pace,
            "value_bytes": str(self.size_bytes),
            "prefix": self.prefix,
        }

    @property
    def total(self) -> int | None:
        """Only the limit is known before the file was read; of it, this worker's part."""
        return None if self.limit is None else len(range(self.part.worker, self.limit, self.part.workers))

    @property
    def timed(self) -> bool:
        """With a pace."""
        return self.pace is not None

    def for_worker(self, index: int, count: int) -> TraceWorkload:
        """Every ``count``-th access, from number ``index`` on. Each worker reads the whole file."""
        return replace(self, part=Part(index, count))

    def load_requests(self) -> Iterator[Request]:
        """Nothing: which keys there are is known only after the file was read."""
        return iter(())

    def requests(self) -> Iterator[Request]:
        """The stream. A file that cannot be opened, or has no record at all, raises `TraceError` here and not later."""
        found = self.accesses()
        first = next(found, None)
        if first is None:
            raise TraceError(f"{self.path}: empty, there is nothing to replay")
        if self.timed and first.seconds is None:
            raise TraceError(f"{self.path}: has no times, so there is no pace to keep")
        return chain.from_iterable(self._blocks(chain([first], found)))

    def _blocks(self, found: Iterable[Accesses]) -> Iterator[Iterable[Request]]:
        worker, workers = self.part
        position, started_s = 0, None
        for accesses in found:
            if started_s is None and accesses.seconds:
                started_s = accesses.seconds[0]
            mine = accesses if workers == 1 else accesses.cut(slice((worker - position) % workers, None, workers))
            position += len(accesses.tokens)
            yield zip(
                repeat(READ) if mine.ops is None else mine.ops,
                mine.tokens,
                named(self.prefix, mine.tokens),
                self._written(mine),
                repeat(0.0),
                self._due(mine.seconds, started_s or 0.0),
            )

    def _written(self, accesses: Accesses) -> Iterable[int]:
        """How many bytes each of them writes: none where it reads or deletes."""
        ops = accesses.ops
        if ops is None:
            return repeat(0)
        sizes = repeat(self.size_bytes) if accesses.sizes is None else accesses.sizes
        return [size if op == WRITE else 0 for op, size in zip(ops, sizes, strict=False)]

    def _due(self, seconds: Sequence[float] | None, started_s: float) -> Iterable[float]:
        pace = self.pace
        return repeat(0.0) if pace is None or seconds is None else [(second - started_s) / pace for second in seconds]

    def accesses(self) -> Iterator[Accesses]:
        """What the file says, as columns, up to the limit and for all workers: runs that are never empty. Raises `TraceError` with
        the file's name.
        """
        left, records = math.inf if self.limit is None else self.limit, 0
        try:
            for accesses in self._read():
                count = len(accesses.tokens)
                if count >= left:
                    yield accesses.cut(slice(int(left)))
                    return
                if count:
                    left -= count
                    records += count
                    yield accesses
        except TraceError as exc:
            raise TraceError(f"{self.path}: {exc}") from exc
        except EOFError as exc:
            raise TraceError(f"{self.path}: the packed file ends too early, after record {records}") from exc
        except lzma.LZMAError as exc:
            raise TraceError(f"{self.path}: the packed file is damaged, after record {records} ({exc})") from exc
        except OSError as exc:
            raise TraceError(f"{self.path}: cannot be read, after record {records} ({exc.strerror or exc})") from exc

    def _read(self) -> Iterator[Accesses]:
        blocks = read_blocks(self.path)
        head = next(blocks, b"")
        if not head:
            return iter(())
        form = detect(self.path, head) if self.form == "auto" else self.form
        blocks = chain([head], blocks)
        if form == "csv":
            if self.csv_columns is None:
                raise TraceError("a CSV trace needs --csv-columns, such as time=ts,key=obj,size=bytes,op=cmd")
            return rows(blocks, self.csv_columns, self.size_bytes)
        return {"int32": integers, "lines": keys, "arc": ranges}[form](blocks)
