"""The table of a suite's runs, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from zmcache_loadgen.machine import machine

from faults.verdict import FLOOR_OPS_S, Result

SCHEMA: Final = 1
_TOLD: Final = 6


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """All of it, as it is kept."""
    return {
        "schema": SCHEMA,
        "floor_ops_s": FLOOR_OPS_S,
        "machine": machine(),
        "faults": msgspec.to_builtins(list(results)),
    }


def verdict(result: Result) -> str:
    """In a word or a few."""
    if result.not_here:
        return "not measured"
    if result.problems:
        return "no run"
    return (
        "broken: " + ", ".join(f"{promise} {count}" for promise, count in result.broken.items())
        if result.broken
        else "holds"
    )


def print_table(results: Sequence[Result], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("fault")
    table.add_column("R, W")
    for heading in ("operations", "failed", "lost", "slowest call", "recovered", "at rest"):
        table.add_column(heading, justify="right")
    table.add_column("promises")
    for result in results:
        style = "green" if result.holds else "yellow" if result.not_here else "bold red"
        figures = (
            f"{result.operations:,}", f"{result.failed:,}", f"{result.lost:,}", f"{result.slowest_s:.2f} s",
            f"{result.recover_s:.1f} s", f"{result.rest_s:.1f} s",
        ) if result.operations else ("-",) * 6  # fmt: skip
        table.add_row(
            escape(result.fault), f"{result.copies}, {result.acks}", *figures, f"[{style}]{escape(verdict(result))}[/]"
        )
    console.print(table)


def print_result(result: Result, console: Console) -> None:
    """What one run found, as soon as it is over."""
    style = "green" if result.holds else "yellow" if result.not_here else "bold red"
    console.print(
        f"{result.fault}: [{style}]{escape(verdict(result))}[/], {result.operations:,} operations ({result.ops_s:,.0f} a second),"
        f" {result.failed} failed ({result.failed_reads} reads), {result.lost} lost, {result.reloaded} loaded again,"
        f" recovered in {result.recover_s:.1f} s, seed {result.seed}",
        soft_wrap=True,
    )  # fmt: skip
    if result.not_here:
        console.print(f"    {escape(result.not_here)}", soft_wrap=True)
    for text in (*result.problems, *result.violations[:_TOLD]):
        console.print(f"    {escape(text)}", soft_wrap=True)
    more = sum(result.broken.values()) - _TOLD
    if more > 0:
        console.print(f"    and {more} more", soft_wrap=True)
    if result.errors:
        console.print(
            "    failed: " + escape(", ".join(f"{count} {name}" for name, count in result.errors.items())),
            soft_wrap=True,
        )
    for promise, why in result.exempt.items():
        console.print(f"    {promise} is not judged: {escape(why)}", soft_wrap=True)
    for note in result.notes:
        console.print(f"    ({escape(note)})", soft_wrap=True)
