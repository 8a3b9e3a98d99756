"""Compression, marked in the entry, so that whoever reads need not know whether whoever wrote compresses.

    00 7a ...   ``\\0z``: a zstd frame of what the codec made
    00 3d ...   ``\\0=``: what the codec made, which begins with a zero byte of its own
    ...         anything else is what the codec made, as it is

So nearly every entry that is not compressed costs no byte more, and what a node's own counters write is read as it stands. Every codec of
a group is tagged but raw without compression, which is no codec at all.

A frame says how long its content is, and is not opened where that is more than the limit: a small entry cannot fill the memory, nor can many
small ones that one call reads together, since what the frames of a call say is added up. What would not be opened is not written, either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from zmcache.codecs.base import Codec, cannot_read
from zmcache.errors import ConfigError, ValueTooLarge

try:
    import zstandard
except ImportError:  # the extra zmcache[zstd] is not installed; only what is compressed needs it
    zstandard = None  # type: ignore[assignment]  # the module, or its absence

MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
"""How long the content of a compressed entry may be, unless told otherwise: as long as a node's default budget, which none can exceed."""

VALUES_A_CALL: Final = 4
"""So many times that may all compressed entries of one call hold together: a quarter of a gigabyte, unless told otherwise."""

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
        """Where nothing is compressed, two comparisons more than the codec. Raises what the codec raises, and `ValueTooLarge`."""
        data = self.codec.encode(value)
        if self._above is not None and len(data) > self._above:
            frame = self._compress(data)
            if len(_COMPRESSED) + len(frame) < len(data):
                if len(data) > self._limit:
                    raise ValueTooLarge("the value is larger than is decompressed", size=len(data), limit=self._limit)
                return _COMPRESSED + frame
        return _ESCAPED + data if data.startswith(_ZERO) else data

    def decode(self, data: bytes, /) -> Any:
        """Raises `Undecodable`, for a compressed entry where zstandard is not installed, too."""
        if data.startswith(_ZERO):
            if data.startswith(_COMPRESSED):
                frame = data[len(_COMPRESSED) :]
                data = self._decompress(frame, self._size(frame))
            else:
                data = self._unescaped(data)
        return self.codec.decode(data)

    def reader(self) -> Callable[[bytes], Any]:
        """`decode` for the entries of one call, which also raises `ValueTooLarge` for each that would exceed what they may hold together."""
        limit = VALUES_A_CALL * self._limit
        left = limit

        def decode(data: bytes) -> Any:
            nonlocal left
            if data.startswith(_COMPRESSED):
                frame = data[len(_COMPRESSED) :]
                size = self._size(frame)
                if size > left:
                    raise ValueTooLarge(
                        "the call's values are larger than is decompressed at once; ask for fewer",
                        size=limit - left + size,
                        limit=limit,
                    )
                left -= size
                data = self._decompress(frame, size)
            elif data.startswith(_ZERO):
                data = self._unescaped(data)
            return self.codec.decode(data)

        return decode

    def _unescaped(self, data: bytes) -> bytes:
        if not data.startswith(_ESCAPED):
            raise cannot_read(self.name, "it begins with an unknown mark")
        return data[len(_ESCAPED) :]

    def _compress(self, data: bytes) -> bytes:
        compressor = getattr(self._contexts, "compressor", None)
        if compressor is None:
            compressor = self._contexts.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        frame: bytes = compressor.compress(data)
        return frame

    def _size(self, frame: bytes) -> int:
        """What the frame says of its content. One of ours does, and the size given to `decompress` would not bind one that does not."""
        if zstandard is None:
            raise cannot_read(self.name, "it is compressed, which needs zstandard: pip install zmcache[zstd]")
        try:
            size: int = zstandard.frame_content_size(frame)
        except Exception as exc:
            raise cannot_read(self.name, exc) from exc
        if not 0 <= size <= self._limit:
            raise cannot_read(self.name, f"it would be {size} bytes, limit {self._limit}")
        return size

    def _decompress(self, frame: bytes, size: int) -> bytes:
        decompressor = getattr(self._contexts, "decompressor", None)
        if decompressor is None:
            decompressor = self._contexts.decompressor = zstandard.ZstdDecompressor()
        try:
            data: bytes = decompressor.decompress(frame, max_output_size=size, allow_extra_data=False)
        except Exception as exc:
            raise cannot_read(self.name, exc) from exc
        return data
