"""What gets found, held against what was written: P1, P8 and P9.

A read is held against the writes that had been acknowledged `stale_s` (where it found nothing: `absent_s`) before it began; a write that W
crashes may have taken is not held against anything. While a node is behind, and for `stale_s` from when it is asked again, a read may be as
old as the beginning of that outage: it may have been that node which answered.

A key that is absent, or that had to be loaded, is judged alike: nobody had it. That is a loss where an acknowledged set had to be there
and no delete can have come after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from faults.checking.history import History, over_s, survives
from faults.checking.promises import Promises, Violation
from faults.record import ABSENT, ALIEN, CUT, GET, OK, PAUSE, TORN, Load, Op, Record


def check_values(record: Record, promises: Promises) -> Iterator[Violation]:
    """All gets of all keys."""
    histories = _histories(record)
    loaded = {load.version: load for load in record.loads}
    for op in record.ops:
        if op.kind == GET and op.outcome in (TORN, ALIEN):
            yield Violation("P1", op.key, op.ended_s, f"{op.outcome}: {op.note}")
        elif op.kind == GET and op.outcome in (OK, ABSENT):
            yield from _judge(op, histories[op.key], loaded, record, promises)


def lost_keys(record: Record) -> set[str]:
    """Whose acknowledged value was gone, or an older one in its place, at the last look, promised or not."""
    histories = _histories(record)
    lost = set()
    for op in record.ops:
        if op.began_s < record.last_look_s or op.kind != GET or op.outcome not in (OK, ABSENT):
            continue
        history = histories[op.key]
        found = history.by_version.get(op.version) if op.outcome == OK else None
        newest = history.newest_set(op.began_s)
        if newest is None or (found is not None and over_s(found) >= newest.began_s):
            continue
        if found is not None or not history.may_be_deleted(newest, op.ended_s):
            lost.add(op.key)
    return lost


def _histories(record: Record) -> defaultdict[str, History]:
    writes: dict[str, list[Op]] = {}
    for op in record.ops:
        if op.kind != GET:
            writes.setdefault(op.key, []).append(op)
    found: defaultdict[str, History] = defaultdict(lambda: History(()))
    for key, ops in writes.items():
        found[key] = History(ops)
    return found


def _judge(
    op: Op, history: History, loaded: dict[int, Load], record: Record, promises: Promises
) -> Iterator[Violation]:
    load = loaded.get(op.version) if op.outcome == OK else None
    if op.outcome == OK and load is None:
        write = history.by_version.get(op.version)
        if write is None:
            yield Violation("P1", op.key, op.ended_s, f"version {op.version:x} was never written to this key")
            return
        if write.began_s > op.ended_s:
            yield Violation("P1", op.key, op.ended_s, f"version {op.version:x} was written after it was read")
        newest = history.newest(_held_against_s(op, promises.stale_s, record))
        if newest is not None and over_s(write) < newest.began_s and _has_to_be(newest, op, record, promises):
            age_s = op.began_s - newest.ended_s
            yield Violation(
                "P9", op.key, op.ended_s,
                f"version {op.version:x}, which a {newest.kind} acknowledged {age_s:.2f} s before the read began had replaced",
            )  # fmt: skip
        return
    if load is not None and load.key != op.key:
        yield Violation("P1", op.key, op.ended_s, f"what was loaded for {load.key}")
        return
    newest = history.newest_set(_held_against_s(op, promises.absent_s, record))
    if newest is not None and load is not None and load.ended_s < newest.began_s:
        # Loaded before that: a copy that its time is not over for, as one of what somebody wrote may be.
        newest = history.newest_set(_held_against_s(op, promises.stale_s, record))
    if (
        newest is not None
        and not history.may_be_deleted(newest, op.ended_s)
        and _has_to_be(newest, op, record, promises)
    ):
        found = "nothing" if load is None else "it was loaded"
        yield Violation(
            "P8", op.key, op.ended_s,
            f"{found}, where version {newest.version:x} had been acknowledged {op.began_s - newest.ended_s:.2f} s before the read began",
        )  # fmt: skip


def _held_against_s(op: Op, stale_s: float, record: Record) -> float:
    """The read has to know what was acknowledged by then."""
    cut_s = op.began_s - stale_s
    for outage in record.outages:
        behind_from_s = {PAUSE: outage.ended_s, CUT: outage.began_s}.get(outage.kind)
        # What began before may have been answered only after the node had gone on.
        if behind_from_s is not None and behind_from_s <= op.ended_s and op.began_s <= outage.ended_s + stale_s:
            cut_s = min(cut_s, outage.began_s)
    return cut_s


def _has_to_be(write: Op, read: Op, record: Record, promises: Promises) -> bool:
    return not record.outages or survives(
        record.outages, promises.acks, write.began_s, read.ended_s, settle_s=promises.stale_s
    )
