"""The page of ``scaling``: live clusters and simulated rings, each with what it holds against the ideal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..reporting import Axis, Notice, Section, Series, Table, lines
from ..reporting.numbers import significant, told, whole
from .base import Record

Row = Mapping[str, Any]


def section(record: Record) -> Section:
    """The page of a record."""
    live, crowd, rings = record["live"], record["crowd"], record["rings"]
    return Section(
        title="Scaling",
        says=_says(record),
        notices=_notices(record),
        key=_key(live, rings),
        tables=[_live_table([*live, crowd]), _ring_table(rings)],
        pictures=[
            _hits(live),
            _cost(live, crowd),
            _rate(live, crowd, record["cores"]),
            _moved(rings),
            _fullest(live, rings),
        ],
        fine_print=_fine_print(record),
    )


def _says(record: Record) -> str:
    live, rings = record["live"], record["rings"]
    first, last, crowd, largest = live[0], live[-1], record["crowd"], rings[-1]
    return (
        f"From {_nodes(first)} to {_nodes(last)} of {told(record['node_share'], 'share')} of the keys each, the hit ratio goes from"
        f" {told(first['hit_ratio'], 'share')} to {told(last['hit_ratio'], 'share')}, and a request costs the nodes"
        f" {significant(first['node_cpu_us'])} µs of processor time with {_nodes(first)} and {significant(last['node_cpu_us'])} µs with"
        f" {_nodes(last)}, asked by {first['callers']} callers; asked by as many for each node, {significant(crowd['node_cpu_us'])} µs."
        f" In a ring of {largest['nodes']:,} nodes the fullest owns {significant(largest['fullest'])} times the mean, and"
        f" a node that joins moves {told(largest['joined'], 'share')} of the keys, where {told(1 / (largest['nodes'] + 1), 'share')} is ideal."
    )


def _nodes(row: Row) -> str:
    return "1 node" if row["nodes"] == 1 else f"{row['nodes']:,} nodes"


def _asked(row: Row) -> str:
    return f"{_nodes(row)}, {row['callers']:,} callers"


def _notices(record: Record) -> list[Notice]:
    found = [
        Notice(
            "warn",
            "One machine",
            f"all nodes and the generator share {record['cores']} processors: the rate cannot grow here as it would on machines of their own.",
        )
    ]
    live = [*record["live"], record["crowd"]]
    failed = sum(row["failed"] for row in live)
    if failed:
        found.append(Notice("bad", "Not all were answered", f"{failed:,} requests failed."))
    limited = [row for row in live if not row["valid"]]
    if limited:
        reasons = "; ".join(dict.fromkeys(reason for row in limited for reason in row["bottlenecks"]))
        found.append(
            Notice(
                "warn",
                "The generator's own limit",
                f"with {', '.join(map(_asked, limited))} (* in the table): {reasons}.",
            )
        )
    return found


def _key(live: Sequence[Row], rings: Sequence[Row]) -> list[tuple[str, str]]:
    return [
        *((f"hits with {_nodes(row)}", told(row["hit_ratio"], "share")) for row in (live[0], live[-1])),
        *(
            (
                f"a join moves, {_nodes(row)} (ideal {told(1 / (row['nodes'] + 1), 'share')})",
                told(row["joined"], "share"),
            )
            for row in rings
        ),
    ]


def _live_table(live: Sequence[Row]) -> Table:
    rows = [
        [
            _asked(row),
            whole(row["requests_per_s"]) + ("" if row["valid"] else " *"),
            told(row["hit_ratio"], "share"),
            f"{row['fullest']:.2f}",
            told(row["p50_us"], "us"),
            told(row["p99_us"], "us"),
            told(row["node_cpu_us"], "us"),
            f"{told(min(row['costs_us']), 'us')} to {told(max(row['costs_us']), 'us')}",
            told(row["generator_cpu_us"], "us"),
            whole(row["connections"]),
        ]
        for row in live
    ]
    headings = [
        "",
        "requests a second",
        "hits",
        "fullest / mean",
        "p50",
        "p99",
        "nodes' CPU a request",
        "rounds",
        "generator's",
        "connections",
    ]
    return Table(headings, rows, "Live, one process a node, closed loop (* the generator was the limit)")


def _ring_table(rings: Sequence[Row]) -> Table:
    rows = [
        [
            _nodes(row),
            f"{row['fullest']:.3f}",
            f"{row['fullest_asked']:.3f}",
            told(row["joined"], "share"),
            told(1 / (row["nodes"] + 1), "share"),
            told(row["left"], "share"),
            told(1 / row["nodes"], "share"),
            told(row["build_s"] * 1e6, "us"),
            told(row["join_s"] * 1e6, "us"),
            whole(row["connections"]),
        ]
        for row in rings
    ]
    headings = [
        "", "fullest / mean, keys", "of requests", "moved by a join", "ideal", "moved by a leave", "ideal", "built in", "a join in",
        "opens at most, connections",
    ]  # fmt: skip
    return Table(headings, rows, "Simulated on the product's ring")


def _hits(live: Sequence[Row]) -> str:
    series = [Series("hits", [(row["nodes"], row["hit_ratio"]) for row in live])]
    return lines(
        "Hit ratio by the number of nodes, each with the same memory",
        series,
        x=Axis("nodes", kind="log"),
        y=Axis("hits", "share", low=0.0, high=1.0),
    )


def _cost(live: Sequence[Row], crowd: Row) -> str:
    first, last = live[0], live[-1]
    each = f"the nodes, {first['callers']} callers for each node"
    series = [
        Series(f"the nodes, {first['callers']} callers in all", [(row["nodes"], row["node_cpu_us"]) for row in live]),
        Series(each, [(row["nodes"], row["node_cpu_us"]) for row in (first, crowd)]),
        Series("the client and the generator", [(row["nodes"], row["generator_cpu_us"]) for row in live], dashed=True),
    ]
    return lines(
        "Processor time of a request by the number of nodes",
        series,
        x=Axis("nodes", kind="log"),
        y=Axis("processor time a request", "us", low=0.0),
        says=f"{_asked(last)}: {told(last['node_cpu_us'], 'us')}; {_asked(crowd)}: {told(crowd['node_cpu_us'], 'us')}."
        " What the callers of one moment ask a node goes in one message, so fewer callers for each node make smaller batches.",
    )


def _rate(live: Sequence[Row], crowd: Row, cores: int) -> str:
    series = [
        Series(f"{live[0]['callers']} callers in all", [(row["nodes"], row["requests_per_s"]) for row in live]),
        Series(
            f"{live[0]['callers']} callers for each node",
            [(row["nodes"], row["requests_per_s"]) for row in (live[0], crowd)],
        ),
    ]
    return lines(
        "Requests a second by the number of nodes, all on one machine",
        series,
        x=Axis("nodes", kind="log"),
        y=Axis("requests", "a second", low=0.0),
        says=f"The nodes and the generator share {cores} processors: this is no picture of what machines of their own would answer.",
    )


def _moved(rings: Sequence[Row]) -> str:
    series = [
        Series("by a join", [(row["nodes"], row["joined"]) for row in rings]),
        Series("by a leave", [(row["nodes"], row["left"]) for row in rings]),
        Series("ideal, 1/N", [(row["nodes"], 1 / row["nodes"]) for row in rings], dashed=True),
    ]
    return lines(
        "Keys that change owners by the number of nodes",
        series,
        x=Axis("nodes", kind="log"),
        y=Axis("keys moved", "share", kind="log"),
    )


def _fullest(live: Sequence[Row], rings: Sequence[Row]) -> str:
    series = [
        Series("share of the keys", [(row["nodes"], row["fullest"]) for row in rings]),
        Series("requests, Zipf, simulated", [(row["nodes"], row["fullest_asked"]) for row in rings], dashed=True),
        Series("requests, Zipf, live", [(row["nodes"], row["fullest"]) for row in live]),
    ]
    return lines(
        "The fullest node in times of the mean",
        series,
        x=Axis("nodes", kind="log"),
        y=Axis("fullest / mean", low=1.0, kind="log"),
        says="One key that everybody wants is one node's to answer, however many nodes there are: that is what hot copies are for.",
    )


def _fine_print(record: Record) -> list[tuple[str, str]]:
    return [
        (
            "live",
            f"{record['callers']} callers of one client (and in the last row as many for each node), Zipf"
            f" {record['exponent']:g} over {record['keys']:,} keys; each node holds"
            f" {told(record['node_share'], 'share')} of them. All were written before, and a warm-up followed. Of"
            f" {record['rounds']} {'round' if record['rounds'] == 1 else 'rounds'} of {record['seconds_each']:g} s the one with the"
            " median cost is shown, and how far the costs lay apart.",
        ),
        (
            "simulated",
            f"{record['ring_keys']:,} keys looked up in the ring before and after. A node opens a connection to"
            " another when it first needs it, so at most one to each; clients that ask the owners leave the nodes little to ask each other.",
        ),
    ]
