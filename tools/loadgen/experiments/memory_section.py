"""The page of ``memory``: resident memory over the number of sets, beside the budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..reporting import Axis, Notice, Section, Series, Table, lines
from ..reporting.numbers import told, whole
from .base import Record

MOST: Final = 1.15  # of the budget, above the empty node

Fill = Mapping[str, Any]


def section(record: Record) -> Section:
    """The page of a record."""
    fills: list[Fill] = record["fills"]
    budget = record["budget_bytes"]
    most = {fill["policy"]: most_of(fill, budget) for fill in fills}
    over = [policy for policy, found in most.items() if found > MOST]
    says = (
        f"Over {whole(record['sets'])} sets of sizes from 10 B to 1 MiB a budget of {told(budget, 'bytes')} took at the most "
        + ", ".join(f"{found:.3f} times as much resident memory ({policy})" for policy, found in most.items())
        + " above the empty node's."
    )
    notices = (
        [Notice("bad", "More than promised", f"{', '.join(over)}: more than {MOST:g} times the budget.")]
        if over
        else []
    )
    return Section(
        title="Memory",
        says=says,
        notices=notices,
        key=[(f"of the budget at the most, {policy}", f"{found:.3f}") for policy, found in most.items()],
        tables=[Table(["", "entries at the end", "charged", "resident above empty"], [_row(fill) for fill in fills])],
        pictures=[_picture(fill, budget) for fill in fills],
        fine_print=[
            (
                "how",
                "A node in a process of its own; every key is new. Resident memory is the process's, less what it was after one entry.",
            )
        ],
    )


def most_of(fill: Fill, budget_bytes: int) -> float:
    """The most resident memory above the empty node's, in budgets."""
    first = fill["samples"][0]["resident_bytes"]
    most: float = max(sample["resident_bytes"] - first for sample in fill["samples"]) / budget_bytes
    return most


def _row(fill: Fill) -> list[str]:
    first, last = fill["samples"][0], fill["samples"][-1]
    above = last["resident_bytes"] - first["resident_bytes"]
    return [fill["policy"], whole(last["entries"]), told(last["used_bytes"], "bytes"), told(above, "bytes")]


def _picture(fill: Fill, budget_bytes: int) -> str:
    samples = fill["samples"]
    first = samples[0]["resident_bytes"]
    ends = samples[0]["sets"], samples[-1]["sets"]
    series = [
        Series(
            "resident, above the empty node", [(sample["sets"], sample["resident_bytes"] - first) for sample in samples]
        ),
        Series("charged for the entries", [(sample["sets"], sample["used_bytes"]) for sample in samples]),
        Series("the budget", [(at, budget_bytes) for at in ends], dashed=True),
        Series(f"{MOST:g} times the budget", [(at, budget_bytes * MOST) for at in ends], dashed=True),
    ]
    return lines(f"Memory over sets: {fill['policy']}", series, x=Axis("sets"), y=Axis("memory", "bytes", low=0.0))
