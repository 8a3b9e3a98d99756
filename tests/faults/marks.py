"""Values that say whose they are: key, writer and version, under a checksum; see `zmcache_loadgen.values` for the bytes."""

from __future__ import annotations

import os
from typing import Final

from zmcache_loadgen.values import Torn, ValueMaker, hash_key, read_stamp

from faults.record import ABSENT, ALIEN, OK, TORN

_LOADER: Final = 1 << 15
_COUNT_BITS: Final = 26


class Marker:
    """Makes the values of one writer, each of a version that nobody else gives. ``worker`` is below 32,768; None: the loader of this process."""

    def __init__(self, worker: int | None) -> None:
        self._maker = ValueMaker(_LOADER, os.getpid()) if worker is None else ValueMaker(worker, 0)
        self._count = 0

    def next_version(self) -> int:
        self._count += 1
        return _version(self._maker.writer, self._count)

    def value(self, key: str, version: int, size: int) -> bytes:
        made: bytes = self._maker.make(hash_key(key), version & (1 << _COUNT_BITS) - 1, size)
        return made


def read_mark(key: str, value: bytes | None) -> tuple[str, int, str]:
    """What a get of ``key`` found: outcome, version, and what is wrong with it."""
    if value is None:
        return ABSENT, 0, ""
    wanted = hash_key(key)
    try:
        stamp = read_stamp(value, wanted)
    except Torn as torn:
        return TORN, 0, str(torn)
    if stamp is None:
        return ALIEN, 0, f"{len(value)} bytes that nobody wrote: {value[:16]!r}"
    found, writer, count = stamp
    if found != wanted:
        return ALIEN, _version(writer, count), "another key's value"
    return OK, _version(writer, count), ""


def _version(writer: int, count: int) -> int:
    return writer << _COUNT_BITS | count
