"""Codecs by name: the arguments of a group, read once, into the codec it uses or into none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from zmcache.codecs.base import Codec
from zmcache.codecs.foreign import ForeignCodec
from zmcache.codecs.plain import BuiltinCodec, RawCodec, json_codec, msgpack_codec
from zmcache.codecs.signed import PickleCodec, pickle_codec
from zmcache.codecs.tagged import MAX_VALUE_BYTES, TaggedCodec
from zmcache.codecs.typed import TypedCodec
from zmcache.core.units import found, parse_size
from zmcache.errors import ConfigError

T = TypeVar("T")

CODECS: Final = ("raw", "msgpack", "json", "pickle")
"""The names that `make_codec` knows."""


def make_codec(
    codec: str | Codec[Any] | None = None,
    *,
    type: object = None,  # noqa: A002  # the word of the public calls
    compress_above: int | str | None = None,
    key: bytes | None = None,
    max_decompressed: int | str | None = None,
) -> TaggedCodec | None:
    """The codec that these arguments describe; None for bytes as they are, which need none.

    codec            ``"raw"`` (None: this), ``"msgpack"``, ``"json"``, ``"pickle"``, or an object with ``name``, ``encode`` and ``decode``.
    type             instead of a codec: values are of this type, checked both ways.
    compress_above   compress what is longer: bytes, or text such as ``"1KiB"``; None: nothing. Below a kilobyte there is little to gain.
    key              what pickles are signed with, at least 16 bytes.
    max_decompressed  the longest content that a compressed entry may have, and a quarter of what those of one call may have together;
                     bytes, or text; None: 64 MiB.

    Raises `ConfigError` for an unknown name, what does not go together, a type that msgspec cannot handle, and a missing extra.
    """
    if codec is not None and type is not None:
        raise ConfigError("expected codec= or type=, found both: a type brings its own codec")
    if key is not None and codec != "pickle":
        raise ConfigError("expected key= with the codec pickle alone, found it with another")
    above = None if compress_above is None else _size(compress_above, "compress_above")
    made = TypedCodec(type) if type is not None else _made("raw" if codec is None else codec, key)
    if isinstance(made, TaggedCodec):
        if above is None and max_decompressed is None:
            return made
        made = made.codec
    if above is None and isinstance(made, RawCodec):
        return None
    limit = MAX_VALUE_BYTES if max_decompressed is None else _size(max_decompressed, "max_decompressed")
    return TaggedCodec(made, above, limit)


def reads_counters(codec: Codec[Any] | None) -> bool:
    """Whether what a node's own counters write, ASCII digits, is a value of this codec, and the same number.

    As msgpack ``b"5"`` would be 53. Of a program's own codec nothing is known: that is the program's to see to.
    """
    plain = codec.codec if isinstance(codec, TaggedCodec) else codec
    return plain is None or plain.name == "json" or isinstance(plain, RawCodec | ForeignCodec)


def reader_of(codec: Codec[T]) -> Callable[[bytes], T]:
    """What decodes the values of one call, which bounds what they come to together where they are compressed (`TaggedCodec.reader`)."""
    return codec.reader() if isinstance(codec, TaggedCodec) else codec.decode


def serves_threads(codec: Codec[Any] | None) -> bool:
    """Whether several threads may use it at once. All of these may; of a program's own codec nothing is known."""
    plain = codec.codec if isinstance(codec, TaggedCodec) else codec
    return not isinstance(plain, ForeignCodec)


def _made(codec: object, key: bytes | None) -> Codec[Any]:
    match codec:
        case "raw":
            return RawCodec()
        case "msgpack":
            return msgpack_codec()
        case "json":
            return json_codec()
        case "pickle":
            return pickle_codec(key)
        case str():
            raise ConfigError(f"expected a codec ({', '.join(CODECS)}), found {found(codec)}")
        case TaggedCodec() | RawCodec() | BuiltinCodec() | TypedCodec() | PickleCodec():
            return codec
        case _:
            return ForeignCodec(codec)  # type: ignore[arg-type]  # it finds out


def _size(value: object, path: str) -> int:
    try:
        return parse_size(value)
    except ValueError as exc:
        raise ConfigError(str(exc), path=path) from exc
