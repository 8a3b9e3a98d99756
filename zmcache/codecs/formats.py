"""The codecs that come with zmcache: raw bytes, msgpack, JSON, and typed, which is msgpack of one type's schema."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, get_origin

import msgspec

from zmcache.codecs.base import Undecodable
from zmcache.errors import ConfigError, InvalidValue

T = TypeVar("T")

_FINGERPRINT_BYTES: Final = 4
_FAILURES: Final = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError, NotImplementedError)
_HINTS: Final = {str: "encode() it", bytearray: "make bytes() of it", memoryview: "make bytes() of it"}


class Raw:
    """Bytes as they are; only where they may be compressed, since plain ones need no codec at all."""

    name = "raw"

    def encode(self, value: bytes) -> bytes:
        """See `Codec.encode`."""
        if type(value) is not bytes:
            hint = _HINTS.get(type(value), "or give the group a codec or a type")
            raise InvalidValue(f"a value is bytes, not {type(value).__name__}: {hint}")
        return value

    def decode(self, data: bytes) -> bytes:
        """See `Codec.decode`."""
        return data


class Plain:
    """A format of msgspec's for builtin types."""

    def __init__(self, name: str, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> None:
        self.name = name
        self._encode = encode
        self._decode = decode

    def encode(self, value: Any) -> bytes:
        """See `Codec.encode`."""
        try:
            return self._encode(value)
        except _FAILURES as exc:
            raise InvalidValue(f"{self.name} cannot carry a {type(value).__name__}: {exc}") from exc

    def decode(self, data: bytes) -> Any:
        """See `Codec.decode`."""
        try:
            return self._decode(data)
        except _FAILURES as exc:
            raise Undecodable(str(exc)) from exc


def msgpack_codec() -> Plain:
    """Msgpack. A tuple comes back as a list, as in JSON."""
    return Plain("msgpack", msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode)


def json_codec() -> Plain:
    """JSON. It reads what `incr` has counted."""
    return Plain("json", msgspec.json.Encoder().encode, msgspec.json.Decoder().decode)


class Typed(Generic[T]):
    """Values of one type: a class of any kind that msgspec knows, or ``list[User]`` and the like.

    An entry begins with a fingerprint of the type's schema, all that it is made of included: a renamed field that has a default would else
    be read as that default. Encoding checks a value against the type: by its class where that is one, else by going through the whole
    value, which takes as long as decoding it.
    """

    def __init__(self, kind: Any) -> None:
        """Raises `ConfigError` for a type that msgspec cannot carry."""
        self.name = getattr(kind, "__qualname__", None) or str(kind)
        try:
            self._decoder = msgspec.msgpack.Decoder(kind)
            schema, components = msgspec.json.schema_components([kind])
        except _FAILURES as exc:
            raise ConfigError(f"the type {self.name} cannot be carried: {exc}") from exc
        text = msgspec.json.encode([schema, components], order="deterministic")
        self._mark = hashlib.blake2b(text, digest_size=_FINGERPRINT_BYTES).digest()
        self._encode = msgspec.msgpack.Encoder().encode
        self._kind = kind
        # Of these the fields are known to be right only by looking; of a Struct or a dataclass its author has seen to it.
        self._class = kind if inspect.isclass(kind) and get_origin(kind) is None and not _is_shape(kind) else None

    def encode(self, value: T) -> bytes:
        """See `Codec.encode`."""
        # True is an int, and would come back as True.
        if self._class is not None and not (
            isinstance(value, self._class) and (type(value) is not bool or self._class is bool)
        ):
            raise InvalidValue(f"a value is a {self.name}, not {type(value).__name__}")
        try:
            data = self._encode(value)
            if self._class is None:
                self._decoder.decode(data)
        except _FAILURES as exc:
            raise InvalidValue(f"{type(value).__name__} is no {self.name}: {exc}") from exc
        return self._mark + data

    def decode(self, data: bytes) -> T:
        """See `Codec.decode`."""
        if not data.startswith(self._mark):
            raise Undecodable("of another schema")
        try:
            return self._decoder.decode(memoryview(data)[_FINGERPRINT_BYTES:])  # type: ignore[no-any-return]  # of the type
        except _FAILURES as exc:
            raise Undecodable(str(exc)) from exc


def _is_shape(kind: type) -> bool:
    """A TypedDict is a class to the eye only; the items of a list are not told by its own class."""
    return hasattr(kind, "__total__") or (
        issubclass(kind, (list, dict, tuple, set, frozenset)) and kind.__module__ == "builtins"
    )
