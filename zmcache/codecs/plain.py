"""Codecs of builtin values: bytes as they are, msgpack, JSON.

msgpack and JSON carry dict, list, str, int, float and bool, msgpack also bytes and datetimes with a time zone; a tuple comes back as a list.
Another value that would come back as something else is refused where that costs nothing: by the type of the value itself. Inside of it
msgspec's own rules hold, since a walk through every value would take ten times what encoding takes: a set comes back as a list, a dataclass
as a dict, a datetime without a time zone as text and, in JSON alone, bytes as base64 text, any datetime and a number that is a key as text,
and a NaN as None. Whoever minds declares a type (`zmcache.codecs.typed`).

JSON reads what the node's own counters write: ``b"42"`` is 42.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from zmcache.codecs.base import cannot_carry, cannot_read
from zmcache.core.fields import check_value

_JSON_KINDS: Final = frozenset({dict, list, tuple, str, int, float, bool})
_MSGPACK_KINDS: Final = _JSON_KINDS | {bytes, datetime}

_HINTS: Final[dict[type, str]] = {
    bytes: "it would come back as text; take the codec raw or msgpack",
    datetime: "it would come back as text; take the codec msgpack, and a time zone",
    bytearray: "it would come back as something else; make it bytes and take the codec raw or msgpack",
    memoryview: "it would come back as something else; make it bytes and take the codec raw or msgpack",
    set: "it would come back as a list; make it one, or declare a type such as set[str]",
    frozenset: "it would come back as a list; make it one, or declare a type such as frozenset[str]",
}


class RawCodec:
    """Bytes as they are. Without compression a group needs no codec for this at all."""

    name: Final = "raw"

    def encode(self, value: bytes, /) -> bytes:
        """The same object. Raises `InvalidValue` for anything but bytes, with the hint that groups without a codec give."""
        check_value(value, sys.maxsize)
        return value

    def decode(self, data: bytes, /) -> bytes:
        """The same object."""
        return data


class BuiltinCodec:
    """Builtin values, through one of msgspec's formats."""

    def __init__(
        self, name: str, encode: Callable[[object], bytes], decode: Callable[[bytes], Any], kinds: frozenset[type]
    ) -> None:
        self.name: Final = name
        self._encode, self._decode, self._kinds = encode, decode, kinds

    def encode(self, value: Any, /) -> bytes:
        """Beside msgspec's own work, one look at the type. Raises `InvalidValue`."""
        kind = type(value)
        if kind not in self._kinds:
            raise cannot_carry(
                self.name, value, _HINTS.get(kind, "it is no builtin value; declare it as the group's type")
            )
        if kind is datetime and value.tzinfo is None:
            raise cannot_carry(self.name, value, "without a time zone it would come back as text")
        if kind is float and datetime not in self._kinds and not math.isfinite(value):
            raise cannot_carry(self.name, value, f"JSON has no {value}")
        try:
            return self._encode(value)
        except Exception as exc:
            raise cannot_carry(self.name, value, exc) from exc

    def decode(self, data: bytes, /) -> Any:
        """Raises `Undecodable` for what is not wholly one value, and for nesting deeper than Python's stack."""
        try:
            return self._decode(data)
        except Exception as exc:
            raise cannot_read(self.name, exc) from exc


def msgpack_codec() -> BuiltinCodec:
    """Builtin values as msgpack."""
    return BuiltinCodec("msgpack", msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode, _MSGPACK_KINDS)


def json_codec() -> BuiltinCodec:
    """Builtin values as JSON."""
    return BuiltinCodec("json", msgspec.json.Encoder().encode, msgspec.json.Decoder().decode, _JSON_KINDS)
