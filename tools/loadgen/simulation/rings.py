"""The product's own ring without sockets: whose the keys are, before and after a node comes or goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from zmcache import Member, Ring


class RingFigures(NamedTuple):
    """What a ring of ``nodes`` alike is like. Shares are of all, 0 to 1; times in seconds.

    ``fullest``: the share of the fullest node in times of the mean. ``fullest_asked``: the same of requests. ``joined``
    and ``left``: the share of keys that change owners when one node comes, or goes.
    """

    nodes: int
    fullest: float
    fullest_asked: float
    joined: float
    left: float
    build_s: float
    join_s: float


def ring_figures(nodes: int, keys: Sequence[str], asked: Sequence[str]) -> RingFigures:
    """Look at the ring of ``nodes``: with ``keys``, who owns them before and after; with ``asked``, requests in their order."""
    members = [_member(number) for number in range(nodes + 1)]
    began_s = time.perf_counter()
    ring = Ring.build(members[:nodes], 1)
    built_s = time.perf_counter()
    joined = Ring.build(members, 2, previous=ring)
    merged_s = time.perf_counter()
    left = Ring.build(members[: nodes - 1], 2, previous=ring) if nodes > 1 else None
    return RingFigures(
        nodes=nodes,
        fullest=max(ring.share().values()) * nodes,
        fullest_asked=_fullest(ring, asked),
        joined=_moved(ring, joined, keys),
        left=1.0 if left is None else _moved(ring, left, keys),
        build_s=built_s - began_s,
        join_s=merged_s - built_s,
    )


def _member(number: int) -> Member:
    return Member(f"node-{number}", f"tcp://10.{number >> 16}.{number >> 8 & 255}.{number & 255}:7400")


def _fullest(ring: Ring, asked: Sequence[str]) -> float:
    """The most asked node's part, in times of the mean."""
    if not asked:
        return 1.0
    owners = ring.owner_indexes(asked)
    counts = [0] * len(ring)
    for owner in owners:
        counts[owner] += 1
    return max(counts) * len(ring) / len(owners)


def _moved(before: Ring, after: Ring, keys: Sequence[str]) -> float:
    """The share of the keys whose owner is another node afterwards."""
    old, new = ([ring.members[index].node_id for index in ring.owner_indexes(keys)] for ring in (before, after))
    return sum(a != b for a, b in zip(old, new, strict=True)) / len(keys)
