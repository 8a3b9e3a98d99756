"""The section of one run, and that of several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .numbers import told, whole
from .page import Section, Table
from .pictures import NODES_MAX, of_run, overlaid
from .results import Latency, Result
from .wording import loop_in_words, parameters_in_words, run_in_words, verdicts_on

_MEASURES: Final = ("mean", "p50", "p90", "p99", "p99.9", "max")


def section_of(label: str, result: Result) -> Section:
    """All about one run."""
    return Section(
        title=label,
        says=run_in_words(result),
        notices=verdicts_on(result),
        key=_key(result),
        tables=_tables(result),
        pictures=of_run(result),
        fine_print=_fine_print(result),
    )


def side_by_side(results: Mapping[str, Result]) -> Section:
    """Several runs together."""
    rows = [
        (
            label,
            told(result.requests_per_s, "/s"),
            *(told(value, "us") for value in _values(result.latency_us.all)),
            told(result.hit_ratio, "share"),
            whole(result.errors.total),
            whole(result.skipped),
            "yes" if result.valid and not result.partial else "partial" if result.valid else "no",
        )
        for label, result in results.items()
    ]
    headings = ("", "requests", *_MEASURES, "hit ratio", "errors", "skipped", "valid")
    kinds = {result.loop.kind for result in results.values()}
    mixed = (
        " Open and closed loops stand beside each other here: their latencies do not mean the same."
        if len(kinds) > 1
        else ""
    )
    return Section(
        title="Side by side",
        says=f"{len(results)} runs over one another; latencies of open loops are response times.{mixed}",
        tables=[Table(headings, rows)],
        pictures=overlaid(results),
    )


def _values(latency: Latency) -> Sequence[float | None]:
    return latency.mean, latency.p50, latency.p90, latency.p99, latency.p999, latency.max


def _key(result: Result) -> list[tuple[str, str]]:
    latency = result.latency_us.all
    word = "latency" if result.service_us is None else "response time"
    key = [
        ("requests a second", told(result.requests_per_s)),
        (f"median {word}", told(latency.p50, "us")),
        (f"p99 {word}", told(latency.p99, "us")),
        (f"p99.9 {word}", told(latency.p999, "us")),
        ("longest", told(latency.max, "us")),
    ]
    if result.reads:
        key.append(("hit ratio", told(result.hit_ratio, "share")))
    key.append(("errors", whole(result.errors.total)))
    if result.loop.kind == "open":
        key.append(("skipped", whole(result.skipped)))
    return key


def _tables(result: Result) -> list[Table]:
    if result.service_us is None:
        tables = [Table(("latency", "requests", *_MEASURES), _latency_rows(result.latency_us.named()))]
    else:
        tables = [
            Table(("response time", "requests", *_MEASURES), _latency_rows(result.latency_us.named()), "From when a request was meant to leave."),
            Table(("service time", "requests", *_MEASURES), _latency_rows(result.service_us.named()), "From when it left."),
        ]  # fmt: skip
    if result.errors.by_class:
        errors = [(name, whole(each.count), each.first) for name, each in result.errors.by_class.items()]
        tables.append(Table(("error", "requests", "the first"), errors, words={2}))
    if result.expectations:
        verdicts = [
            (
                each.text,
                told(each.value),
                "holds" if each.holds else "does not hold",
                each.why,
            )
            for each in result.expectations
        ]
        tables.append(
            Table(
                ("expected", "found", "", ""), verdicts, "Found in the unit that the limit is written in.", words={2, 3}
            )
        )
    if result.events:
        events = [
            (f"{each.at_s:.1f} s", each.what, "done" if each.ok else "failed", each.detail)
            for each in sorted(result.events, key=lambda event: event.at_s)
        ]
        tables.append(Table(("at", "event", "", ""), events, words={1, 2, 3}))
    if result.nodes:
        tables.append(_nodes(result))
    return tables


def _latency_rows(latencies: Mapping[str, Latency]) -> list[tuple[str, ...]]:
    return [
        (name, whole(latency.count), *(told(value, "us") for value in _values(latency)))
        for name, latency in latencies.items()
    ]


def _nodes(result: Result) -> Table:
    total = sum(node.requests for node in result.nodes.values())
    rows = [
        (
            node_id,
            whole(node.requests),
            told(node.requests / total if total else None, "share"),
            whole(node.loads),
            node.state,
        )
        for node_id, node in list(result.nodes.items())[:NODES_MAX]
    ]
    caption = f"The first {NODES_MAX} of {len(result.nodes)} nodes." if len(result.nodes) > NODES_MAX else ""
    return Table(("node", "requests", "share", "keys loaded", "state"), rows, caption, words={4})


def _fine_print(result: Result) -> list[tuple[str, str]]:
    generator, loads = result.generator, result.loads
    lag = generator.lag_ms
    told_of = f"computing {told(generator.cpu_share, 'share')} of the time, its loop late by {_ms(lag.p50)} (p99 {_ms(lag.p99)}, max {_ms(lag.max)})"
    if generator.pacing_ms is not None:
        pacing = generator.pacing_ms
        told_of += f"; requests left {_ms(pacing.p50)} late (p99 {_ms(pacing.p99)}, max {_ms(pacing.max)})"
    if generator.intended_rate is not None:
        told_of += f"; {generator.achieved_rate:,.1f} requests/s of {generator.intended_rate:,.1f} that were intended"
    lines = [
        ("loop", loop_in_words(result.loop)),
        ("target", parameters_in_words(result.target)),
        (
            "workload",
            parameters_in_words(result.workload) + (f", seed {result.seed}" if result.seed is not None else ""),
        ),
        ("generator", told_of),
    ]
    if result.reads and result.nodes:
        loaded = f"{'' if loads.loaded_exact else 'at least '}{whole(loads.loaded)} keys loaded by the nodes"
        lines.append(
            (
                "loads",
                f"{loaded}, {'' if loads.distinct_exact else 'at least '}{whole(loads.distinct_keys)} distinct keys read",
            )
        )
    return [*lines, ("started", f"{result.started_at}, by zmcache-loadgen {result.version}")]


def _ms(value: float) -> str:
    return told(value * 1000, "us")
