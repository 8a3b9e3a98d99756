"""The interface of a codec, and the border to other people's.

A value that cannot be carried is the caller's mistake: `InvalidValue`, before anything is sent. Bytes that cannot be read are nobody's who asks: an
older version of the program stored them, or another codec. They are a miss, so `Undecodable` never reaches a program.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

T = TypeVar("T")


class Undecodable(Exception):
    """Bytes that this codec did not make, or would not make today."""


class Codec(Protocol[T]):
    """Values to bytes and back. None never reaches it: that is marked in the entry."""

    @property
    def name(self) -> str:
        """For messages."""

    def encode(self, value: T) -> bytes:
        """Raises `InvalidValue`, naming the type that cannot be carried."""

    def decode(self, data: bytes) -> T:
        """Raises `Undecodable`."""
