"""Whether a history keeps what zmcache promises (P1 to P9 of its design): data in, violations out. Knows neither cluster nor clock.

Rules about each call by itself, here:

    wrong value    P1  what a get found was brought for that key of that group, by a set or a load that had begun before the get ended, and is whole
    late           P2  a call ends by its deadline and 50 ms, time in which its process did not run not counted
    never ended    P2  it ends, unless its process was killed
    cut short      P4  whoever fails for want of time had none left; whoever ends cancelled was cancelled
    unexpected         what a call fails with is a failure of the mesh, or of the loader where a load of that key failed
    failed in calm P6  while nothing was wrong (an etcd that is away is nothing) no call fails, unless there are fewer nodes than are to hold a write
    failed read    P7  nor does a get when one node was killed and nothing else was wrong

About loads (`history_loads`, P3) and about what a get may find (`history_visibility`: P8 and P9) there is more to say; see there.
"""

from __future__ import annotations

import math
from typing import Final

from history_loads import check_loads
from history_record import CANCELLED, FAILED, JOINED, KILLED, LEFT, OPEN, RINGS, History, Load, Operation
from history_times import Times, Violation, by_key
from history_visibility import check_visibility

__all__ = ["Violation", "check"]

LATE_S: Final = 0.05
# Deadlines travel in whole milliseconds, and timers come in steps of ten.
_EARLY_S: Final = 0.03
# Within it a call may fail because a slow load, a queue or a lost connection takes as long.
_HASTY_S: Final = 1.0
_KILL_IS_OVER_S: Final = 8.0
_OF_MESH: Final = ("PeerUnavailable", "Busy", "DeadlineExceeded", "OutcomeUnknown", "TooFewCopies", "LifecycleError")
_OF_LOADER: Final = ("LoaderFailed", "LoadTimeout")


def check(history: History) -> list[Violation]:
    """What is wrong with it, in the order of the rules."""
    times = Times(history)
    found = [Violation("error", error) for error in history.errors]
    loads = by_key(history.loads)
    values = _values(history)
    for operation in history.operations:
        found += _check_end(operation)
        found += _check_value(operation, values)
        acks = history.groups[operation.group].acks
        found += _check_failure(operation, times, loads.get((operation.group, operation.key), []), acks)
    found += check_loads(history, times)
    found += check_visibility(history, times)
    return found


def _values(history: History) -> dict[bytes, tuple[str, str, float]]:
    """Whose each value is, and from when on it may be found. What is counted has values that are not one operation's: those stand apart."""
    values = {
        op.value: (op.group, op.key, op.began_s)
        for op in history.operations
        if op.kind == "set" and op.value is not None
    }
    values |= {load.value: (load.group, load.key, load.began_s) for load in history.loads if load.value is not None}
    return values


def _check_value(operation: Operation, values: dict[bytes, tuple[str, str, float]]) -> list[Violation]:
    if operation.kind != "get" or operation.result is None:
        return []
    whose = values.get(operation.result)
    if whose is None:
        return [Violation("wrong value", f"nobody has brought what this found: {operation}")]
    if whose[:2] != (operation.group, operation.key):
        return [Violation("wrong value", f"another key's, {whose[0]}/{whose[1]}: {operation}")]
    if whose[2] > operation.ended_s:
        return [Violation("wrong value", f"it was brought later, at {whose[2]:.3f}: {operation}")]
    return []


def _check_end(operation: Operation) -> list[Violation]:
    if operation.outcome == OPEN:
        return [] if operation.lost_caller else [Violation("never ended", str(operation))]
    over_s = operation.ended_s - operation.began_s - operation.timeout_s - operation.stood_s
    if over_s > LATE_S:
        return [Violation("late", f"{over_s:.3f} s past its deadline: {operation}")]
    if operation.outcome == CANCELLED and operation.cancelled_s == math.inf:
        return [Violation("cut short", f"nobody cancelled it: {operation}")]
    left_s = operation.began_s + operation.timeout_s - operation.ended_s
    if operation.error.startswith("DeadlineExceeded") and left_s > _EARLY_S:
        return [Violation("cut short", f"it had {left_s:.3f} s left: {operation}")]
    return []


def _check_failure(operation: Operation, times: Times, loads: list[Load], acks: int) -> list[Violation]:
    if operation.outcome != FAILED:
        return []
    error = operation.error.partition(":")[0]
    if error in _OF_LOADER:
        # The load that failed may have been joined, and its failure takes a moment to arrive.
        if any(
            load.failed and load.began_s <= operation.ended_s and load.ended_s >= operation.began_s - LATE_S
            for load in loads
        ):
            return []
        return [Violation("unexpected", f"no load of that key failed: {operation}")]
    if error not in _OF_MESH:
        return [Violation("unexpected", str(operation))]
    if error == "DeadlineExceeded" and operation.timeout_s < _HASTY_S:
        return []
    calm = times.calm_over(operation.began_s, operation.ended_s)
    if error == "TooFewCopies" and calm is not None and times.serving_in(calm) < acks:
        return []  # there are not as many nodes
    if calm is not None:
        return [Violation("failed in calm", str(operation))]
    if operation.kind == "get" and error == "PeerUnavailable" and _only_one_was_killed(operation, times):
        return [Violation("failed read", str(operation))]
    return []


def _only_one_was_killed(operation: Operation, times: Times) -> bool:
    since_s = operation.began_s - _KILL_IS_OVER_S
    wrong = times.disturbances(since_s, operation.ended_s)
    gone = {one.node for one in wrong if one.kind in (KILLED, LEFT)}
    return (
        len(gone) == 1
        and all(one.kind in (KILLED, LEFT, JOINED, RINGS) for one in wrong)
        and times.was_calm_at(since_s)
    )
