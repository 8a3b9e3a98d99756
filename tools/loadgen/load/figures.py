"""What a run amounts to, as JSON: schema 2. Tables, thresholds, comparisons and pages read this and nothing else.

Times are in microseconds in what is about requests, in milliseconds in what is about the generator. In an open loop
``latency_us`` is the response time, from the intended start, and ``service_us`` the service time, from the actual one.
``histograms`` are HdrHistograms of nanoseconds, as hdrhistogram encodes them. docs/loadgen-result.schema.json describes
every field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from .measurement import Row, Seen
from .plan import Plan
from .recorder import CLASSES, HITS, MISSES, READS, STEPS_PER_US, Counted, Outcome, histogram, merged
from .selfcheck import SelfCheck, bottlenecks, spread
from .tally import NodeTally

SCHEMA: Final = 2
Figures = dict[str, Any]

_TIERS: Final[tuple[Outcome, ...]] = ("hot", "owner", "load", "found", "absent")
_POINTS_PER_HALVING: Final = 4
_HALVINGS: Final = 20  # to 99.9999 %


def figures(
    plan: Plan,
    seen: Seen,
    checks: Sequence[SelfCheck],
    *,
    target: Mapping[str, str],
    nodes: NodeTally,
    started_at: datetime,
    events: Sequence[Mapping[str, object]] = (),
) -> Figures:
    """Everything that is reported of a run, but for its expectations."""
    intended = asdict(plan.loop).get("rate")
    achieved = sum(counted.number for counted in seen.responses.values()) / seen.seconds
    limits = bottlenecks(checks, intended_rate=intended, achieved_rate=achieved, skipped=seen.skipped)
    return {
        "schema": SCHEMA,
        "tool": "zmcache-loadgen",
        "version": version("zmcache"),
        "started_at": started_at.astimezone(UTC).isoformat(timespec="seconds"),
        "partial": seen.partial,
        "valid": not limits,
        "bottlenecks": limits,
        **_planned(plan, target),
        **_requests(seen),
        "events": [dict(event) for event in events],
        "generator": _generator(checks, intended, achieved),
        "verify": seen.verified,
        "loads": _loads(seen, nodes),
        "nodes": {node_id: share._asdict() for node_id, share in nodes.shares().items()},
        "expectations": [],
        "histograms": {
            name: histogram(merged(seen.responses[outcome] for outcome in members)).encode().decode()
            for name, members in CLASSES.items()
        },
    }


def _planned(plan: Plan, target: Mapping[str, str]) -> Figures:
    """What was to be asked, how, and of whom."""
    loop = asdict(plan.loop)
    return {
        "loop": {"kind": "open" if "rate" in loop else "closed", **loop},
        "workers": plan.workers,
        "seed": plan.workload.seed,
        "target": dict(target),
        "workload": dict(plan.workload.description),
        "warmup_s": plan.warmup_s,
    }


def _requests(seen: Seen) -> Figures:
    """How many there were, how they ended, and how long they took."""
    outcomes, services = seen.responses, seen.services
    counts = {outcome: counted.number for outcome, counted in outcomes.items()}
    requests, failed = sum(counts.values()), counts["failed"]
    reads = sum(counts[outcome] for outcome in READS)
    return {
        "seconds": round(seen.seconds, 6),
        "requests": requests,
        "reads": reads,
        "requests_per_s": round((requests - failed) / seen.seconds, 1),
        "skipped": seen.skipped,
        "errors": {
            "total": failed,
            "by_class": {
                name: {"count": count, "first": seen.first_errors[name]} for name, count in seen.errors.items()
            },
        },
        "latency_us": _latencies(outcomes),
        "service_us": None if services is None else _latencies(services),
        "tiers": {tier: counts[tier] for tier in _TIERS},
        "hit_ratio": round(sum(counts[outcome] for outcome in HITS) / reads, 6) if reads else None,
        "percentiles": {
            name: _percentiles(merged(outcomes[outcome] for outcome in CLASSES[name]))
            for name in ("all", "hits", "misses")
        }
        | {"service": [] if services is None else _percentiles(merged(services.values()))},
        "series": [series_row(row) for row in seen.rows],
    }


def _loads(seen: Seen, nodes: NodeTally) -> Figures:
    """How many loads the nodes tell of, beside the keys that were asked for."""
    return {
        "loaded": sum(share.loads for share in nodes.shares().values()),
        "loaded_exact": nodes.exact,
        "distinct_keys": seen.keys.number,
        "distinct_exact": seen.keys.exact,
    }


def _latencies(outcomes: Mapping[Outcome, Counted]) -> dict[str, Figures]:
    return {name: _latency(merged(outcomes[outcome] for outcome in members)) for name, members in CLASSES.items()}


def _latency(counted: Counted) -> Figures:
    if not counted.number:
        return {"count": 0, **dict.fromkeys(("mean", "p50", "p90", "p99", "p99.9", "max"))}
    longest_us = counted.longest / STEPS_PER_US
    at = histogram(counted).get_percentile_to_value_dict([50.0, 90.0, 99.0, 99.9])
    # A percentile is the upper end of its place in the histogram, which may lie above the longest that was seen.
    p50, p90, p99, p999 = (round(min(at[percentile] / 1000, longest_us), 1) for percentile in (50.0, 90.0, 99.0, 99.9))
    return {
        "count": counted.number,
        "mean": round(counted.total / counted.number / STEPS_PER_US, 1),
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "p99.9": p999,
        "max": round(longest_us, 1),
    }


def _percentiles(counted: Counted) -> list[list[float]]:
    """(percentile, microseconds), closer together towards the tail; no further than there are samples for."""
    if not counted.number:
        return []
    wanted = [0.0]
    for step in range(1, _HALVINGS * _POINTS_PER_HALVING + 1):
        rest = 2.0 ** (-step / _POINTS_PER_HALVING)
        if rest * counted.number < 1:
            break
        wanted.append(100 * (1 - rest))
    at = histogram(counted).get_percentile_to_value_dict(wanted)
    longest_us = counted.longest / STEPS_PER_US
    points = [[round(percentile, 6), round(min(at[percentile] / 1000, longest_us), 1)] for percentile in wanted]
    return [*points, [100.0, round(longest_us, 1)]]


def series_row(row: Row) -> Figures:
    """One second, as it stands in the result."""
    counts = row.seen.counts
    return {
        "second": row.second,
        "requests": sum(counts.values()),
        "reads": sum(counts.get(outcome, 0) for outcome in READS),
        "hits": sum(counts.get(outcome, 0) for outcome in HITS),
        "errors": counts.get("failed", 0),
        "skipped": row.skipped,
        "loads": counts.get("load", 0),
        "absent": sum(counts.get(outcome, 0) for outcome in MISSES) - counts.get("load", 0),
        "p50_us": _rounded(row.seen.p50_us),
        "p99_us": _rounded(row.seen.p99_us),
        "max_us": _rounded(row.seen.max_us),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _generator(checks: Sequence[SelfCheck], intended: float | None, achieved: float) -> Figures:
    """Of several processes the busiest and the latest: one that was slow is enough to spoil the figures."""
    pacing = [check.pacing_ms for check in checks if check.pacing_ms is not None]
    return {
        "cpu_share": round(max(check.cpu_s / check.seconds for check in checks), 3),
        "lag_ms": _spread([check.lag_ms for check in checks]),
        "pacing_ms": _spread(pacing) if pacing else None,
        "intended_rate": intended,
        "achieved_rate": round(achieved, 1),
    }


def _spread(parts: Sequence[Sequence[float]]) -> Figures:
    worst = [spread(part) for part in parts]
    return {name: round(max(getattr(each, name) for each in worst), 3) for name in ("p50", "p99", "max")}
