"""Who is to hold what, for walks over all that a node holds: a ring's first holders by hash, remembered by arc; and digests of what two nodes share.

A digest is the exclusive or of a 64-bit mix of each key and its version, by bucket of the keys' hashes: the order of keys does not matter, and one
that differs, or is missing, shows in its bucket (but for one chance in 2^64).
"""

from __future__ import annotations

from array import array
from typing import Final

from zmcache.core.points import hash_key
from zmcache.core.ring import Ring

BUCKETS: Final = 256
_ARCS_MOST: Final = 200_000
_MASK: Final = (1 << 64) - 1
# Two odd numbers without a pattern: fractions of the golden ratio and of the square root of two.
_KEY_FACTOR: Final = 0x9E3779B97F4A7C15
_VERSION_FACTOR: Final = 0x6A09E667F3BCC909


class Holding:
    """The first ``copies`` holders of each key by a ring: node ids, the owner first. About 1 us a key once its arc has been asked for."""

    __slots__ = ("_arcs", "_copies", "_ring")

    def __init__(self, ring: Ring, copies: int) -> None:
        self._ring = ring
        self._copies = copies
        self._arcs: dict[int, tuple[str, ...]] = {}

    def of(self, position: int) -> tuple[str, ...]:
        """The holders of the keys whose hash is ``position``; nobody by an empty ring."""
        if not self._ring:
            return ()
        arc = self._ring.arc_of(position)
        holders = self._arcs.get(arc)
        if holders is None:
            if len(self._arcs) >= _ARCS_MOST:
                self._arcs.clear()
            holders = tuple(member.node_id for member in self._ring.owners_at(position, self._copies))
            self._arcs[arc] = holders
        return holders


def bucket_of(position: int) -> int:
    """The bucket of a key's hash."""
    return position >> 56


def add_to(digests: array[int], position: int, version: int) -> None:
    """Count a key into ``digests``, or take it out again."""
    mixed = (position * _KEY_FACTOR ^ version * _VERSION_FACTOR) & _MASK
    digests[bucket_of(position)] ^= mixed ^ (mixed >> 29)


def no_digests() -> array[int]:
    """Of nothing at all."""
    return array("Q", bytes(8 * BUCKETS))


__all__ = ["BUCKETS", "Holding", "add_to", "bucket_of", "hash_key", "no_digests"]
