"""The table and the JSON file. Neither computes anything: `goals` has judged.

The JSON object::

    schema, tool    1, "zmcache-loadgen bench"
    machine         what it ran on: cpu, cores, system, python, versions, load_average at the start; nothing that names the machine
    rows            one object a row: name, title, unit, measured, against, yardstick, ratio, bound ("at least" | "at most"),
                    floor, wanted (null: the floor is all), holds (null: not measured), runs (each run's ratio), note
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .goals import Row

SCHEMA = 1


def as_json(rows: Sequence[Row], machine: dict[str, Any]) -> dict[str, Any]:
    """In the form of the module's docstring."""
    return {
        "schema": SCHEMA,
        "tool": "zmcache-loadgen bench",
        "machine": machine,
        "rows": [
            {
                "name": row.goal.name,
                "title": row.goal.title,
                "unit": row.goal.unit,
                "measured": _rounded(row.measured),
                "against": row.goal.against,
                "yardstick": _rounded(row.yardstick),
                "ratio": _rounded(row.ratio),
                "bound": row.goal.bound,
                "floor": row.goal.floor,
                "wanted": row.goal.wanted,
                "holds": row.holds,
                "runs": [_rounded(run) for run in row.runs],
                "note": row.note,
            }
            for row in rows
        ],
    }


def write(path: Path, shown: dict[str, Any]) -> None:
    """Keep it; makes the folder. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")


def print_table(rows: Sequence[Row], machine: dict[str, Any], console: Console | None = None) -> None:
    """For people, on the standard output unless told otherwise."""
    console = console or _console()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("", "measured", "yardstick", "ratio", "floor", "holds"):
        table.add_column(heading, justify="left" if heading in ("", "yardstick", "holds") else "right")
    for row in rows:
        table.add_row(*_cells(row))
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    console.print(
        escape(
            f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_average']}, "
            f"{machine['system']}, Python {machine['python']}\n{versions}\n"
        ),
        soft_wrap=True,
    )
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"{row.goal.name}: {escape(row.note)}", soft_wrap=True)


def line(row: Row) -> str:
    """One row as one line, for while the others are still being measured."""
    _, measured, yardstick, ratio, floor, _ = _cells(row)
    verdict = {True: "holds", False: "FALLS SHORT", None: f"not measured: {row.note}"}[row.holds]
    if row.holds is None:
        return f"{row.goal.name}: {verdict}"
    return f"{row.goal.name}: {measured} against {yardstick} {ratio} ({floor}): {verdict}"


def _cells(row: Row) -> tuple[str, ...]:
    goal = row.goal
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f} x"
    beside = escape(goal.against) if row.yardstick is None else f"{_figure(row.yardstick)} {escape(goal.against)}"
    floor = f"{goal.bound} {goal.floor:g} {goal.unit if goal.absolute else 'x'}"
    if goal.wanted is not None:
        floor += f", wanted {goal.wanted:g}"
    holds = {True: "[green]yes[/]", False: "[bold red]NO[/]", None: "[yellow]not measured[/]"}[row.holds]
    measured = "-" if row.measured is None else f"{_figure(row.measured)} {goal.unit}"
    return escape(goal.title), measured, beside, ratio, floor, holds


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)
