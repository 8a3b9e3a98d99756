"""Compression, marked in the entry, so that whoever reads need not know whether whoever wrote compresses.

    00 7a ...   ``\\0z``: a zstd frame of what the codec made
    00 3d ...   ``\\0=``: what the codec made, which begins with a zero byte of its own
    ...         anything else is what the codec made, as it is

So nearly every entry that is not compressed costs no byte more, and what a node's own counters write is read as it stands. Every codec of
a group is tagged but raw without compression, which is no codec at all.

A frame says how long its content is, and is not opened where that is more than the limit: a small entry cannot fill the memory.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from zmcache.codecs.base import Codec, Undecodable, cannot_read
from zmcache.errors import ConfigError

try:
    import zstandard
except ImportError:  # the extra zmcache[zstd] is not installed; only what is compressed needs it
    zstandard = None  # type: ignore[assignment]  # the module, or its absence

MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
"""How long the content of a compressed entry may be, unless told otherwise: as long as a node's default budget, which none can exceed."""

_ZERO: Final = b"\0"
_ESCAPED: Final = b"\0="
_COMPRESSED: Final = b"\0z"
# A megabyte of JSON takes 2 ms, all of which a node's loop may have to wait; zstd's own default, 3, takes twice that and leaves no less.
_LEVEL: Final = 1


class TaggedCodec:
    """Another codec's entries, compressed above a size, and marked."""

    def __init__(self, codec: Codec[Any], compress_above: int | None, max_value_bytes: int) -> None:
        """``compress_above``: bytes; None: never. Raises `ConfigError` where it is given and zstandard is not installed."""
        if compress_above is not None and zstandard is None:
            raise ConfigError("compress_above= needs zstandard: pip install zmcache[zstd]")
        self.name: Final = codec.name
        self.codec: Final = codec
        self._above, self._limit = compress_above, max_value_bytes
        # A context serves one thread at a time, and lets others run meanwhile.
        self._contexts: Final = threading.local()

    def encode(self, value: Any, /) -> bytes:
        """Where nothing is compressed, two comparisons more than the codec. Raises what the codec raises."""
        data = self.codec.encode(value)
        if self._above is not None and len(data) > self._above:
            frame = self._compress(data)
            if len(_COMPRESSED) + len(frame) < len(data):
                return _COMPRESSED + frame
        return _ESCAPED + data if data.startswith(_ZERO) else data

    def decode(self, data: bytes, /) -> Any:
        """Raises `Undecodable`, for a compressed entry where zstandard is not installed, too."""
        if data.startswith(_ZERO):
            if data.startswith(_ESCAPED):
                data = data[len(_ESCAPED) :]
            elif data.startswith(_COMPRESSED):
                data = self._decompress(data[len(_COMPRESSED) :])
            else:
                raise cannot_read(self.name, "it begins with an unknown mark")
        return self.codec.decode(data)

    def _compress(self, data: bytes) -> bytes:
        compressor = getattr(self._contexts, "compressor", None)
        if compressor is None:
            compressor = self._contexts.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        frame: bytes = compressor.compress(data)
        return frame

    def _decompress(self, frame: bytes) -> bytes:
        if zstandard is None:
            raise cannot_read(self.name, "it is compressed, which needs zstandard: pip install zmcache[zstd]")
        decompressor = getattr(self._contexts, "decompressor", None)
        if decompressor is None:
            decompressor = self._contexts.decompressor = zstandard.ZstdDecompressor()
        try:
            size = zstandard.frame_content_size(frame)
            # -1: it does not say. A frame of ours does, and the size given to `decompress` would not bind one that does.
            if not 0 <= size <= self._limit:
                raise cannot_read(self.name, f"it would be {size} bytes, limit {self._limit}")
            data: bytes = decompressor.decompress(frame, allow_extra_data=False)
        except Undecodable:
            raise
        except Exception as exc:
            raise cannot_read(self.name, exc) from exc
        return data
