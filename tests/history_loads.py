"""P3: a missing key is loaded once.

    loaded beside itself   no node (as long as it lives) has two loads of a key under way at once, unless a change of the key came between: then who
                           waited for the first load still gets its result, and who came after the change gets the second's
    loaded twice           in one calm, no two nodes do either; and what a load has brought is not loaded again while it lives: for the group's
                           ttl, or its negative ttl where there is no such key. Unless the key was changed meanwhile, the first load failed, or
                           something was evicted

A change counts as coming between if it may have taken effect at any time from when the first load was asked for (it may have waited for its turn)
to the beginning of the second.
"""

from __future__ import annotations

from history_record import CHANGES, READS, History, Load, Operation, Promise
from history_times import Times, Violation, asked_since, by_key

# The loader's end and the moment in which its result is stored are one turn of the loop; a key's life begins then.
_MOMENT_S = 0.005


def check_loads(history: History, times: Times) -> list[Violation]:
    """See the module's docstring."""
    changes = by_key(op for op in history.operations if op.kind in CHANGES)
    reads = by_key(op for op in history.operations if op.kind in READS)
    found: list[Violation] = []
    for key, loads in by_key(history.loads).items():
        promise = history.groups[key[0]]
        for at, second in enumerate(loads):
            for first in loads[:at]:
                rule = _broken(first, second, promise, times)
                if rule and not _changed_between(
                    asked_since(reads.get(key, []), first.began_s), second.began_s, changes.get(key, []), times
                ):
                    found.append(Violation(rule, f"{first} and {second}"))
    return found


def _broken(first: Load, second: Load, promise: Promise, times: Times) -> str:
    at_once = second.began_s < first.ended_s
    if at_once and first.node == second.node:
        return "loaded beside itself"
    if times.calm_over(first.began_s, second.began_s) is None:
        return ""
    life_s = promise.negative_ttl_s if first.value is None else promise.ttl_s
    alive = not first.failed and second.began_s < first.ended_s + life_s - _MOMENT_S and not promise.evictions
    return "loaded twice" if at_once or alive else ""


def _changed_between(from_s: float, to_s: float, changes: list[Operation], times: Times) -> bool:
    return any(change.began_s <= to_s and times.effect_by(change) >= from_s for change in changes)
