"""What the rules of `history_checker` ask about time: when it was calm, what went wrong from when to when, when a change may have taken effect."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeVar

from history_record import DONE, Disturbance, History, Load, Operation

# What was on the way when calm came has arrived this much later.
ARRIVES_S: Final = 1.0
# What a life is longer by when it travels, and a question by its way.
TRAVEL_S: Final = 0.1

Row = TypeVar("Row", Operation, Load)


class Violation(NamedTuple):
    """One promise that was not kept: by which rule, and what happened."""

    rule: str
    text: str


class Times:
    """The calm and the disturbances of one history."""

    def __init__(self, history: History) -> None:
        self._calm = sorted(history.calm)
        self._begins = [begin for begin, _ in self._calm]
        self._serving = history.serving
        self._disturbances = sorted(history.disturbances, key=lambda one: one.at_s)
        self._disturbed_s = [one.at_s for one in self._disturbances]

    def calm_over(self, from_s: float, to_s: float) -> tuple[float, float] | None:
        """The calm that all of this lies in."""
        at = bisect_right(self._begins, from_s) - 1
        return self._calm[at] if at >= 0 and to_s <= self._calm[at][1] else None

    def serving_in(self, calm: tuple[float, float]) -> float:
        """How many nodes served then; as many as anybody wants, where nobody wrote that down."""
        return self._serving.get(calm[0], math.inf)

    def was_calm_at(self, moment_s: float) -> bool:
        return self.calm_over(moment_s, moment_s) is not None

    def longest_calm(self, from_s: float, to_s: float) -> float:
        """How long the longest calm between these moments lasted."""
        return max((min(end, to_s) - max(begin, from_s) for begin, end in self._calm), default=0.0)

    def disturbances(self, from_s: float, to_s: float) -> list[Disturbance]:
        return self._disturbances[bisect_right(self._disturbed_s, from_s) : bisect_right(self._disturbed_s, to_s)]

    def effect_by(self, change: Operation) -> float:
        """By when a change has happened, if it ever does: when it was acknowledged. One that was not may still be on the way, until calm comes."""
        if change.outcome == DONE:
            return change.ended_s
        over_s = min(change.ended_s, change.began_s + change.timeout_s)
        at = bisect_right(self._begins, over_s) - 1
        if at >= 0 and over_s <= self._calm[at][1] - ARRIVES_S:
            return over_s + ARRIVES_S
        for begin, end in self._calm[at + 1 :]:
            if end - begin > ARRIVES_S:
                return begin + ARRIVES_S
        return math.inf


def asked_since(reads: list[Operation], moment_s: float) -> float:
    """When the first of those gets of a key began who may share what is asked at that moment: each joined what the one before had begun."""
    while True:
        earlier = [read.began_s for read in reads if read.began_s < moment_s <= over_by(read)]
        if not earlier:
            return moment_s
        moment_s = min(earlier)


def over_by(read: Operation) -> float:
    """By when nobody can join what it asked any more."""
    return min(read.ended_s, read.began_s + read.timeout_s + read.stood_s + TRAVEL_S)


def by_key(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """The rows of each key of each group, in order of their beginning."""
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.began_s):
        found[row.group, row.key].append(row)
    return found
