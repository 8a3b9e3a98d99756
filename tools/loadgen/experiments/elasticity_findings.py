"""What each event cost, from what was seen second by second. Pure arithmetic.

The calm is what lies before the first event: its mean hit ratio, the median of its seconds' p99, its queries a second. An event's time
lasts until the next one, or to the end.

The hit ratio is back after the last second that was more than a point below the calm's: a strict rule, which a noisy second makes
longer, never shorter. p99 is back with the first whole second, after the ring has learned of a join or after a kill, that is within twice
the calm's, as is the median of it and the two that follow: on a shared machine single seconds are above that in the calm, too, and
``calm.seconds_over`` tells how many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean, median
from typing import Any, Final

POINT: Final = 0.01
"""Of the hit ratio: further below the calm's is not recovered."""
FACTOR: Final = 2.0
"""Times the calm's p99: what is above it is not recovered."""
_TOGETHER: Final = 3

Row = Mapping[str, Any]
Counts = Sequence[tuple[float, int]]


def findings(
    rows: Sequence[Row], events: Sequence[Row], counts: Counts, changes: Sequence[Row], *, keys: int
) -> dict[str, Any]:
    """``calm``, and ``phases``: an entry for each event. ``counts``: (second, queries so far); ``keys``: how many there are.

    Times are in seconds; those of a phase count from its event. What was not seen is None.
    """
    quiet = [row for row in rows if row["second"] + 1 <= events[0]["at_s"]]
    calm = _calm(quiet, counts)
    end_s = rows[-1]["second"] + 1
    bounds = [*(int(event["at_s"]) for event in events), end_s]
    phases = []
    for event, (begin, end) in zip(events, pairwise(bounds), strict=True):
        seen = [row for row in rows if begin <= row["second"] < end]
        of_it = [change for change in changes if event["at_s"] <= change["at_s"] < end]
        phases.append(_phase(event, seen, calm, counts, of_it[0] if of_it else None, keys))
    return {"calm": calm, "phases": phases}


def queries_at(counts: Counts, at_s: float) -> float:
    """How many there were at that time, evenly between two counts."""
    for (before_s, before), (after_s, after) in pairwise(counts):
        if before_s <= at_s <= after_s:
            part = (at_s - before_s) / (after_s - before_s) if after_s > before_s else 1.0
            return before + part * (after - before)
    return float(counts[-1][1] if at_s > counts[-1][0] else counts[0][1])


def _calm(rows: Sequence[Row], counts: Counts) -> dict[str, Any]:
    end_s = rows[-1]["second"] + 1
    reads = sum(row["reads"] for row in rows)
    p99_us = median(row["p99_us"] for row in rows if row["p99_us"] is not None)
    return {
        "seconds": len(rows),
        "hit_ratio": round(sum(row["hits"] for row in rows) / reads, 6),
        "reads_per_s": round(mean(row["reads"] for row in rows), 1),
        "p99_us": p99_us,
        "seconds_over": sum(not _p99_is_back(row, p99_us) for row in rows),
        "queries_per_s": round((queries_at(counts, end_s) - queries_at(counts, 0.0)) / end_s, 3),
        "failed": sum(row["errors"] for row in rows),
    }


def _phase(
    event: Row, rows: Sequence[Row], calm: Mapping[str, Any], counts: Counts, change: Row | None, keys: int
) -> dict[str, Any]:
    at_s, begin, end = event["at_s"], rows[0]["second"], rows[-1]["second"] + 1
    ratios = [row["hits"] / row["reads"] for row in rows if row["reads"]]
    reads, hits = sum(row["reads"] for row in rows), sum(row["hits"] for row in rows)
    extra = queries_at(counts, end) - queries_at(counts, begin) - calm["queries_per_s"] * (end - begin)
    # A node that starts takes nothing over before the ring says so; one that is dead is missed at once.
    from_s = change["at_s"] if change and event["what"].startswith("start") else at_s
    hits_back_s = _after_last_bad(rows, calm["hit_ratio"], at_s)
    p99_back_s = _first_low(rows, calm["p99_us"], at_s, from_s)
    return {
        "what": event["what"],
        "at_s": at_s,
        "ok": event["ok"],
        "detail": event["detail"],
        "seconds": end - begin,
        "ring_s": None if change is None else round(change["at_s"] - at_s, 3),
        "moved_keys": None if change is None else change["moved"],
        "moved_share": None if change is None else round(change["moved"] / keys, 6),
        "ideal_share": None if change is None else change["ideal"],
        "lowest_hit_ratio": round(min(ratios), 6) if ratios else None,
        "worst_p99_us": max((row["p99_us"] for row in rows if row["p99_us"] is not None), default=None),
        "extra_misses": round(calm["hit_ratio"] * reads - hits),
        "extra_queries": round(extra),
        "failed": sum(row["errors"] for row in rows),
        "skipped": sum(row["skipped"] for row in rows),
        "hits_back_s": hits_back_s,
        "p99_back_s": p99_back_s,
        "recovered_s": None if hits_back_s is None or p99_back_s is None else max(hits_back_s, p99_back_s),
    }


def _after_last_bad(rows: Sequence[Row], calm_ratio: float, at_s: float) -> float | None:
    """0.0 where no second was bad; None where the last one still is."""
    bad = [row["second"] for row in rows if not row["reads"] or row["hits"] / row["reads"] < calm_ratio - POINT]
    if not bad:
        return 0.0
    return None if bad[-1] == rows[-1]["second"] else round(bad[-1] + 1 - at_s, 3)


def _first_low(rows: Sequence[Row], calm_p99_us: float, at_s: float, from_s: float) -> float | None:
    """Of the whole seconds after ``from_s``. 0.0 where it is the first, and the one before was low, too; None where there is none."""
    later = [row for row in rows if row["second"] >= int(from_s)]
    back = [_p99_is_back(row, calm_p99_us) for row in later]
    # What happened at the end of a second shows in the next one only.
    for at in range(1, len(later) - _TOGETHER + 1):
        if back[at] and any(back[at + 1 : at + _TOGETHER]):  # two of three: so is their median
            if at == 1 and back[0]:
                return 0.0
            second: int = later[at]["second"]
            return round(second - at_s, 3)
    return None


def _p99_is_back(row: Row, calm_p99_us: float) -> bool:
    p99_us: float | None = row["p99_us"]
    return p99_us is not None and p99_us <= FACTOR * calm_p99_us
