"""What a codec is, and the two ways in which it can fail.

What cannot be encoded is the caller's mistake and is told to it: `InvalidValue`. What cannot be decoded is nobody's: an entry of an older
version of the program, or of another. Whoever asked for it gets a miss, never a piece of it, so `Undecodable` is not among the errors that
callers see.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from zmcache.errors import InvalidValue

T = TypeVar("T")


class Undecodable(Exception):
    """These bytes are no value of this codec. The group takes it for a miss, and counts it."""


class Codec(Protocol[T]):
    """How the values of a group become bytes, and bytes values."""

    @property
    def name(self) -> str:
        """What it is called in errors."""

    def encode(self, value: T, /) -> bytes:
        """The bytes to keep. Raises `InvalidValue`, which names the type that cannot be carried and says why."""

    def decode(self, data: bytes, /) -> T:
        """The value again. Raises `Undecodable` for whatever `encode` has not made, and nothing else."""


def cannot_carry(codec: str, value: object, why: str | Exception) -> InvalidValue:
    """The error of a codec that was given a value it cannot carry."""
    return InvalidValue(f"the codec {codec} cannot carry {type_name(type(value))}: {one_line(why)}")


def cannot_read(codec: str, why: str | Exception) -> Undecodable:
    """The error of a codec that was given bytes it has not made."""
    return Undecodable(f"not an entry of the codec {codec}: {one_line(why)}")


def type_name(kind: object) -> str:
    """A type as its program writes it."""
    return kind.__qualname__ if isinstance(kind, type) and not hasattr(kind, "__origin__") else one_line(repr(kind))


def one_line(why: str | Exception) -> str:
    """Short, on one line, and never empty. msgspec's longer errors have their point in the last line."""
    text = why if isinstance(why, str) else str(why) or type(why).__name__
    lines = text.strip().splitlines()
    line = lines[-1] if lines else text
    return line if len(line) <= 200 else f"{line[:197]}..."
