"""The pictures of one run, and of several over one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .numbers import told, whole
from .results import Points, Result, Second
from .svg import Axis, Bars, Mark, Series, bars, lines
from .wording import TIERS

_LATENCY: Final = Axis("latency", "us", "log")
_PERCENTILE: Final = Axis("percentile (each step to the right: ten times rarer)", "tail", "log", low=1.0)
_MIDDLE_S: Final = 0.5  # a second's figures stand in its middle: what happened within it is not drawn behind them
_SHORTEST_SHARE: Final = 0.25  # of a second: what came in less says little about a rate
NODES_MAX: Final = 40  # more bars than that are read in no picture


def of_run(result: Result) -> list[str]:
    """All that one run has to show."""
    pictures = [by_percentile(result)]
    if result.series:
        pictures.append(latency_over_time(result))
        if result.seconds >= _SHORTEST_SHARE:
            pictures.append(rate_over_time(result))
        if result.reads:
            pictures.append(hits_over_time(result))
    if result.reads:
        pictures.append(by_tier(result))
    if result.nodes:
        pictures.append(by_node(result))
    return pictures


def by_percentile(result: Result) -> str:
    """Latency by percentile; in an open loop response and service time apart."""
    is_open = result.service_us is not None
    kinds = {
        "response time, from the intended start" if is_open else "all requests": (
            result.percentiles.all,
            result.latency_us.all,
        ),
        "of hits": (result.percentiles.hits, result.latency_us.hits),
        "of misses": (result.percentiles.misses, result.latency_us.misses),
    }
    series = [Series(label, tail(points, latency.count)) for label, (points, latency) in kinds.items() if points]
    if result.service_us is not None:
        points = tail(result.percentiles.service, result.service_us.all.count)
        series.insert(1, Series("service time, from the actual start", points, dashed=True))
    says = (
        "Response time counts from when a request was meant to leave, service time from when it left: what lies between is waiting."
        if is_open
        else "A closed loop asks again only when it was answered: waiting that a stall would cause is not in these figures."
    )
    return lines("Latency by percentile", series, x=_PERCENTILE, y=_LATENCY, says=says)


def latency_over_time(result: Result) -> str:
    """Median, 99th percentile and maximum, second by second."""
    rows = result.series
    series = [
        Series("p50", [(row.second + _MIDDLE_S, row.p50_us) for row in rows]),
        Series("p99", [(row.second + _MIDDLE_S, row.p99_us) for row in rows]),
        Series("max", [(row.second + _MIDDLE_S, row.max_us) for row in rows]),
    ]
    return lines("Latency over time", series, x=_time(result), y=_LATENCY, marks=_marks(result))


def rate_over_time(result: Result) -> str:
    """Requests a second, with what was loaded, failed or skipped of them."""
    kinds = {
        "answered or failed": _rates(result, [row.requests for row in result.series]),
        "loaded from the source": _rates(result, [row.loads for row in result.series]),
        "failed": _rates(result, [row.errors for row in result.series]),
        "skipped": _rates(result, [row.skipped for row in result.series]),
    }
    series = [
        Series(label, points)
        for index, (label, points) in enumerate(kinds.items())
        if not index or any(rate for _, rate in points)
    ]
    if result.loop.rate:
        ends = [(0.0, result.loop.rate), (_end_s(result), result.loop.rate)]
        series.append(Series("intended", ends, dashed=True))
    return lines("Rate over time", series, x=_time(result), y=Axis("requests", "a second"), marks=_marks(result))


def hits_over_time(result: Result) -> str:
    """The hit ratio, second by second."""
    points = [(row.second + _MIDDLE_S, row.hits / row.reads if row.reads else None) for row in result.series]
    ratio = Axis("hit ratio", "share", low=0.0, high=1.0)
    return lines("Hit ratio over time", [Series("hit ratio", points)], x=_time(result), y=ratio, marks=_marks(result))


def by_tier(result: Result) -> str:
    """Where the answers came from."""
    always = ("owner", "load", "absent") if result.nodes else ("absent",)  # not every target has tiers
    shown = {tier: count for tier, count in result.tiers.items() if count or tier in always}
    labels = [TIERS.get(tier, tier) for tier in shown]
    ratio = told(result.hit_ratio, "share")
    says = f"{whole(result.reads)} reads were answered; hit ratio {ratio}."
    return bars("Reads by where the answer came from", labels, [Bars("reads", list(shown.values()))], says=says)


def by_node(result: Result) -> str:
    """What each node counted; the busiest where they are many."""
    busiest = sorted(result.nodes.items(), key=lambda item: -item[1].requests)[:NODES_MAX]
    shown = dict(sorted(busiest))
    labels = [node_id if node.state == "stayed" else f"{node_id} ({node.state})" for node_id, node in shown.items()]
    series = [
        Bars("requests", [node.requests for node in shown.values()]),
        Bars("keys loaded", [node.loads for node in shown.values()]),
    ]
    mean = sum(node.requests for node in result.nodes.values()) / len(result.nodes)
    most = max(node.requests for node in result.nodes.values())
    says = f"The busiest has {most / mean:.2f} of the mean." if mean and len(result.nodes) > 1 else ""
    if len(result.nodes) > NODES_MAX:
        says = f"The {NODES_MAX} busiest of {len(result.nodes)} nodes. {says}"
    return bars("Requests per node", labels, series, says=says)


def overlaid(results: Mapping[str, Result]) -> list[str]:
    """Several runs over one another, by their labels."""
    percentiles = [
        Series(label, tail(result.percentiles.all, result.latency_us.all.count)) for label, result in results.items()
    ]
    slowest = [
        Series(label, [(row.second + _MIDDLE_S, row.p99_us) for row in result.series])
        for label, result in results.items()
    ]
    rates = [
        Series(label, _rates(result, [row.requests for row in result.series])) for label, result in results.items()
    ]
    return [
        lines("Latency by percentile", percentiles, x=_PERCENTILE, y=_LATENCY),
        bars(
            "Requests a second", list(results), [Bars("rate", [result.requests_per_s for result in results.values()])]
        ),
        lines("99th percentile over time", slowest, x=_time(*results.values()), y=_LATENCY),
        lines("Rate over time", rates, x=_time(*results.values()), y=Axis("requests", "a second")),
    ]


def tail(points: Points, count: int) -> list[tuple[float, float | None]]:
    """(1/(1-p), microseconds), on which a log axis gives each nine of a percentile the same room.

    The maximum has no such place of its own: it is drawn as the worst of ``count``.
    """
    placed = [(100.0 / (100.0 - percentile), latency) for percentile, latency in points if percentile < 100.0]
    furthest = max([float(count), *(where for where, _ in placed)])
    return [*placed, *((furthest, latency) for percentile, latency in points if percentile >= 100.0)]


def _rates(result: Result, counts: Sequence[int]) -> list[tuple[float, float | None]]:
    """Counts of seconds as a rate: the last second may be a part of one, and one too short for a rate is left out."""
    return [
        (row.second + _MIDDLE_S, count / share)
        for row, count in zip(result.series, counts, strict=True)
        if (share := _share_of_second(result, row)) >= _SHORTEST_SHARE
    ]


def _time(*results: Result) -> Axis:
    return Axis("time since the start", "s", low=0.0, high=max(map(_end_s, results)))


def _end_s(result: Result) -> float:
    return max(
        result.seconds,
        *(row.second + _MIDDLE_S for row in result.series),
        *(event.at_s for event in result.events),
        1.0,
    )


def _share_of_second(result: Result, row: Second) -> float:
    return min(1.0, result.seconds - row.second)


def _marks(result: Result) -> list[Mark]:
    return [Mark(event.at_s, event.what if event.ok else f"{event.what} (failed)") for event in result.events]
