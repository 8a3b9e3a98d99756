"""The points of a ring: where on the circle of 64-bit hashes each node's arcs end, kept so that a look-up is one array
access.

A node has many points; the arc that ends at a point belongs to that point's node, so the owner of a hash is the node of
the first point at or after it, round the end of the circle. What stands here works on node *indexes*; names, weights
and epochs are the business of `zmcache.core.ring`.

- ``points`` and ``owners`` are parallel arrays in order of the points; equal points are in order of their nodes' ids.
- ``direct`` cuts the circle into at least `CELLS_PER_POINT` equal cells a point: the owner of a cell that no point lies
  in, else `MIXED`. About nine hashes in ten end there, so the cost of a look-up does not grow with the number of nodes,
  but for the caches that a larger table misses.
- ``starts`` cuts it into coarser sectors and says where in ``points`` each begins, so that the tenth hash is a search
  among about `SECTOR_POINTS`.

Building is pure Python in small steps and never one long C call: it is meant for a thread beside a loop that has to
stay quick. After each step of about half a millisecond it calls ``rest``, which may let the other thread have the interpreter.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import xxhash

SPACE: Final = 1 << 64
MIXED: Final = 0xFFFF
MAX_NODES: Final = MIXED
# 8: one hash in nine meets a mixed cell. With 16 a look-up among 1,000 nodes was 3 % quicker for twice the table (16
# MB); with 32 it was slower.
CELLS_PER_POINT: Final = 8
_MIN_BITS: Final = 16  # 128 KiB: a small ring then has hardly a mixed cell
SECTOR_POINTS: Final = 8
_SEGMENT_POINTS: Final = 1024  # sorted in one C call: 0.4 ms
_STEP: Final = 1024  # of what takes half a microsecond each
_COPIED: Final = 1 << 16  # cells that are copied in one C call

Rest = Callable[[], object]


def no_rest() -> None:
    """For who has no other thread beside it."""


class Place(NamedTuple):
    """One point and the index of the node it belongs to; a list of these is what `merge` adds or drops."""

    point: int
    owner: int


def hash_key(key: str) -> int:
    """Where on the circle a key is: xxh3-64 of its UTF-8."""
    return xxhash.xxh3_64_intdigest(key.encode())


def places_of(node_id: str, owner: int, count: int) -> list[Place]:
    """The ``count`` points of a node, in no order."""
    return [Place(hash_key(f"{node_id}#{i}"), owner) for i in range(count)]


class Points:
    """See the module's docstring. Immutable once made."""

    __slots__ = ("direct", "direct_shift", "owners", "points", "starts", "starts_shift")

    def __init__(self, points: array[int], owners: array[int], direct: array[int], rest: Rest = no_rest) -> None:
        self.points = points
        self.owners = owners
        self.direct = direct
        self.direct_shift = 64 - (max(1, len(direct)).bit_length() - 1)
        bits = max(1, (len(points) // SECTOR_POINTS).bit_length())
        self.starts_shift = shift = 64 - bits
        self.starts = array("I")
        for first in range(0, (1 << bits) + 1, _STEP):
            sectors = range(first, min(first + _STEP, (1 << bits) + 1))
            self.starts.extend([bisect_left(points, sector << shift) for sector in sectors])
            rest()

    def find(self, position: int) -> int:
        """The index in ``points`` of the first point at or after ``position``, round the end. About 0.5 us."""
        sector = position >> self.starts_shift
        at = bisect_left(self.points, position, self.starts[sector], self.starts[sector + 1])
        return at if at < len(self.points) else 0

    def owner_of(self, position: int) -> int:
        """The node that owns the hash ``position``; what `find` finds, in one call for the sake of look-ups."""
        sector = position >> self.starts_shift
        at = bisect_left(self.points, position, self.starts[sector], self.starts[sector + 1])
        return self.owners[at if at < len(self.points) else 0]

    def sizes(self, nodes: int, rest: Rest = no_rest) -> list[int]:
        """How much of the circle each of ``nodes`` nodes owns; the sum is `SPACE`."""
        sizes = [0] * nodes
        if self.points:
            last = self.points[-1] - SPACE
            for at in range(0, len(self.points), _STEP):
                for point, owner in zip(self.points[at : at + _STEP], self.owners[at : at + _STEP], strict=True):
                    sizes[owner] += point - last
                    last = point
                rest()
        return sizes


def build(counts: Sequence[int], node_ids: Sequence[str], rest: Rest = no_rest) -> Points:
    """From nothing: ``counts[i]`` points for the node ``node_ids[i]``."""
    rank = {owner: at for at, owner in enumerate(sorted(range(len(node_ids)), key=node_ids.__getitem__))}
    by_rank = {at: owner for owner, at in rank.items()}
    bits = (sum(counts) // _SEGMENT_POINTS).bit_length()
    shift = 64 - bits
    segments: list[list[int]] = [[] for _ in range(1 << bits)]
    for owner, count in enumerate(counts):
        low = rank[owner]
        for place in places_of(node_ids[owner], owner, count):
            # Point and rank in one integer: sorting by it settles equal points by node id.
            segments[place.point >> shift].append(place.point << 16 | low)
        rest()
    points, owners = array("Q"), array("H")
    for segment in segments:
        segment.sort()
        points.extend([packed >> 16 for packed in segment])
        owners.extend([by_rank[packed & 0xFFFF] for packed in segment])
        segment.clear()  # all of them at once would take 20 ms
        rest()
    return Points(points, owners, _direct(points, owners, rest), rest)


def merge(
    old: Points,
    old_ids: Sequence[str],
    drop: Iterable[Place],
    add: Iterable[Place],
    new_ids: Sequence[str],
    rest: Rest = no_rest,
) -> Points:
    """``old`` without the places ``drop``, which it must have, and with ``add``. Costs little more than copying the
    arrays.

    ``old_ids`` and ``new_ids`` name the nodes by index, before and after; a node in both that is in neither list keeps
    its index.
    """
    changes: list[tuple[int, int, str, int]] = []  # index in the old arrays, point, node id, owner (-1: drop)
    for place in drop:
        at = bisect_left(old.points, place.point)
        while old.owners[at] != place.owner:
            at += 1
        changes.append((at, place.point, "", -1))
    for place in add:
        at, node_id = bisect_left(old.points, place.point), new_ids[place.owner]
        while at < len(old.points) and old.points[at] == place.point and old_ids[old.owners[at]] < node_id:
            at += 1
        changes.append((at, place.point, node_id, place.owner))
    # At one index what is added comes before what is dropped, since it belongs before that element.
    changes.sort(key=lambda change: (change[0], change[3] < 0, change[1], change[2]))
    points, owners = array("Q"), array("H")
    copied = 0
    for at, point, _, owner in changes:
        points.extend(old.points[copied:at])
        owners.extend(old.owners[copied:at])
        copied = at
        if owner < 0:
            copied += 1
        else:
            points.append(point)
            owners.append(owner)
    points.extend(old.points[copied:])
    owners.extend(old.owners[copied:])
    if not points or 1 << _bits(len(points)) != len(old.direct):
        return Points(points, owners, _direct(points, owners, rest), rest)
    direct = array("H")
    for at in range(0, len(old.direct), _COPIED):
        direct.extend(old.direct[at : at + _COPIED])
        rest()
    for _, point, _, _ in changes:
        # Only the arc that now ends at, or spans, a changed point has another owner.
        _fill(direct, points, owners, bisect_left(points, point) % len(points))
    rest()
    return Points(points, owners, direct, rest)


def _bits(count: int) -> int:
    return max(_MIN_BITS, (CELLS_PER_POINT * count - 1).bit_length())


def _direct(points: array[int], owners: array[int], rest: Rest) -> array[int]:
    if not points:
        return array("H")
    direct = array("H")
    blank = array("H", bytes(2 * _COPIED))
    for _ in range((1 << _bits(len(points))) // _COPIED):
        direct.extend(blank)
        rest()
    for at in range(len(points)):
        _fill(direct, points, owners, at)
        if at % _STEP == 0:
            rest()
    return direct


def _fill(direct: array[int], points: array[int], owners: array[int], at: int) -> None:
    """Write the cells of the arc that ends at point number ``at``: those that it covers whole, and the one it ends
    in.
    """
    shift = 64 - (len(direct).bit_length() - 1)
    first, last = (points[at - 1] >> shift) + 1, points[at] >> shift
    owner = owners[at]
    if at == 0:
        direct[first:] = array("H", [owner]) * (len(direct) - first)
        first = 0
    if last > first:
        direct[first:last] = array("H", [owner]) * (last - first)
    direct[last] = MIXED
