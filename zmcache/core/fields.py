"""The checks of what stands in one field of a message: keys, values, columns of numbers. What `zmcache.core.readers` is made of.

A field that is missing or of the wrong type or length raises `IndexError`, `TypeError` or `ValueError`; what its sender can be told as a mistake
of its own, a `RequestError`. The usual case of each check runs at C speed, over the whole column at once.
"""

from __future__ import annotations

from typing import Any, Final

from zmcache.core.messages import Limits
from zmcache.core.numbers import HEADER_FIELDS, MAX_TRACE
from zmcache.errors import InvalidKey, InvalidValue, ValueTooLarge

_INT: Final = frozenset({int})

# What a caller who gave something near to bytes may do.
_HINTS: Final[dict[type, str]] = {
    str: "; encode it, or give the group a codec",
    bytearray: ", which may change later; copy it: bytes(value)",
    memoryview: ", which may change later; copy it: bytes(value)",
}


def check_key(key: object, limit: int) -> None:
    """Raise `InvalidKey` unless ``key`` is text of 1 to ``limit`` UTF-8 bytes."""
    if type(key) is not str:
        raise InvalidKey(f"a key is text, not {type(key).__name__}")
    if not key:
        raise InvalidKey("a key is empty")
    if len(key) * 4 > limit:
        try:
            size = len(key.encode())
        except UnicodeEncodeError as exc:
            raise InvalidKey("a key is not valid Unicode text") from exc
        if size > limit:
            raise InvalidKey(f"a key of {size} bytes, limit {limit}")
    elif not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError as exc:
            raise InvalidKey("a key is not valid Unicode text") from exc


def check_value(value: object, limit: int) -> None:
    """Raise `InvalidValue` or `ValueTooLarge` unless ``value`` is at most ``limit`` bytes."""
    if type(value) is not bytes:
        raise InvalidValue(f"a value is bytes, not {type(value).__name__}{_HINTS.get(type(value), '')}")
    if len(value) > limit:
        raise ValueTooLarge(size=len(value), limit=limit)


def check_values(values: list[bytes | str | None], limit: int) -> None:
    """`check_value` of those that are values, and not an error's text or None."""
    for value in values:
        if type(value) is bytes:
            check_value(value, limit)


def keys_at(fields: list[Any], limits: Limits, at: int = HEADER_FIELDS) -> list[str]:
    """The column of keys that stands there: at least one."""
    keys = fields[at]
    if type(keys) is not list:
        raise TypeError
    if not 0 < len(keys) <= limits.keys:
        raise InvalidKey(f"{len(keys)} keys in one message, limit {limits.keys}")
    # The usual case at C speed: joining proves that all are text, and a short whole proves that each part is short
    # (in characters; only where all are ASCII are these the bytes that the limit counts).
    whole = "".join(keys)
    if len(whole) > limits.key_bytes or not whole.isascii() or "" in keys:
        for key in keys:
            if not key or (len(key) * 4 > limits.key_bytes and len(key.encode()) > limits.key_bytes):
                check_key(key, limits.key_bytes)
    return keys


def numbers(field: object, count: int) -> list[int]:
    """The field, which is a column of so many."""
    if type(field) is not list or len(field) != count or not _INT.issuperset(map(type, field)):
        raise TypeError
    return field


def numbers_or_none(fields: list[Any], at: int, count: int) -> list[int] | None:
    """The same, where it may be None or left out."""
    field = fields[at] if at < len(fields) else None
    return None if field is None else numbers(field, count)


def check_trace(fields: list[Any], at: int) -> None:
    """A W3C traceparent by its length, or nothing."""
    trace = fields[at] if at < len(fields) else None
    if trace is not None and (type(trace) is not str or len(trace) > MAX_TRACE):
        raise TypeError
