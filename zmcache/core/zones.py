"""In which order the nodes of several zones follow one another: each zone has its turn before any has a second one.

Copies of a value that stand in one rack, or one data centre, go together when it does. Who names no zone is a zone of its own. Nodes are
indexes here; in which order the circle has them is the ring's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol


class Zoned(Protocol):
    """What is asked of a member."""

    @property
    def zone(self) -> str:
        """The name of its zone; empty: none."""


def zones_of(members: Sequence[Zoned], counts: Sequence[int]) -> tuple[int, ...] | None:
    """A number for each member's zone. None where all who have points (``counts``) are in one, or none names one."""
    named = {member.zone for member, count in zip(members, counts, strict=True) if count and member.zone}
    if not named or (len(named) == 1 and all(member.zone for member in members)):
        return None
    numbers = {zone: number for number, zone in enumerate(sorted(named))}
    return tuple(numbers.get(member.zone, len(numbers) + at) for at, member in enumerate(members))


def sizes_of(zones: Sequence[int] | None, counts: Sequence[int]) -> dict[int, int]:
    """How many members with points each zone has."""
    sizes: dict[int, int] = {}
    for zone, count in zip(zones or (), counts, strict=zones is not None):
        if count:
            sizes[zone] = sizes.get(zone, 0) + 1
    return sizes


class Rounds:
    """The order, as the nodes are met one after another along the circle.

    A node's *round* is how many of its zone were met before it. By (round, order of meeting) the sequence is known up to the round that is
    next in the zone of which fewest were met: whoever is met later comes later in it.
    """

    __slots__ = ("_met", "_ordered", "_sizes", "_zones")

    def __init__(self, zones: Sequence[int], sizes: dict[int, int]) -> None:
        self._zones = zones
        self._sizes: Final = sizes
        self._met = dict.fromkeys(sizes, 0)
        self._ordered: dict[int, int] = {}  # node -> its round, in order of meeting

    def meet(self, node: int) -> None:
        """The circle has a point of this node; it may have had one before."""
        if node not in self._ordered:
            zone = self._zones[node]
            self._ordered[node] = self._met[zone]
            self._met[zone] += 1

    def are_known(self, wanted: int) -> bool:
        """Whether the first ``wanted`` are certain."""
        if len(self._ordered) < wanted:
            return False
        current = min((met for zone, met in self._met.items() if met < self._sizes[zone]), default=None)
        if current is None:
            return True
        return sum(round_ <= current for round_ in self._ordered.values()) >= wanted

    def first(self, wanted: int) -> list[int]:
        """The nodes in order."""
        return sorted(self._ordered, key=self._ordered.__getitem__)[:wanted]
