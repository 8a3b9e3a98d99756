"""From the record of a run to its row in the table."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from faults.catalogue import Fault
from faults.checking import Promises, check, lost_keys
from faults.checking.loads import reloaded
from faults.checking.promises import ANY, Violation
from faults.cluster import BRIEF_S, HOT_S
from faults.record import FAILED, GET, Op, Record

FLOOR_OPS_S: Final = 150.0
"""Operations a second, below which a run proves too little to count."""
OUT_OF_USE_S: Final = 2.0
NOTICED_MOST: Final = 0.01
"""Of the reads that begin when a slow node has to be avoided, so many may notice it: it is tried again and again, by everybody who knows it."""
_SLOW_S: Final = 0.5
"""A call that takes longer was disturbed."""
_TOLD: Final = 40
"""So many violations are told of one run; the others are counted."""


class Result(msgspec.Struct, kw_only=True):
    """One row.

    ``lost``: keys whose acknowledged value was not there at the last look, promised or not. ``recover_s``: from the fault to the end
    of the last call that was disturbed by it. ``rest_s``: from the end of the fault until all rings agree and nothing is left to copy.
    ``broken``: violations by promise; ``problems``: why it is no run; ``not_here``: why it could not be made on this machine.
    """

    fault: str
    what: str
    copies: int
    acks: int
    seed: int
    operations: int = 0
    ops_s: float = 0.0
    failed: int = 0
    failed_reads: int = 0
    lost: int = 0
    reloaded: int = 0
    slowest_s: float = 0.0
    recover_s: float = 0.0
    rest_s: float = 0.0
    seconds: float = 0.0
    broken: dict[str, int] = {}
    violations: list[str] = []
    problems: list[str] = []
    not_here: str | None = None
    exempt: dict[str, str] = {}
    errors: dict[str, int] = {}
    notes: list[str] = []

    @property
    def holds(self) -> bool:
        """It was a run, and nothing was broken."""
        return not (self.broken or self.problems or self.not_here)


class Times(msgspec.Struct):
    """When what happened: load began, the fault began and was over, all was at rest, load ended."""

    load_s: float
    fault_s: float
    over_s: float
    rest_s: float
    end_s: float


def judge(
    result: Result, fault: Fault, record: Record, times: Times, *, reloads_max: int | None, seen: list[Violation]
) -> None:
    """Fill in the row. ``seen``: what was broken besides what the record shows."""
    promises = Promises(
        copies=result.copies, acks=result.acks, stale_s=fault.stale_s, absent_s=HOT_S + 0.5, brief_s=BRIEF_S - 0.1,
        # With all copies of a key gone at once nobody can be asked.
        may_fail=ANY if fault.dead >= max(2, result.copies) else fault.may_fail,
        failing=fault.failing, exempt=fault.exempt, reloads_max=reloads_max, reloads_from_s=times.fault_s,
    )  # fmt: skip
    during = [op for op in record.ops if times.load_s <= op.began_s <= times.end_s]
    violations = check(record, promises) + seen
    if fault.out_of_use or fault.avoided:
        later = _reads_when_out_of_use(during, times)
        noticed = [op for op in later if _is_disturbed(op)]
        if fault.avoided:
            result.notes.append(f"{len(noticed)} of {len(later)} reads that began 2 s later noticed it")
        if len(noticed) > len(later) * NOTICED_MOST * fault.avoided:
            violations += [_still_in_use(op, times) for op in noticed]
    disturbed = [
        op
        for op in during
        if op.began_s >= times.fault_s - op.timeout_s and op.ended_s >= times.fault_s and _is_disturbed(op)
    ]
    failed = [op for op in record.ops if op.outcome == FAILED]
    result.operations = len(record.ops)
    result.ops_s = round(len(during) / (times.end_s - times.load_s), 1)
    result.failed = len(failed)
    result.failed_reads = sum(op.kind == GET for op in failed)
    result.errors = dict(Counter(f"{op.kind}: {op.note.partition(':')[0]}" for op in failed).most_common(8))
    result.lost = len(lost_keys(record))
    result.reloaded = len(reloaded(record, times.fault_s))
    result.slowest_s = round(max((op.ended_s - op.began_s for op in record.ops), default=0.0), 3)
    result.recover_s = round(max((op.ended_s for op in disturbed), default=times.fault_s) - times.fault_s, 2)
    result.rest_s = round(times.rest_s - times.over_s, 2)
    result.seconds = round(times.end_s - times.load_s, 1)
    result.broken = dict(sorted(Counter(violation.promise for violation in violations).items()))
    result.violations = [
        f"{violation.promise} {violation.key} at {violation.at_s - times.fault_s:+.2f} s: {violation.text}"
        for violation in violations[:_TOLD]
    ]
    result.exempt = dict(fault.exempt)
    if result.ops_s < FLOOR_OPS_S:
        result.problems.append(
            f"only {result.ops_s:g} operations a second, where {FLOOR_OPS_S:g} are the least that proves anything"
        )


def _is_disturbed(op: Op) -> bool:
    return op.outcome == FAILED or op.ended_s - op.began_s > _SLOW_S


def _reads_when_out_of_use(ops: list[Op], times: Times) -> list[Op]:
    """Those that began when the node had to be out of use."""
    from_s = times.fault_s + OUT_OF_USE_S
    until_s = max(times.over_s, from_s + OUT_OF_USE_S)
    return [op for op in ops if op.kind == GET and from_s <= op.began_s < until_s]


def _still_in_use(op: Op, times: Times) -> Violation:
    began_s, took_s = op.began_s - times.fault_s, op.ended_s - op.began_s
    return Violation("P7", op.key, op.ended_s, f"a get that began {began_s:.2f} s after the fault took {took_s:.2f} s")
