"""The product's own store and ring without sockets: what they do to a stream of keys, faster than any network.

The only module of the generator that reaches past the public names of `zmcache`, and only into its pure part: a simulation of
a copy would show what the copy does. All items are of one size here, so a budget is a number of items.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from zmcache import Member, Ring
from zmcache.core.charge import charge_of
from zmcache.core.eviction import make_policy
from zmcache.core.store import Store

DEFAULT_POLICY: Final = "lru"


class Hits(NamedTuple):
    """How many of the reads were hits."""

    hits: int
    reads: int

    @property
    def ratio(self) -> float:
        """0.0 to 1.0; 0.0 of no reads."""
        return self.hits / self.reads if self.reads else 0.0


def budget_bytes(items: int, value_bytes: int, *, key: str) -> int:
    """What a group's budget must be for so many items, each with a key as long as ``key``, as the store charges them."""
    return items * charge_of(key, bytes(value_bytes))


def same_length(tokens: Iterable[int]) -> list[str]:
    """Keys for whole numbers, all of one length, so that the store charges the same for each."""
    return [f"{token:012d}" for token in tokens]


def replay(keys: Sequence[str], items: int, policy: str = DEFAULT_POLICY) -> Hits:
    """Read the keys in order from an empty store with room for ``items``; what is missing is stored. About 1.5 us a key.

    The keys are of one length (`same_length`).
    """
    if not keys:
        return Hits(0, 0)
    store = Store(budget_bytes(items, 0, key=keys[0]), make_policy(policy))
    get, put = store.get, store.set
    hits = 0
    for key in keys:
        if get(key, 0.0) is None:
            put(key, b"", math.inf, 0.0)
        else:
            hits += 1
    return Hits(hits, len(keys))


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
