"""The page of ``database-load``: queries a second over time with and without the cache, and the queries of a stampede."""

from __future__ import annotations

from ..reporting import Axis, Bars, Notice, Section, Series, Table, bars, lines
from ..reporting.numbers import told, whole
from .base import Record
from .database_page import compared, fine_print, notices


def section(record: Record) -> Section:
    """The page of a record."""
    runs, stampede = record["runs"], record["stampede"]
    called = _called(record)
    return Section(
        title="Database load",
        says=_says(record),
        notices=[
            *notices(record["database"], {called[name]: each for name, each in runs.items()}),
            *_failures(record),
        ],
        key=[
            ("queries/s, database alone", told(runs["alone"]["queries_per_s"])),
            ("queries/s, with the cache", told(runs["cached"]["queries_per_s"])),
            (f"queries/s, with the cache and {record['more']} times the traffic", told(runs["more"]["queries_per_s"])),
            ("queries of a stampede without coalescing", whole(stampede["aside"]["queries"])),
            ("queries of a stampede with the cache", whole(stampede["cached"]["queries"])),
        ],
        tables=[_traffic(record), _stampede(record)],
        pictures=[_over_time(record), _stampede_picture(record)],
        fine_print=[*_how(record), *fine_print(record["database"])],
    )


def _called(record: Record) -> dict[str, str]:
    return {
        "alone": "database alone",
        "cached": "with the cache",
        "more": f"with the cache, {record['more']} times the traffic",
    }


def _says(record: Record) -> str:
    runs, stampede = record["runs"], record["stampede"]
    alone, cached, more = (runs[name]["queries_per_s"] for name in ("alone", "cached", "more"))
    times = (told(stampede[name]["seconds"] * 1e6, "us") for name in ("cached", "aside"))
    return (
        f"The same {told(runs['alone']['rate'])} requests a second made {told(alone)} queries a second at the database alone,"
        f" and {told(cached)} with the cache before it ({_of(cached, alone)}); {record['more']} times the traffic with the cache made"
        f" {told(more)} ({_of(more, alone)}). When {whole(stampede['callers'])} callers wanted one cold item at once, it took"
        f" {_queries(stampede['cached'])} and {next(times)} with the cache, and {_queries(stampede['aside'])} and {next(times)} without"
        " coalescing."
    )


def _of(part: float, whole_: float) -> str:
    """How much of what the database alone had: it may be more."""
    return f"{told(part / whole_, 'share')} of that" if whole_ else "where there was none"


def _queries(stampede: Record) -> str:
    count = stampede["queries"]
    return f"{whole(count)} {'query' if count == 1 else 'queries'}"


def _failures(record: Record) -> list[Notice]:
    found = []
    for name, label in (("cached", "with the cache"), ("aside", "without coalescing")):
        one = record["stampede"][name]
        if one["failed"]:
            text = f"stampede {label}: {whole(one['failed'])} callers failed, the first with {one['first_failure']}."
            found.append(Notice("bad", "Errors.", text))
    return found


def _traffic(record: Record) -> Table:
    rows = []
    for name, label in _called(record).items():
        run = record["runs"][name]
        ratio = compared(run["requests"], run["queries"])
        rows.append(
            [
                label,
                told(run["requests_per_s"]),
                told(run["queries_per_s"]),
                whole(run["requests"]),
                whole(run["queries"]),
                told(ratio),
                told(run["hit_ratio"], "share"),
            ]
        )
    headings = ["", "requests/s", "queries/s", "requests", "queries", "requests for one query", "hit ratio"]
    return Table(headings, rows, "The traffic")


def _stampede(record: Record) -> Table:
    stampede = record["stampede"]
    rows = [
        [
            label,
            whole(stampede["callers"]),
            whole(one["queries"]),
            told(one["seconds"] * 1e6, "us"),
            whole(one["failed"]),
        ]
        for label, one in (
            ("with the cache", stampede["cached"]),
            ("without coalescing (look, query, store)", stampede["aside"]),
        )
    ]
    return Table(
        ["", "callers", "queries", "until all were answered", "failed"],
        rows,
        "A stampede on one item that is not in the cache",
    )


def _over_time(record: Record) -> str:
    series = [
        Series(label, [(at_s, count) for at_s, count in record["runs"][name]["over_time"]], dashed=name == "alone")
        for name, label in _called(record).items()
    ]
    return lines(
        "Queries that reach the database",
        series,
        x=Axis("time since the start", "s", low=0.0),
        y=Axis("queries", "a second"),
        says=f"The cache begins empty; what it loads lives for {told(record['ttl_s'], 's')}.",
    )


def _stampede_picture(record: Record) -> str:
    stampede = record["stampede"]
    return bars(
        f"Queries when {whole(stampede['callers'])} callers want one cold item at once (log scale)",
        ["without coalescing", "with the cache"],
        [Bars("queries", [stampede["aside"]["queries"], stampede["cached"]["queries"]])],
        kind="log",
    )


def _how(record: Record) -> list[tuple[str, str]]:
    bears = record["bears"]
    return [
        (
            "traffic",
            f"Open loop, arrivals at random, {told(record['seconds_each'], 's')} each, {record['keys']:,} items by Zipf"
            f" {record['exponent']}, lives of {told(record['ttl_s'], 's')}. At the first rate the database alone is busy for about"
            f" {told(bears['busy_share'], 'share')} of the time: a query that comes alone takes {told(bears['query_ms'] * 1e3, 'us')}."
            " Each run with the cache begins with none of the items in it.",
        ),
        (
            "stampede",
            f"With the cache the callers come by {record['stampede']['cached']['ways']} clients that know one node each; without, all"
            " come to one application that looks into its dict, queries, and stores. Each answer was compared with what is in the database.",
        ),
    ]
