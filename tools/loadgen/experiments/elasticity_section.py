"""The page of ``elasticity``: hit ratio, p99 and queries over time, with what happened marked in each, and what each event cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from ..reporting import Axis, Mark, Notice, Section, Series, Table, lines
from ..reporting.numbers import significant, told, whole
from .base import Record

Phase = Mapping[str, Any]

_MIDDLE_S: Final = 0.5  # a second's figures stand in its middle


def section(record: Record) -> Section:
    """The page of a record."""
    phases: list[Phase] = record["phases"]
    return Section(
        title="Elasticity",
        says=_says(record),
        notices=_notices(record),
        key=[
            ("failed requests", f"{_failed(record):,}"),
            *((f"{_named(phase)}: keys moved", told(phase["moved_share"], "share")) for phase in phases),
            *((f"{_named(phase)}: recovered after", _recovered(phase)) for phase in phases),
        ],
        tables=[_costs(record)],
        pictures=[_hits(record), _latency(record), _queries(record)],
        fine_print=_fine_print(record),
    )


def _says(record: Record) -> str:
    rate, failed = whole(record["rate"]), _failed(record)
    lost = "no request failed" if not failed else f"{failed:,} of {record['run']['requests']:,} requests failed"
    return " ".join(
        [
            f"Under {rate} requests a second {lost} while a node joined and another was killed.",
            *(_told_of(record, phase) for phase in record["phases"]),
        ]
    )


def _told_of(record: Record, phase: Phase) -> str:
    moved = (
        "the ring did not change in the time that was watched"
        if phase["moved_share"] is None
        else f"{told(phase['moved_share'], 'share')} of the keys moved (ideal: {told(phase['ideal_share'], 'share')})"
    )
    calm = record["calm"]
    dip = significant(100 * max(0.0, calm["hit_ratio"] - phase["lowest_hit_ratio"]))
    p99 = f"{told(phase['worst_p99_us'], 'us')} in the worst second ({told(calm['p99_us'], 'us')} in the calm)"
    recovered = (
        f"not recovered within {phase['seconds']} s"
        if phase["recovered_s"] is None
        else f"recovered after {told(phase['recovered_s'], 's')}"
    )
    return (
        f"When {_named(phase)}, {moved}, the hit ratio fell by at most {dip} points, p99 was {p99}, the database had"
        f" {phase['extra_queries']:,} queries more than in the calm; {recovered}."
    )


def _named(phase: Phase) -> str:
    verb, _, node_id = phase["what"].partition(" ")
    return f"{node_id} joined" if verb == "start" else f"{node_id} was killed"


def _recovered(phase: Phase) -> str:
    return _after(phase, "recovered_s")


def _after(phase: Phase, name: str) -> str:
    return f"over {phase['seconds']} s" if phase[name] is None else told(phase[name], "s")


def _failed(record: Record) -> int:
    failed: int = record["run"]["errors"]["total"]
    return failed


def _notices(record: Record) -> list[Notice]:
    run, found = record["run"], []
    if record["database"]["why"]:
        found.append(Notice("warn", record["database"]["name"], record["database"]["why"]))
    if _failed(record):
        kinds = "; ".join(
            f"{name} ({each['count']:,}): {each['first']}" for name, each in run["errors"]["by_class"].items()
        )
        found.append(Notice("bad", "Failed", f"{_failed(record):,} requests. {kinds}"))
    found += [
        Notice("bad", "Did not happen", f"{each['what']}: {each['detail']}")
        for each in record["phases"]
        if not each["ok"]
    ]
    if run["partial"]:
        found.append(Notice("bad", "Partial", f"{run['partial']}."))
    if not run["valid"]:
        found.append(Notice("warn", "The generator's own limit", f"{'; '.join(run['bottlenecks'])}."))
    if run["skipped"]:
        found.append(Notice("warn", "Skipped", f"{run['skipped']:,} requests did not leave: too many were unanswered."))
    return found


def _costs(record: Record) -> Table:
    calm, phases = record["calm"], record["phases"]

    def row(what: str, before: str, *cells: str) -> list[str]:
        return [what, before, *cells]

    shares = [told(phase["moved_share"], "share") for phase in phases]
    ideals = [told(phase["ideal_share"], "share") for phase in phases]
    rows = [
        row("keys that changed their owner", "-", *shares),
        row("the least that had to", "-", *ideals),
        row("the ring knew after", "-", *(told(phase["ring_s"], "s") for phase in phases)),
        row(
            "hit ratio, lowest second",
            told(calm["hit_ratio"], "share"),
            *(told(phase["lowest_hit_ratio"], "share") for phase in phases),
        ),
        row("p99, worst second", told(calm["p99_us"], "us"), *(told(phase["worst_p99_us"], "us") for phase in phases)),
        row("reads not from memory, beyond the calm's", "-", *(f"{phase['extra_misses']:,}" for phase in phases)),
        row(
            "queries at the database, beyond the calm's",
            f"{significant(calm['queries_per_s'])} a second",
            *(f"{phase['extra_queries']:,}" for phase in phases),
        ),
        row("failed requests", f"{calm['failed']:,}", *(f"{phase['failed']:,}" for phase in phases)),
        row("hit ratio back after", "-", *(_after(phase, "hits_back_s") for phase in phases)),
        row("p99 back after", "-", *(_after(phase, "p99_back_s") for phase in phases)),
        row("recovered after", "-", *(_recovered(phase) for phase in phases)),
    ]
    headings = ["", f"calm ({calm['seconds']} s)", *(_named(phase) for phase in phases)]
    return Table(headings, rows, "What each cost, until the next one or the end")


def _hits(record: Record) -> str:
    ratios = [row["hits"] / row["reads"] if row["reads"] else None for row in record["series"]]
    points = [(row["second"] + _MIDDLE_S, ratio) for row, ratio in zip(record["series"], ratios, strict=True)]
    lowest = min((ratio for ratio in ratios if ratio is not None), default=0.0)
    low = max(0.0, math.floor(10 * lowest - 0.001) / 10)
    return _over_time(
        record, "Hit ratio over time", [Series("hit ratio", points)], Axis("hit ratio", "share", low=low, high=1.0)
    )


def _latency(record: Record) -> str:
    rows = record["series"]
    series = [
        Series(name, [(row["second"] + _MIDDLE_S, row[field]) for row in rows])
        for name, field in (("p50", "p50_us"), ("p99", "p99_us"))
    ]
    return _over_time(record, "Response time over time", series, Axis("response time", "us", "log"))


def _queries(record: Record) -> str:
    counts: Sequence[tuple[float, int]] = record["queries"]
    points = [
        ((before_s + after_s) / 2, (after - before) / (after_s - before_s))
        for (before_s, before), (after_s, after) in pairwise(counts)
        if after_s - before_s >= _MIDDLE_S  # less says little about a rate
    ]
    return _over_time(
        record, "Queries that reach the database", [Series("queries", points)], Axis("queries", "a second")
    )


def _over_time(record: Record, title: str, series: Sequence[Series], y: Axis) -> str:
    marks = [Mark(phase["at_s"], phase["what"]) for phase in record["phases"]]
    marks += [Mark(change["at_s"], f"ring of {len(change['members'])}") for change in record["changes"]]
    x = Axis("time since the start", "s", low=0.0, high=float(record["seconds"]))
    return lines(title, series, x=x, y=y, marks=marks)


def _fine_print(record: Record) -> list[tuple[str, str]]:
    calm, run = record["calm"], record["run"]
    load = (
        f"open loop, {whole(record['rate'])} requests a second in even steps, Zipf {record['zipf']} over {record['rows']:,} keys, each sent to"
        f" its owner; times from the intended start. {whole(run['requests'])} requests, p99 {told(run['latency_us']['all']['p99'], 'us')} in all."
    )
    cache = (
        f"{len(record['nodes'])} nodes, every value written before and room for all of them: what is loaded later is the price of a"
        " change, and keys that are seldom asked for are loaded late."
        f" Lease {record['lease_s']:g} s (the default): until it is over the others stand in for a node that died,"
        " and keep what they load for it for a short time only."
    )
    rules = (
        "recovered is when both are back: the hit ratio, after the last second that was more than one point below the calm's mean; p99,"
        " with the first whole second that is within twice the calm's, as is the median of it and the next two. The calm's p99 is the median"
        f" of its seconds; {calm['seconds_over']} of its own {calm['seconds']} seconds were above twice that."
    )
    database = f"{record['database']['name']}; a query is {record['database']['query']}. Counted by {record['database']['counted_by']}."
    return [("load", load), ("cache", cache), ("rules", rules), ("database", database)]
