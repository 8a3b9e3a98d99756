"""Values as they are kept: whole numbers as ASCII digits, which the nodes can add to; anything else by a codec, pickle unless told otherwise.

What is made of values is made by the caller, in its own thread: pickling a queryset asks the database, whose connections belong to threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from zmcache.codecs import Codec, Undecodable
from zmcache.errors import InvalidValue

# What `incr` adds to at most; of any more digits Python asks why.
_MOST: Final = 1 << 1024


class Values:
    """The codec of one entry of CACHES. ``codecs``: the first writes; all may read, so that a key can be replaced."""

    def __init__(self, codecs: Sequence[Codec[Any]]) -> None:
        self._codecs: Final = tuple(codecs)

    def encode(self, value: Any) -> bytes | None:
        """None stays None, which needs no codec. Raises what pickle raises for what it cannot carry, as Django's backends do; else `InvalidValue`."""
        if value is None:
            return None
        if type(value) is int and -_MOST < value < _MOST:
            return b"%d" % value
        try:
            data = self._codecs[0].encode(value)
        except InvalidValue as error:
            if isinstance(error.__cause__, Exception):
                raise error.__cause__ from None
            raise
        if _is_number(data):
            raise InvalidValue(
                f"the codec {self._codecs[0].name} makes digits alone of it, which would be read as a number"
            )
        return data

    def decode(self, data: bytes | None) -> Any:
        """Raises `Undecodable` for what none of these has made."""
        if data is None:
            return None
        if _is_number(data):
            return int(data)
        for codec in self._codecs[:-1]:
            try:
                return codec.decode(data)
            except Undecodable:
                continue
        return self._codecs[-1].decode(data)


def _is_number(data: bytes) -> bool:
    return data.isdigit() or (data[:1] == b"-" and data[1:].isdigit())
