"""The page of ``hit-rate``: for each stream the hit ratio over the cache's size, and the best there can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..reporting import Axis, Notice, Section, Series, Table, lines
from ..reporting.numbers import told, whole
from .base import Record

_AGREED: Final = 0.01  # a point: callers of a node overlap, so its order of reads is not exactly the simulated one
_TENTH: Final = 0.1

Stream = Mapping[str, Any]


def section(record: Record) -> Section:
    """The page of a record."""
    streams: list[Stream] = record["streams"]
    return Section(
        title="Hit ratio",
        says=_says(record),
        notices=_notices(record),
        key=[(f"{each['name']}, a tenth of the keys", told(_at(each)["hit_ratio"], "share")) for each in streams],
        tables=[_table(streams, record["policy"])],
        pictures=[_picture(each, record["policy"]) for each in streams],
        fine_print=_fine_print(record),
    )


def _at(stream: Stream, share: float = _TENTH) -> Mapping[str, Any]:
    """The point whose size is nearest to that share of the keys."""
    points: Sequence[Mapping[str, Any]] = stream["points"]
    return min(points, key=lambda point: abs(point["items"] / stream["distinct"] - share))


def _says(record: Record) -> str:
    told_of = []
    for stream in record["streams"]:
        point = _at(stream)
        told_of.append(
            f"{told(point['hit_ratio'], 'share')} of {stream['name']} (of at most {told(point['best'], 'share')})"
        )
    live = record["live"]
    return (
        f"A cache that holds about a tenth of the keys answers {', '.join(told_of)} from memory, from an empty start."
        f" A real node had {told(live['hit_ratio'], 'share')} where the simulation says {told(live['simulated'], 'share')}."
    )


def _notices(record: Record) -> list[Notice]:
    found = []
    live = record["live"]
    if abs(live["hit_ratio"] - live["simulated"]) > _AGREED or live["failed"]:
        found.append(
            Notice(
                "bad",
                "The node and the simulation differ",
                f"by more than a point, or {live['failed']:,} reads failed: do not believe the pictures before it is known why.",
            )
        )
    if len(record["streams"]) == sum(stream["name"].startswith("Zipf ") for stream in record["streams"]):
        found.append(
            Notice(
                "warn", "No trace", "drawn streams only. Give recorded ones with --trace FILE, as often as you like."
            )
        )
    return found


def _table(streams: Sequence[Stream], policy: str) -> Table:
    """A row for each stream, a column for each size; sizes are the same shares of each stream's keys."""
    rows = []
    for stream in streams:
        ratios = [
            f"{told(point['hit_ratio'], 'share')} of {told(point['best'], 'share')}" for point in stream["points"]
        ]
        rows.append([stream["name"], whole(stream["distinct"]), *ratios])
    longest = max(streams, key=lambda stream: len(stream["points"]))
    shares = [told(_rounded(point["items"] / longest["distinct"]), "share") for point in longest["points"]]
    width = len(shares) + 2
    rows = [[*row, *["-"] * (width - len(row))] for row in rows]
    return Table(
        ["", "keys", *shares], rows, f"Hit ratio with {policy}, of the best possible, by the share of the keys that fit"
    )


def _rounded(share: float) -> float:
    """One significant digit: the sizes are whole numbers of items, and so not exactly these shares."""
    return float(f"{share:.1g}")


def _picture(stream: Stream, policy: str) -> str:
    points: Sequence[Mapping[str, Any]] = stream["points"]
    series = [
        Series("the best possible (Belady)", [(point["items"], point["best"]) for point in points], dashed=True),
        Series(f"zmcache, {policy}", [(point["items"], point["hit_ratio"]) for point in points]),
    ]
    return lines(
        f"{stream['name']}: hit ratio by cache size",
        series,
        x=Axis("items that fit", kind="log"),
        y=Axis("hits", "share", low=0.0, high=1.0),
        says=f"{stream['reads']:,} reads of {stream['distinct']:,} keys. The first read of each key is a miss for any cache.",
    )


def _fine_print(record: Record) -> list[tuple[str, str]]:
    live = record["live"]
    return [
        ("how", f"The product's own store with its policy {record['policy']}, without sockets, from an empty start."),
        (
            "the best possible",
            "Belady's algorithm knows what comes and need not store what it will not need. It bounds every policy for items of one size.",
        ),
        (
            "live check",
            f"{live['name']}, {live['reads']:,} reads through a client and a node with room for {live['items']:,} items;"
            " what was not loaded for a read counts as a hit.",
        ),
    ]
