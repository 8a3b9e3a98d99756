"""What the pages of several experiments say about the database, about runs that do not count, and about ratios."""

from __future__ import annotations

from collections.abc import Mapping

from ..reporting import Notice
from ..reporting.numbers import told, whole
from .base import Record


def compared(before: float | None, after: float | None) -> float | None:
    """How often ``after`` fits into ``before``; None where either is not known or nothing."""
    return before / after if before and after else None


def faster(before: float | None, after: float | None) -> str:
    """In words, of times: ``4.2 times as fast``, or ``1.3 times as slow`` where it is the other way."""
    ratio = compared(before, after)
    if ratio is None:
        return "no ratio"
    return f"{told(ratio)} times as fast" if ratio >= 1 else f"{told(1 / ratio)} times as slow"


def notices(database: Record, runs: Mapping[str, Record]) -> list[Notice]:
    """What must not be missed: another database than was wanted, runs that were the generator's own, failed requests.

    ``runs``: by what they are called, each with the figures ``valid``, ``bottlenecks``, ``errors``, ``skipped`` and ``partial``.
    """
    found = [] if database["why"] is None else [Notice("warn", f"{database['name']}.", f"{database['why']}.")]
    for name, run in runs.items():
        if not run["valid"]:
            text = f"{name}: the generator was the bottleneck: {'; '.join(run['bottlenecks'])}."
            found.append(Notice("bad", "Not valid.", text))
        if run["errors"]["total"]:
            kinds = ", ".join(f"{each['count']} {kind}" for kind, each in run["errors"]["by_class"].items())
            text = f"{name}: {whole(run['errors']['total'])} of {whole(run['requests'])} requests failed: {kinds}."
            found.append(Notice("bad", "Errors.", text))
        if run["skipped"]:
            text = f"{name}: {whole(run['skipped'])} requests were not sent, because too many were unanswered."
            found.append(Notice("warn", "Skipped.", text))
        if run["partial"]:
            found.append(Notice("warn", "Partial.", f"{name}: {run['partial']}."))
    return found


def fine_print(database: Record) -> list[tuple[str, str]]:
    """Which database, what it was asked, and who counted."""
    return [
        ("database", f"{database['name']}, private, on this machine, all of it in memory"),
        ("query", database["query"]),
        ("queries counted by", database["counted_by"]),
    ]
