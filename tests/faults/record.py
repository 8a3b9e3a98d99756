"""What happened in a run, as plain data: each operation, each load, each fault. Whoever has such data can have it checked, wherever it comes from.

Times are seconds of one clock for all (the system's monotonic clock, which every process of a machine shares; in a simulation its virtual
time). A version names one write or one load: no two have the same, and nothing else is asked of it.

On disk a record is a folder of streams, one writer each: rows are appended as they end, so that what a killed process wrote is not lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgpack

GET: Final = "get"
SET: Final = "set"
DELETE: Final = "delete"

OK: Final = "ok"
"""A set or a delete was acknowledged; a get found a value."""
ABSENT: Final = "absent"
FAILED: Final = "failed"
"""It raised. A write that did may have been done all the same, now or later."""
CANCELLED: Final = "cancelled"
"""By its own caller."""
TORN: Final = "torn"
"""A get found bytes that nobody wrote like that."""
ALIEN: Final = "alien"
"""A get found what belongs to another key, or what none of those who write here wrote."""


class Op(NamedTuple):
    """One operation. ``version``: which write it was, or which one a get found. ``note``: what was raised."""

    worker: int
    kind: str
    key: str
    began_s: float
    ended_s: float
    timeout_s: float
    outcome: str
    version: int = 0
    note: str = ""


class Load(NamedTuple):
    """One key that a loader was asked for, by the process ``pid`` of ``node``. Infinite end: it never ended."""

    node: str
    pid: int
    key: str
    began_s: float
    ended_s: float
    version: int


CRASH: Final = "crash"
"""A node lost all that it held. It ends when what it held has been copied again, or never."""
GONE: Final = "gone"
"""Others stand in for a node that is dead, until the ring has closed: what they acknowledge they may keep for a short time only."""
PAUSE: Final = "pause"
"""A node did nothing, or was off the list, and held what it held: it may be behind when it goes on."""
CUT: Final = "cut"
"""A node could not reach all others, or not be reached: it may be behind all the while, and for a time afterwards."""


class Outage(NamedTuple):
    """What was done to one node, and from when to when."""

    node: str
    kind: str
    began_s: float
    ended_s: float = math.inf


class Stall(NamedTuple):
    """A time in which a worker's own loop did not run."""

    worker: int
    began_s: float
    ended_s: float


@dataclass
class Record:
    """One run. ``calm``: times with equal rings and no transport failure, from when to when."""

    ops: list[Op] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    stalls: list[Stall] = field(default_factory=list)
    calm: list[tuple[float, float]] = field(default_factory=list)
    last_look_s: float = math.inf
    """From when on gets are the last look at what is left."""


class Stream:
    """Appends rows to a file. ``most``: what it takes; `full` tells when that is reached."""

    def __init__(self, path: Path, most: int) -> None:
        self._file: BinaryIO = path.open("wb", buffering=1 << 16)
        self._pack = msgpack.Packer().pack
        self._left = most

    @property
    def full(self) -> bool:
        return self._left <= 0

    def add(self, row: tuple[Any, ...]) -> None:
        self._left -= 1
        self._file.write(self._pack(row))

    def close(self) -> None:
        self._file.close()


def rows_in(path: Path) -> Iterator[list[Any]]:
    """The rows of one stream; what a killed process left half-written at its end is no row."""
    with path.open("rb") as file:
        yield from msgpack.Unpacker(file)


def read_ops(paths: Iterable[Path]) -> list[Op]:
    return sorted((Op(*row) for path in paths for row in rows_in(path)), key=lambda op: op.began_s)


def read_stalls(paths: Iterable[Path]) -> list[Stall]:
    return sorted((Stall(*row) for path in paths for row in rows_in(path)), key=lambda stall: stall.began_s)
