"""What a store holds of a key that is more than its bytes: that it is absent, that its value is None, that it is fresh only until a time, that
it has tags.

Nearly all that is held are plain values, and these are bytes, with nothing added. The rest are *marks*: text whose characters
are bytes (Latin-1), a header and the value behind it. So a store charges and keeps them like values, the garbage collector has nothing
more to visit, and one comparison of the type, which runs at C speed over many values at once, finds that there is nothing to look at.

Times are seconds of the clock that the store's owner passes to it; inf: never.
"""

from __future__ import annotations

import math
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

Held: TypeAlias = bytes | str
"""A value, or a mark."""

ABSENT: Final = "no such key"
"""What a loader does not know. The only mark without a header; compared by identity."""

_HEADER: Final = Struct("<Bddd")
_TAGGED: Final = Struct("<QH")  # behind the header of what has tags: its stamp, and how many bytes of tags come next
_IS_NONE: Final = 1  # in the header's first byte
_HAS_TAGS: Final = 2
_PLAIN: Final = frozenset({bytes})


class Marked(NamedTuple):
    """What a mark says. ``value`` None: the value is None.

    ``fresh_until_s`` ends its life; until ``stale_until_s`` it may be given while it is made anew. It took ``took_s`` to make (0: not known).
    ``tags`` and ``stamp`` are for `zmcache.core.tags`: the tags as one text, and the version since which it holds.
    """

    value: bytes | None
    fresh_until_s: float = math.inf
    stale_until_s: float = 0.0
    took_s: float = 0.0
    tags: str = ""
    stamp: int = 0


def marked(what: Marked) -> Held:
    """What a store is to hold for it: the value itself where there is nothing more to say. About 1 us."""
    value, fresh_until_s, stale_until_s, took_s, tags, stamp = what
    if value is not None and fresh_until_s == math.inf and not took_s and not tags:
        return value
    flags = _IS_NONE * (value is None) | _HAS_TAGS * bool(tags)
    header = _HEADER.pack(flags, fresh_until_s, stale_until_s, took_s)
    if tags:
        in_bytes = tags.encode()
        header += _TAGGED.pack(stamp, len(in_bytes)) + in_bytes
    return (header + (value or b"")).decode("latin-1")


def read_mark(held: str, expires_at_s: float = math.inf) -> Marked:
    """What `marked` was given; not for `ABSENT`. It is fresh no longer than the store keeps it: until ``expires_at_s``."""
    data = held.encode("latin-1")
    flags, fresh_until_s, stale_until_s, took_s = _HEADER.unpack_from(data)
    tags, stamp, at = "", 0, _HEADER.size
    if flags & _HAS_TAGS:
        stamp, length = _TAGGED.unpack_from(data, at)
        at += _TAGGED.size + length
        tags = data[at - length : at].decode()
    value = None if flags & _IS_NONE else data[at:]
    return Marked(value, min(fresh_until_s, expires_at_s), stale_until_s, took_s, tags, stamp)


def all_plain(values: list[Held | None]) -> bool:
    """Whether each is a value, none missing and none a mark. About 0.02 us each."""
    return set(map(type, values)) == _PLAIN
