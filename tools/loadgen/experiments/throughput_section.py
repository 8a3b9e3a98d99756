"""The page of ``throughput``: for each size of value the rate over the callers, a line for each system, and where each has its knee.

The knee is the fewest callers beyond which no number of callers that was tried brings a tenth more. The largest number that was tried
is never one: nobody knows what lies beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..reporting import Axis, Notice, Section, Series, Table, lines
from ..reporting.numbers import significant, told, whole
from .base import Record
from .throughput_systems import ECHO

GROWTH: Final = 1.1
"""What grows by less does not grow."""

Cell = Mapping[str, Any]


def knee(rates: Sequence[tuple[int, float]]) -> int | None:
    """Of (callers, rate), callers ascending: the callers at the knee; None where the rate grows to the end."""
    for at, (callers, rate) in enumerate(rates[:-1]):
        if max(later for _, later in rates[at + 1 :]) < GROWTH * rate:
            return callers
    return None


def section(record: Record) -> Section:
    """The page of a record."""
    sizes: list[int] = record["value_bytes"]
    return Section(
        title="Throughput",
        says=" ".join(
            _says(record, size, first=not at) for at, size in enumerate(dict.fromkeys((sizes[0], sizes[-1])))
        ),
        notices=_notices(record),
        key=_key(record),
        tables=[*(_rates(record, size) for size in sizes), _knees(record)],
        pictures=[_picture(record, size) for size in sizes],
        fine_print=_fine_print(record),
    )


def _of(record: Record, system: str, size: int) -> list[Cell]:
    """Its cells, callers ascending."""
    found = [cell for cell in record["cells"] if (cell["system"], cell["value_bytes"]) == (system, size)]
    return sorted(found, key=lambda cell: cell["callers"])


def _best(record: Record, system: str, size: int) -> Cell:
    return max(_of(record, system, size), key=lambda cell: cell["rate"])


def _knee_of(record: Record, system: str, size: int) -> int | None:
    return knee([(cell["callers"], cell["rate"]) for cell in _of(record, system, size)])


def _others(record: Record) -> list[str]:
    return [name for name in record["systems"] if name != "zmcache"]


def _times(record: Record, other: str, size: int) -> float | None:
    """The best of zmcache, in times of the other's best."""
    beside = _best(record, other, size)["rate"]
    return _best(record, "zmcache", size)["rate"] / beside if beside else None


def _says(record: Record, size: int, *, first: bool) -> str:
    best = _best(record, "zmcache", size)
    beside = [
        f"{significant(times, 2)} times {_named(other)}'s best"
        for other in _others(record)
        if (times := _times(record, other, size)) is not None
    ]
    compared = f", {', '.join(beside)}" if beside else ""
    if not first:
        return f"With values of {told(size, 'bytes')} it answers {whole(best['rate'])}{compared}."
    at = _knee_of(record, "zmcache", size)
    bend = (
        f"Beyond {_callers(at)} its rate grows by less than 10 %."
        if at is not None
        else f"Its rate still grew with the last step, to {_callers(record['callers'][-1])}."
    )
    return (
        f"With values of {told(size, 'bytes')}, one client process gets at most {whole(best['rate'])} answers a second from a zmcache node"
        f" ({_callers(best['callers'])}){compared}. {bend}"
    )


def _named(system: str) -> str:
    return f"the plain {system}" if system == ECHO else system


def _callers(count: int) -> str:
    return "1 caller" if count == 1 else f"{count:,} callers"


def _key(record: Record) -> list[tuple[str, str]]:
    size = record["value_bytes"][0]
    at = _knee_of(record, "zmcache", size)
    found = [
        (f"zmcache, at most, answers a second, {told(size, 'bytes')}", whole(_best(record, "zmcache", size)["rate"])),
        ("zmcache's knee", f"over {_callers(record['callers'][-1])}" if at is None else _callers(at)),
    ]
    for other in _others(record):
        times = _times(record, other, size)
        found.append((f"of {_named(other)}'s best", "-" if times is None else f"{significant(times, 2)} x"))
    return found


def _notices(record: Record) -> list[Notice]:
    cells = record["cells"]
    found = [Notice("warn", "Left out", f"{name}: {why}") for name, why in record["missing"].items()]
    limited = [cell for cell in cells if not cell["valid"]]
    if limited:
        most = max(limited, key=lambda cell: cell["rate"])
        found.append(
            Notice(
                "warn",
                "The generator's own limit",
                f"in {len(limited)} of {len(cells)} cells the one process that asks was the bottleneck: they tell what a client process"
                f" can ask, not what the server can answer, and have a * in the tables. {most['system']} with"
                f" {_callers(most['callers'])}: {'; '.join(most['bottlenecks'])}.",
            )
        )
    failed, absent = (sum(cell[name] for cell in cells) for name in ("failed", "absent"))
    if failed or absent:
        found.append(
            Notice(
                "bad", "Not all were answered", f"{failed:,} requests failed, {absent:,} did not find what was written."
            )
        )
    return found


def _rates(record: Record, size: int) -> Table:
    names: list[str] = record["systems"]
    by_callers = {(cell["callers"], cell["system"]): cell for cell in record["cells"] if cell["value_bytes"] == size}
    rows = [
        [f"{callers:,}", *(_rate(by_callers.get((callers, name))) for name in names)] for callers in record["callers"]
    ]
    caption = f"Answers a second, values of {told(size, 'bytes')} (closed loop; * the generator was the limit)"
    return Table(["callers", *names], rows, caption)


def _rate(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return whole(cell["rate"]) + ("" if cell["valid"] else " *")


def _knees(record: Record) -> Table:
    rows = []
    for size in record["value_bytes"]:
        for name in record["systems"]:
            cells, at = _of(record, name, size), _knee_of(record, name, size)
            there = next((cell for cell in cells if cell["callers"] == at), cells[-1])
            rows.append(
                [
                    f"{name}, {told(size, 'bytes')}",
                    f"over {cells[-1]['callers']}" if at is None else str(at),
                    whole(there["rate"]),
                    told(there["p50_us"], "us"),
                    told(there["p99_us"], "us"),
                    f"{whole(min(there['rates']))} to {whole(max(there['rates']))}",
                    "the generator" if not there["valid"] else "-",
                ]
            )
    headings = ["", "callers at the knee", "answers a second", "p50", "p99", "rounds", "known limit there"]
    return Table(
        headings, rows, "The knee: the fewest callers beyond which the rate grows by less than 10 %", words={6}
    )


def _picture(record: Record, size: int) -> str:
    series = [
        Series(name, [(cell["callers"], cell["rate"]) for cell in _of(record, name, size)], dashed=name == ECHO)
        for name in record["systems"]
    ]
    return lines(
        f"Answers a second over callers, values of {told(size, 'bytes')}",
        series,
        x=Axis("callers (each step to the right: several times as many)", kind="log"),
        y=Axis("answers", "a second"),
    )


def _fine_print(record: Record) -> list[tuple[str, str]]:
    rounds = record["rounds"]
    asked = (
        f"Closed loop, one client process, keys drawn evenly from at most {record['keys_max']:,}, all of them written before."
        f" For each size {rounds} {'round' if rounds == 1 else 'rounds'}, in each of which every system is asked for"
        f" {record['seconds_each']:g} s with each number of callers, in turns; the median round counts."
    )
    found = [("how", asked)]
    if ECHO in record["systems"]:
        echo = (
            "has no keys and no callers: a blocking client keeps so many messages under way, each as long as a value, in both"
            " directions. A cache's request holds a key only, so with large values the echo carries twice the bytes."
        )
        found.append((ECHO, echo))
    return found
