"""How often keys were loaded: P3, and what a dead node costs the backend (P7).

Judged are keys that nobody writes or deletes, whose values have no end and are not evicted. One that was loaded is kept: by its owner for
good, by a node that stands in for a while. So

- in a calm time a key is loaded once in the whole cluster, at most;
- at any time a process never loads a key twice at once, nor again before what it loaded can have ended.
"""

from __future__ import annotations

from collections.abc import Iterator

from faults.checking.promises import Promises, Violation
from faults.record import GET, Load, Record


def check_loads(record: Record, promises: Promises) -> Iterator[Violation]:
    """All loads."""
    written = {op.key for op in record.ops if op.kind != GET}
    loads = sorted((load for load in record.loads if load.key not in written), key=lambda load: load.began_s)
    for from_s, until_s in record.calm:
        yield from _check_calm([load for load in loads if from_s <= load.began_s < until_s])
    yield from _check_each(loads, promises.brief_s)
    if promises.reloads_max is not None:
        again = reloaded(record, promises.reloads_from_s)
        if len(again) > promises.reloads_max:
            text = f"{len(again)} keys were loaded again, at most {promises.reloads_max} may be"
            yield Violation("P7", min(again), promises.reloads_from_s, text)


def reloaded(record: Record, from_s: float) -> set[str]:
    """The keys loaded before ``from_s`` and again from then on; those that nobody writes."""
    written = {op.key for op in record.ops if op.kind != GET}
    before = {load.key for load in record.loads if load.began_s < from_s}
    return {load.key for load in record.loads if load.began_s >= from_s and load.key in before} - written


def _check_calm(loads: list[Load]) -> Iterator[Violation]:
    first: dict[str, Load] = {}
    for load in loads:
        before = first.setdefault(load.key, load)
        if before is not load:
            text = f"loaded by {before.node} and by {load.node} {load.began_s - before.began_s:.2f} s later, with equal rings"
            yield Violation("P3", load.key, load.began_s, text)


def _check_each(loads: list[Load], brief_s: float) -> Iterator[Violation]:
    last: dict[tuple[int, str], Load] = {}
    for load in loads:
        before = last.get((load.pid, load.key))
        if before is not None and load.began_s < before.ended_s + brief_s:
            since_s = load.began_s - before.ended_s
            when = "while it was being loaded" if since_s < 0 else f"{since_s:.2f} s after it was"
            yield Violation("P3", load.key, load.began_s, f"loaded by {load.node} again {when}")
        last[load.pid, load.key] = load
