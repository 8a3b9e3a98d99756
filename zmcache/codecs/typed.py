"""Values of one declared type: a dataclass, a msgspec.Struct, a TypedDict, a NamedTuple, or builtins such as ``list[int]``.

An entry is the type's fingerprint, four bytes, and the value as msgpack. An entry of another fingerprint is not looked at any further: a
field that was renamed and has a default would else be read without complaint, and wrongly.

msgspec encodes anything it knows, whatever was declared, so `encode` checks twice: that the value is of the declared class (an int will do
for a float), then that the bytes can be read again as the declared type, which looks at everything inside. So encoding costs a decoding on
top: 0.7 us in place of 0.2 for a Struct of five fields, 8 ms in place of 2 for a megabyte of such, twice that for dataclasses. It is worth
it: what nobody can read would be a miss, and a load, each time it is asked for, and nothing would say so. What is knowingly let through is
an instance of a subclass: it comes back as the declared class.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, is_typeddict

import msgspec

from zmcache.codecs.base import cannot_carry, cannot_read, one_line, type_name
from zmcache.codecs.fingerprint import BYTES, fingerprint
from zmcache.errors import ConfigError

_encode: Final = msgspec.msgpack.Encoder().encode


class TypedCodec:
    """Values of one type, after the four bytes that stand for it."""

    def __init__(self, kind: object) -> None:
        """Raises `ConfigError` for a type that msgspec cannot handle."""
        self.name: Final = f"for {type_name(kind)}"
        self._mark: Final = fingerprint(kind)
        try:
            self._decode: Final = msgspec.msgpack.Decoder(kind).decode
        except Exception as exc:
            raise ConfigError(
                f"expected a type that msgspec can handle, found {type_name(kind)}: {one_line(exc)}"
            ) from exc
        self._kinds: Final = _kinds(kind)

    def encode(self, value: Any, /) -> bytes:
        """The theory above states the cost. Raises `InvalidValue`."""
        if self._kinds is not None and not isinstance(value, self._kinds):
            raise cannot_carry(self.name, value, "it is not of that type")
        try:
            data = _encode(value)
            self._decode(data)
        except Exception as exc:
            raise cannot_carry(self.name, value, exc) from exc
        return self._mark + data

    def decode(self, data: bytes, /) -> Any:
        """Raises `Undecodable`, for an entry of another version of the type, too."""
        if not data.startswith(self._mark):
            raise cannot_read(self.name, "it is of another type, or of another version of it")
        try:
            return self._decode(memoryview(data)[BYTES:])
        except Exception as exc:
            raise cannot_read(self.name, exc) from exc


def _kinds(kind: Any) -> tuple[type, ...] | None:
    """The classes of which a value of this type is an instance; None where only reading it again can tell."""
    origin = get_origin(kind)
    if kind is Any:  # a class of its own in newer Pythons
        return None
    if origin is Annotated:
        return _kinds(get_args(kind)[0])
    if origin is Union or origin is UnionType:
        found = [_kinds(one) for one in get_args(kind)]
        return None if None in found else tuple(one for some in found for one in some or ())
    if origin is Literal:
        return tuple({type(one) for one in get_args(kind)})
    if is_typeddict(kind) or is_typeddict(origin):
        return (dict,)
    if kind is None:
        return (NoneType,)
    if kind is float:
        return (float, int)
    if isinstance(origin, type):
        return (origin,)
    if isinstance(kind, type):
        return (kind,)
    # A NewType, and a type statement's alias.
    inner = getattr(kind, "__supertype__", None) or getattr(kind, "__value__", None)
    return None if inner is None else _kinds(inner)
