"""P8 and P9: what a get may find.

A get's answer, a value or a miss, has an *origin*: the set or the load that brought the value; for a miss any delete, any set whose life may have
ended, any load that found no such key, or the beginning. An origin is *overtaken* when a change that was acknowledged began only after the origin
had taken effect for good, and had itself ended before the moment that the get may look back to. An answer all of whose origins are overtaken is

    lost     a miss: an acknowledged set is not there. (Or a load, which is a miss of the store's; then nobody need have seen a miss.)
    stale    an older value

unless it is excused. And a value is

    expired  when its life was over at the moment that the get may look back to.

*How far back may a get look?* To the beginning of what it shares: it may have joined a question that another caller asked, who joined another's, and
so on, so back through every get of the key that was under way at that time. And once it may be answered from a hot copy, which was made by an
earlier get's answer and has lived since for no longer than the group's hot ttl. Where a write is acknowledged before all who are to hold it do,
some of them may have it as much later as it travels.

*When did a change take effect?* One that was acknowledged: between its beginning and its end. One that failed, or whose caller is gone: at any time
until the mesh has been calm for a while, or never; until then it is not overtaken, and it never overtakes.

*What is excused?* Last writer wins, but a partition has two sides, and clocks differ. So a get is judged only in calm that has lasted until
short-lived copies are over (``moved_ttl``). And what is judged is that it finds the change, or a later one,

- with one copy: where it was calm from the change's beginning on. (A kill loses a single copy; whoever stood in for a node that could not be reached
  has kept nothing for good.) Where the cluster hands over what its ring moves, joins and leaves excuse nothing.
- with R copies and W acknowledgements: where fewer than W nodes were lost since then without a calm between in which copies are made again.
  Changes that were made while it was not calm have no order among one another.

An eviction excuses misses, and older values where copies may differ.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from history_record import CHANGES, DONE, KILLED, LOSSES, MISS, PLANNED, RINGS, VALUE, History, Load, Operation, Promise
from history_times import TRAVEL_S, Times, Violation, asked_since, by_key, over_by

COUNTED: Final = "incr"
# Calm in which copies that are missing have been made again.
REPAIRED_S: Final = 2.0


class Origin(NamedTuple):
    """Where an answer may come from: when that began, by when it had happened, and from when on it may be over, and is over."""

    began_s: float
    by_s: float
    may_end_s: float = math.inf
    ends_s: float = math.inf
    what: object = "the beginning"


_BEGINNING: Final = Origin(-math.inf, -math.inf)


def check_visibility(history: History, times: Times) -> list[Violation]:
    """See the module's docstring."""
    operations, loads = by_key(history.operations), by_key(history.loads)
    found: list[Violation] = []
    for key, ops in operations.items():
        if not any(op.kind == COUNTED for op in ops):
            found += _Key(history.groups[key[0]], ops, loads.get(key, []), times).check()
    return found


class _Key:
    """One key of one group."""

    def __init__(self, promise: Promise, operations: list[Operation], loads: list[Load], times: Times) -> None:
        self._promise, self._times, self._loads = promise, times, loads
        self._reads = [op for op in operations if op.kind == "get"]
        self._changes = [op for op in operations if op.kind in CHANGES]
        self._done = [op for op in self._changes if op.outcome == DONE]
        self._brought = {op.value: self._of_change(op) for op in self._changes if op.value is not None}
        self._brought |= {load.value: self._of_load(load) for load in loads if load.value is not None}
        self._absent = [_BEGINNING, *(self._of_change(op) for op in self._changes if op.kind == "delete")]
        self._absent += [self._of_load(load) for load in loads if load.value is None and not load.failed]

    def check(self) -> list[Violation]:
        found: list[Violation] = []
        for read in self._reads:
            if read.outcome in (VALUE, MISS):
                found += self._check_read(read)
        for load in self._loads:
            found += self._check_load(load)
        return found

    def _check_read(self, read: Operation) -> list[Violation]:
        asked_s = asked_since(self._reads, read.began_s)
        back_to_s = self._back_to(asked_s)
        if read.outcome == MISS:
            missed = self._missed(back_to_s, read.ended_s)
            return [Violation("lost", f"{missed}, by {read}")] if missed else []
        origin = self._brought.get(read.result)
        if origin is None:
            return []  # a wrong value: another rule's
        if back_to_s > origin.ends_s + TRAVEL_S and self._times.calm_over(origin.began_s, read.ended_s):
            return [Violation("expired", f"{origin.what}, by {read}")]
        newer = self._overtaking(origin, back_to_s, read.ended_s)
        return [Violation("stale", f"{origin.what} after {newer}, by {read}")] if newer else []

    def _check_load(self, load: Load) -> list[Violation]:
        """A load is begun by a get that has not found anything."""
        missed = self._missed(self._back_to(asked_since(self._reads, load.began_s)), load.began_s)
        return [Violation("lost", f"{missed}, by {load}")] if missed else []

    def _missed(self, back_to_s: float, ended_s: float) -> Operation | None:
        """The change that a miss has missed; None where it may be one."""
        if self._promise.evictions:
            return None
        newer: Operation | None = None
        ended = [origin for origin in self._brought.values() if origin.may_end_s <= ended_s + TRAVEL_S]
        for origin in (*self._absent, *ended):
            if origin.began_s <= ended_s:
                change = self._overtaking(origin, back_to_s, ended_s)
                if change is None:
                    return None
                if newer is None or change.began_s > newer.began_s:
                    newer = change
        return newer

    # -- the rules' words --------------------------------------------------------------------------------------------

    def _back_to(self, asked_s: float) -> float:
        """How far back a hot copy reaches that is found by who asked then."""
        if self._promise.acks < self._promise.copies:
            asked_s -= TRAVEL_S
        hot_s = asked_s - self._promise.hot_ttl_s - TRAVEL_S
        answered = [read.began_s for read in self._reads if read.began_s < asked_s and over_by(read) >= hot_s]
        return asked_since(self._reads, min(answered)) if answered else asked_s

    def _overtaking(self, origin: Origin, back_to_s: float, ended_s: float) -> Operation | None:
        """A change that has overtaken this origin and is not excused."""
        for change in self._done:
            if (
                change.ended_s < back_to_s
                and origin.by_s < change.began_s
                and not self._is_excused(origin, change, back_to_s, ended_s)
            ):
                return change
        return None

    def _is_excused(self, origin: Origin, change: Operation, back_to_s: float, ended_s: float) -> bool:
        promise, times = self._promise, self._times
        calm = times.calm_over(back_to_s, ended_s)
        if calm is None or back_to_s < calm[0] + promise.moved_ttl_s:
            return True
        if change.began_s >= calm[0]:
            return False
        since = times.disturbances(change.began_s - TRAVEL_S, ended_s)
        kinds = {one.kind for one in since}
        if promise.copies == 1:
            return not (promise.hands_over and kinds <= PLANNED | {RINGS})
        if promise.evictions or change.life_s < math.inf:
            return True
        if not (times.was_calm_at(change.began_s) or times.was_calm_at(origin.by_s) or origin is _BEGINNING):
            return True
        if back_to_s < calm[0] + max(promise.moved_ttl_s, REPAIRED_S):
            return True
        return self._lost_at_once(change, ended_s) >= promise.acks

    def _lost_at_once(self, change: Operation, ended_s: float) -> int:
        """How many nodes were lost, at the most, without a calm between in which copies are made again."""
        lost: set[str] = set()
        most, last_s = 0, -math.inf
        hard = not {one.kind for one in self._times.disturbances(change.began_s, ended_s)} <= PLANNED | {RINGS, KILLED}
        for one in self._times.disturbances(change.began_s - TRAVEL_S, ended_s):
            if one.kind in LOSSES or (hard and one.kind in PLANNED):
                if self._times.longest_calm(last_s, one.at_s) >= REPAIRED_S:
                    lost.clear()
                lost.add(one.node)
                most, last_s = max(most, len(lost)), one.at_s
        return most

    def _of_change(self, change: Operation) -> Origin:
        by_s = self._times.effect_by(change)
        return Origin(change.began_s, by_s, change.began_s + change.life_s, by_s + change.life_s, change)

    def _of_load(self, load: Load) -> Origin:
        # A change that began after it did fences it, or is stored over what it has brought.
        life_s = self._promise.negative_ttl_s if load.value is None else self._promise.ttl_s
        ends_s = load.ended_s + life_s
        return Origin(load.began_s, load.began_s, ends_s, ends_s, load)
