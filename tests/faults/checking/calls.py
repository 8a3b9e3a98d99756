"""Every call ends by its deadline and a little more (P2), and those that must not fail do not (P6, P7).

Time in which the caller's own loop did not run is not counted: each worker tells when that was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from faults.checking.promises import ANY, NONE, Promises, Violation
from faults.record import FAILED, GET, Op, Record, Stall


def check_calls(record: Record, promises: Promises) -> Iterator[Violation]:
    """All operations."""
    stalls = _Stalls(record.stalls)
    for op in record.ops:
        excess_s = stalls.excess_s(op)
        if excess_s > promises.late_s:
            text = f"a {op.kind} with {op.timeout_s:g} s took {op.ended_s - op.began_s:.3f} s, {excess_s * 1e3:.0f} ms too many"
            yield Violation("P2", op.key, op.ended_s, text)
        must_not = promises.may_fail == NONE or (op.kind == GET and promises.may_fail != ANY)
        if op.outcome == FAILED and must_not:
            took_s = op.ended_s - op.began_s
            yield Violation(promises.failing, op.key, op.ended_s, f"a {op.kind} failed after {took_s:.2f} s: {op.note}")


def slowest_excess(record: Record) -> float:
    """By how much a call outlasted its deadline at most, in seconds; 0 when all were in time."""
    stalls = _Stalls(record.stalls)
    return max((stalls.excess_s(op) for op in record.ops), default=0.0)


class _Stalls:
    def __init__(self, stalls: list[Stall]) -> None:
        self._of: dict[int, list[Stall]] = {}
        for stall in sorted(stalls, key=lambda stall: stall.ended_s):
            self._of.setdefault(stall.worker, []).append(stall)

    def excess_s(self, op: Op) -> float:
        """What the call took beyond its deadline while its loop ran."""
        deadline_s = op.began_s + op.timeout_s
        excess_s = op.ended_s - deadline_s
        if excess_s <= 0:
            return 0.0
        stalls = self._of.get(op.worker, [])
        for stall in stalls[bisect_left(stalls, deadline_s, key=lambda stall: stall.ended_s) :]:
            if stall.began_s >= op.ended_s:
                break
            excess_s -= min(stall.ended_s, op.ended_s) - max(stall.began_s, deadline_s)
        return max(0.0, excess_s)
