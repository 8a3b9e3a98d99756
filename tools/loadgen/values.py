"""What is stored under a key: random bytes where nobody looks at them, and stamped ones where a run is verified.

A stamped value is a header and a fill; big-endian, `HEADER_BYTES` long:

    magic       4    what makes it one of ours
    checksum    4    of all that follows, to the end of the value
    key         8    hash of the key that it was written to
    writer      8    which run, and which of its workers (the lowest 16 bits)
    version     8    counted by the writer over all its keys, from 1: the later write has the higher one
    length      4    of the whole value

So a value tells by itself whether it is whole, and whose it is. Its size is the one asked for; what would be smaller than
a header is as large as a header.
"""

from __future__ import annotations

import random
import struct
from typing import Final

import xxhash

HEADER_BYTES: Final = 36

_MAGIC: Final = b"zmLG"
_FRONT: Final = struct.Struct(">4sI")
_STAMP: Final = struct.Struct(">QQQI")
_HEADER: Final = struct.Struct(">4sIQQQI")
_OFFSETS: Final = 4096  # fills begin at so many places of the pool: two versions of a key differ nearly everywhere
_KEEP_BYTES: Final = 8 << 20  # of cuts kept for the next one who asks for that size
_SMALLEST_POOL: Final = 64 << 10

Stamp = tuple[int, int, int]
"""(hash of the key, writer, version)"""


class Torn(ValueError):
    """Bytes that were one of our values, and are not whole; the text says what does not fit."""


class Pool:
    """Random bytes, of which values are cut: one costs no more than a look-up or a slice, and compresses no better than
    real data would. All values of one size are the same.
    """

    def __init__(self, seed: int) -> None:
        """The same ``seed`` gives the same values."""
        self._random = random.Random(f"{seed}/values")
        self._bytes = b""
        self._cuts: dict[int, bytes] = {}
        self._kept_bytes = 0

    def value(self, size: int) -> bytes:
        """A value of ``size`` bytes."""
        cut = self._cuts.get(size)
        return self.cut(0, size) if cut is None else cut

    def cut(self, start: int, size: int) -> bytes:
        """``size`` bytes from ``start`` on."""
        end = start + size
        missing = max(end, _SMALLEST_POOL) - len(self._bytes)
        if missing > 0:
            self._bytes += self._random.randbytes(max(missing, len(self._bytes)))
        cut = self._bytes[start:end]
        if not start and self._kept_bytes + size <= _KEEP_BYTES and size not in self._cuts:
            self._cuts[size] = cut
            self._kept_bytes += size
        return cut


class ValueMaker:
    """Makes the stamped values of one writer."""

    def __init__(self, worker: int, run: int | None = None) -> None:
        """``worker``: below 65,536. ``run`` (48 bits; None: drawn): so that values left from an earlier run are known as such."""
        run = random.SystemRandom().getrandbits(48) if run is None else run
        self.writer = (run & (1 << 48) - 1) << 16 | worker
        self._fills = Pool(0)

    def make(self, key_hash: int, version: int, size: int) -> bytes:
        """A value of ``size`` bytes, or of `HEADER_BYTES` where that is more. 2 us, and 0.2 us a KiB."""
        fill_bytes = max(0, size - HEADER_BYTES)
        fill = self._fills.cut(1 + (key_hash + version) % _OFFSETS, fill_bytes)
        rest = _STAMP.pack(key_hash, self.writer, version, HEADER_BYTES + fill_bytes) + fill
        return _FRONT.pack(_MAGIC, _checksum(rest)) + rest


def hash_key(key: str) -> int:
    """As it stands in a header. 0.2 us."""
    found: int = xxhash.xxh3_64_intdigest(key.encode())
    return found


def read_stamp(value: bytes, key_hash: int) -> Stamp | None:
    """What the header says; None where it is none of ours. Raises `Torn`. 1 us, and 0.02 us a KiB.

    ``key_hash`` is that of the key under which the value was found: where the magic itself is damaged, it is known by
    that, or by a length and a checksum that fit.
    """
    size = len(value)
    if size < HEADER_BYTES:
        if value.startswith(_MAGIC):
            raise Torn(f"{size} bytes are left of it")
        return None
    magic, checksum, stamped_hash, writer, version, length = _HEADER.unpack_from(value)
    if magic != _MAGIC:
        if stamped_hash == key_hash or (length == size and checksum == _checksum(memoryview(value)[_FRONT.size :])):
            raise Torn("its beginning is not as it was written")
        return None
    if length != size:
        raise Torn(f"it was written with {length} bytes, and has {size}")
    if checksum != _checksum(memoryview(value)[_FRONT.size :]):
        raise Torn(f"its checksum does not fit ({size} bytes)")
    return stamped_hash, writer, version


def worker_of(writer: int) -> int:
    """The worker's number."""
    return writer & 0xFFFF


def _checksum(rest: bytes | memoryview) -> int:
    digest: int = xxhash.xxh3_64_intdigest(rest)
    return digest & 0xFFFFFFFF
