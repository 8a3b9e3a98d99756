"""The figures of a result (schema 2) by the names that expectations use.

    p50 p90 p99 p99.9 max mean, any other percentile (p95)       a time; of all requests
    hits. misses. writes. all. before one of those               of these requests only
    service. before that                                         in an open loop, from when the request left
    lag. pacing. before p50 p99 max                              a time; how late the generator itself was
    rate achieved_rate                                           requests a second: answered well; all
    hit_ratio error_ratio skipped_ratio cpu_share                shares, 0 to 1
    requests reads errors skipped loads distinct_keys            counts
    checked wrong stale torn                                     counts, with --verify

Times are read in microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from hdrh.histogram import HdrHistogram

Kind = Literal["time", "ratio", "count", "rate"]
Result = Mapping[str, Any]

_MEASURES: Final = ("mean", "p50", "p90", "p99", "p99.9", "max")
_CLASSES: Final = ("all", "hits", "misses", "writes")
_LATENCY: Final = re.compile(r"(service\.)?(?:(all|hits|misses|writes)\.)?(mean|max|p\d{1,2}(?:\.\d{1,4})?)")
_OWN: Final = re.compile(r"(lag|pacing)\.(p50|p99|max)")


class Reading(NamedTuple):
    """What a result says of a metric: nothing, so much, or at least so much."""

    value: float | None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a result. ``empty`` says what it means when it has no value."""

    name: str
    kind: Kind
    read: Callable[[Result], Reading]
    empty: str = "no request came to an end"


def find_metric(name: str) -> Metric | None:
    """The metric of that name, or None."""
    if (plain := _PLAIN.get(name)) is not None:
        return plain
    if (own := _OWN.fullmatch(name)) is not None:
        return _own_metric(name, own[1], own[2])
    if (latency := _LATENCY.fullmatch(name)) is not None:
        return _latency_metric(name, bool(latency[1]), latency[2] or "all", latency[3])
    return None


def metric_names() -> list[str]:
    """What there is; of the latencies, a pattern each."""
    return [
        *_MEASURES,
        *(f"{name}.p99" for name in _CLASSES[1:]),
        "service.p99",
        "service.hits.p99",
        "lag.p99",
        "pacing.p99",
        *_PLAIN,
    ]


def _latency_metric(name: str, service: bool, requests: str, measure: str) -> Metric | None:
    if service and measure not in _MEASURES:
        return None  # the result keeps no histogram of service times

    def read(result: Result) -> Reading:
        latencies = result["service_us" if service else "latency_us"]
        if latencies is None or not latencies[requests]["count"]:
            return Reading(None)
        if measure in _MEASURES:
            return Reading(latencies[requests][measure])
        histogram = HdrHistogram.decode(result["histograms"][requests])
        value_us = histogram.get_value_at_percentile(float(measure[1:])) / 1000
        return Reading(min(value_us, latencies[requests]["max"]))

    empty = "no request came to an end" if requests == "all" else f"there were no {requests}"
    if service:
        empty += ", or the loop was closed: only an open one tells service time from response time"
    return Metric(name, "time", read, empty)


def _own_metric(name: str, figure: str, measure: str) -> Metric:
    def read(result: Result) -> Reading:
        spread = result["generator"][f"{figure}_ms"]
        return Reading(None if spread is None else spread[measure] * 1000)

    return Metric(name, "time", read, "only an open loop has a pace to keep")


def _counted(name: str) -> Metric:
    return Metric(name, "count", lambda result: Reading(result[name]))


def _verified(name: str) -> Metric:
    def read(result: Result) -> Reading:
        return Reading(None if result["verify"] is None else result["verify"][name])

    return Metric(name, "count", read, "nothing was verified (--verify)")


def _errors(result: Result) -> Reading:
    return Reading(result["errors"]["total"])


def _error_ratio(result: Result) -> Reading:
    return Reading(result["errors"]["total"] / result["requests"] if result["requests"] else None)


def _skipped_ratio(result: Result) -> Reading:
    wanted = result["requests"] + result["skipped"]
    return Reading(result["skipped"] / wanted if wanted else None)


def _loads(result: Result) -> Reading:
    if not result["nodes"]:
        return Reading(None)
    return Reading(result["loads"]["loaded"], at_least=not result["loads"]["loaded_exact"])


def _distinct_keys(result: Result) -> Reading:
    return Reading(result["loads"]["distinct_keys"], at_least=not result["loads"]["distinct_exact"])


_PLAIN: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("rate", "rate", lambda result: Reading(result["requests_per_s"])),
        Metric("achieved_rate", "rate", lambda result: Reading(result["generator"]["achieved_rate"])),
        Metric("hit_ratio", "ratio", lambda result: Reading(result["hit_ratio"]), "nothing was read"),
        Metric("error_ratio", "ratio", _error_ratio),
        Metric("skipped_ratio", "ratio", _skipped_ratio, "no request was meant to leave"),
        Metric("cpu_share", "ratio", lambda result: Reading(result["generator"]["cpu_share"])),
        _counted("requests"),
        _counted("reads"),
        Metric("errors", "count", _errors),
        _counted("skipped"),
        Metric("loads", "count", _loads, "the target has no nodes that count them"),
        Metric("distinct_keys", "count", _distinct_keys),
        *map(_verified, ("checked", "wrong", "stale", "torn", "unverified")),
    )
}
