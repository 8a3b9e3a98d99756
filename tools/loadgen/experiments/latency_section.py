"""The page of ``latency``: the time to show an item by percentile, a line for each place that it can come from."""

from __future__ import annotations

from typing import Final

from ..reporting import Axis, Section, Series, Table, lines
from ..reporting.numbers import told, whole
from ..reporting.pictures import tail
from .base import Record
from .database_page import compared, faster, fine_print, notices

RUNS: Final = {
    "database": "database alone",
    "owner": "with the cache",
    "any": "with the cache by way of one node",
}
_TIERS: Final = (
    ("database", "load", "database alone"),
    ("owner", "load", "miss: the owner loads it"),
    ("owner", "owner", "hit at the owner"),
    ("any", "load", "by way of one node: miss"),
    ("any", "owner", "by way of one node: hit at the owner"),
    ("any", "hot", "by way of one node: hit in a hot copy"),
)
_NOT_DRAWN: Final = ("any", "load"), ("any", "owner")  # six lines are too many for one picture
_TIMES: Final = ("mean", "p50", "p99", "p99.9")
_RATIOS: Final = ("p50", "p99")


def section(record: Record) -> Section:
    """The page of a record."""
    alone, hit, miss = (
        _median(record, "database", "load"),
        _median(record, "owner", "owner"),
        _median(record, "owner", "load"),
    )
    key = [("p50, database alone", told(alone, "us")), ("p50, hit at the owner", told(hit, "us"))]
    if (hot := _median(record, "any", "hot")) is not None:
        key.append(("p50, hit in a hot copy", told(hot, "us")))
    key.append(("p50, miss", told(miss, "us")))
    key.append(("database alone / hit", told(compared(alone, hit))))
    return Section(
        title="Latency",
        says=_says(record),
        notices=notices(record["database"], {RUNS[name]: each for name, each in record["runs"].items()}),
        key=key,
        tables=[_tiers(record), _responses(record)],
        pictures=[_picture(record)],
        fine_print=[*_how(record), *fine_print(record["database"])],
    )


def _tier(record: Record, run: str, tier: str) -> Record | None:
    found: Record | None = record["runs"][run]["tiers"].get(tier)
    return found


def _median(record: Record, run: str, tier: str) -> float | None:
    """None where there were no such pages, or too few."""
    found = _tier(record, run, tier)
    return None if found is None else found["p50"]


def _says(record: Record) -> str:
    alone = _median(record, "database", "load")
    text = f"The median page took {told(alone, 'us')} from the database alone"
    for tier, what in (("owner", "when the cache had it"), ("load", "when the cache had to load it first")):
        found = _median(record, "owner", tier)
        if found is None:
            text += f"; {what} too seldom to tell"
        else:
            text += f"; {told(found, 'us')} {what} ({faster(alone, found)})"
    without, having = (record["runs"][name]["response_us"] for name in ("database", "owner"))
    hits = record["runs"]["owner"]["hit_ratio"]
    text += f". The cache began empty and had {told(hits, 'share')} of the pages; over all of them the response was"
    # Not the mean: a few stalls of a machine that others share, of 300 ms each, outweigh thousands of pages.
    each = [
        f"at its {name} {told(without[name], 'us')} without it and {told(having[name], 'us')} with it ({faster(without[name], having[name])})"
        for name in ("p50", "p99")
        if without[name] is not None and having[name] is not None
    ]
    return f"{text} {', '.join(each) or 'too seldom to tell'}."


def _tiers(record: Record) -> Table:
    alone = _tier(record, "database", "load") or {}
    rows = []
    for run, tier, label in _TIERS:
        if (found := _tier(record, run, tier)) is not None:
            times = [told(found[name], "us") for name in _TIMES]
            ratios = [told(compared(alone.get(name), found[name])) for name in _RATIOS]
            rows.append([label, whole(found["count"]), *times, *ratios])
    headings = ["item from", "pages", *_TIMES, *(f"{name} ratio" for name in _RATIOS)]
    return Table(headings, rows, "Time in the application; ratio: how often it fits into that of the database alone")


def _responses(record: Record) -> Table:
    rows = []
    for name, label in RUNS.items():
        run = record["runs"][name]
        times = [told(run["response_us"][each], "us") for each in _TIMES]
        rows.append([label, *times, told(run["hit_ratio"], "share"), whole(run["requests"]), whole(run["queries"])])
    headings = ["all pages", *_TIMES, "hit ratio", "pages", "queries at the database"]
    return Table(headings, rows, "Response time of all pages, from when each was meant to be asked for")


def _picture(record: Record) -> str:
    series = [
        Series(label, tail(found["points"], found["count"]), dashed=run == "database")
        for run, tier, label in _TIERS
        if (run, tier) not in _NOT_DRAWN and (found := _tier(record, run, tier)) is not None
    ]
    return lines(
        "Time to show an item, by percentile",
        series,
        x=Axis("percentile (each step to the right: ten times rarer)", "tail", "log", low=1.0),
        y=Axis("time in the application", "us", "log"),
    )


def _how(record: Record) -> list[tuple[str, str]]:
    bears, rounds = record["bears"], record["rounds"]
    return [
        (
            "how",
            f"The same {told(record['rate'])} requests a second for each, open loop, arrivals at random, in {rounds}"
            f" {'round' if rounds == 1 else 'rounds'} of {told(record['seconds_each'], 's')} in turns; {record['keys']:,} items by"
            f" Zipf {record['exponent']}. At this rate the database alone is busy for about {told(bears['busy_share'], 'share')}"
            f" of the time: a query that comes alone takes {told(bears['query_ms'] * 1e3, 'us')}."
            " Each item was compared with what is in the database. A dash: too few pages to tell.",
        ),
        (
            "cache",
            "Three nodes that load by the same query, and ask a connection first whether it is alive. Nothing expires; the cache"
            " begins with none of the items, and all connections were made before.",
        ),
    ]
