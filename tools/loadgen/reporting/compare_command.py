"""``zmcache-loadgen compare``: results beside the first of them.

Exit codes: 0 compared, whatever came out; 2 there was nothing to compare.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .comparison import Difference, Runs, cautions, compared, in_words
from .numbers import NOTHING
from .results import NotAResult, read_results
from .wording import run_in_words

_PIPE_WIDTH = 160  # a file or a pipe has no width, and a table that is kept must not be cut for one


class _Refused(click.ClickException):
    """Nothing was compared."""

    exit_code = 2


@click.command()
@click.argument(
    "results", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="A.json B.json..."
)
def compare(results: Sequence[Path]) -> None:
    """Compare results with the first of them: by how much they differ, and whether runs differ as much among themselves."""
    if len(results) < 2:
        raise click.UsageError("two results are needed, or more")
    try:
        named = list(zip(names(results), map(read_results, results), strict=True))
    except NotAResult as exc:
        raise _Refused(str(exc)) from exc
    for line in cautions(named):
        click.echo(f"Warning: {line}", err=True)
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)
    for name, runs in named:
        console.print(escape(f"{name}: {run_in_words(runs[0])}"), soft_wrap=True)
    base, *others = named
    for other in others:
        console.print()
        console.print(difference_table(base, other))


def names(paths: Sequence[Path]) -> list[str]:
    """The files' names; with their folders where those alone tell them apart."""
    stems = [path.stem for path in paths]
    return stems if len(set(stems)) == len(stems) else [os.fspath(path) for path in paths]


def difference_table(before: tuple[str, Runs], after: tuple[str, Runs]) -> Table:
    """Two files, figure by figure."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("")
    for name, runs in (before, after):
        table.add_column(
            escape(name if len(runs) == 1 else f"{name}, {len(runs)} runs: median (min to max)"), justify="right"
        )
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("")
    for each in compared(before[1], after[1]):
        row = (
            each.figure.name,
            in_words(each.figure, each.before),
            in_words(each.figure, each.after),
            _percent(each),
            each.verdict,
        )
        table.add_row(*row, style=_style(each))
    return table


def _percent(difference: Difference) -> str:
    return NOTHING if difference.percent is None else f"{difference.percent:+,.1f} %"


def _style(difference: Difference) -> str:
    if not difference.verdict.endswith("beyond the spread"):
        return ""
    return "green" if difference.verdict.startswith("better") else "red"
