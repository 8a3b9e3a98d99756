"""Entries above a size are compressed, and marked, so that every codec but the plain raw one reads both kinds, whatever it writes itself.

An entry that begins with a zero byte is marked: ``\\0z`` and a zstd frame, or ``\\0=`` and the data as it was, which began with a zero byte by
itself. All others are as they are, so that the integers of `incr` are too.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from zmcache.codecs.base import Codec, Undecodable
from zmcache.core.units import parse_size
from zmcache.errors import ConfigError

try:
    import zstandard
except ImportError:  # an extra: `pip install zmcache[zstd]`
    zstandard = None  # type: ignore[assignment]

T = TypeVar("T")

_COMPRESSED: Final = b"\0z"
_PLAIN: Final = b"\0="
_MAX_BYTES: Final = 64 * 1024 * 1024  # of an entry that is read, whatever its frame says


class Marking(Generic[T]):
    """Another codec, with its entries marked."""

    def __init__(self, codec: Codec[T], compress_above: int | str | None) -> None:
        """Raises `ConfigError` for what is no size, and where zstandard is not installed."""
        self.name = codec.name
        self._codec = codec
        self._above = _size(compress_above)
        if self._above is not None and zstandard is None:
            raise ConfigError("compress_above needs zstandard: pip install zmcache[zstd]")
        self._compressor: Any = None if self._above is None else zstandard.ZstdCompressor(level=3)

    def encode(self, value: T) -> bytes:
        """See `Codec.encode`."""
        data = self._codec.encode(value)
        if self._above is not None and len(data) > self._above:
            compressed: bytes = self._compressor.compress(data)
            if len(compressed) + len(_COMPRESSED) < len(data):
                return _COMPRESSED + compressed
        return _PLAIN + data if data.startswith(b"\0") else data

    def decode(self, data: bytes) -> T:
        """See `Codec.decode`."""
        if data.startswith(b"\0"):
            data = _unmarked(data)
        return self._codec.decode(data)


def _unmarked(data: bytes) -> bytes:
    if data.startswith(_PLAIN):
        return data[len(_PLAIN) :]
    if not data.startswith(_COMPRESSED) or zstandard is None:
        raise Undecodable(
            "compressed, and zstandard is not installed" if zstandard is None else "not marked by a codec"
        )
    frame = data[len(_COMPRESSED) :]
    try:
        if zstandard.frame_content_size(frame) > _MAX_BYTES:
            raise Undecodable(f"larger than {_MAX_BYTES} bytes")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=_MAX_BYTES)
    except zstandard.ZstdError as exc:
        raise Undecodable(str(exc)) from exc


def _size(compress_above: int | str | None) -> int | None:
    if compress_above is None:
        return None
    try:
        return parse_size(compress_above)
    except ValueError as exc:
        raise ConfigError(f"compress_above: {exc}") from exc
