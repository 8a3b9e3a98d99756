"""``zmcache-loadgen report``: one HTML file from one result or several.

Exit codes: 0 it is written; 1 it could not be kept; 2 there was nothing to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..files import CannotWrite, write_whole
from .page import page
from .results import NotAResult, Result, read_results
from .sections import section_of, side_by_side


class _Refused(click.ClickException):
    """Nothing was read."""

    exit_code = 2


@click.command()
@click.argument(
    "results", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="RESULT.json..."
)
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The page to write.",
)
@click.option("--title", default="What the load generator measured", show_default=True, help="Its heading.")
def report(results: Sequence[Path], output: Path, title: str) -> None:
    """Show results as a page: one self-contained HTML file, which opens from disk."""
    try:
        found = labelled(results)
    except NotAResult as exc:
        raise _Refused(str(exc)) from exc
    try:
        write_whole(output, report_page(title, found))
    except CannotWrite as exc:
        raise click.ClickException(str(exc)) from exc
    click.echo(f"{output}: {len(found)} {'run' if len(found) == 1 else 'runs'}")


def labelled(paths: Sequence[Path]) -> dict[str, Result]:
    """Every run by a label of its own: the file's name, with as much of its folder and a number as that takes. Raises `NotAResult`."""
    found: dict[str, Result] = {}
    stems = [path.stem for path in paths]
    for path in paths:
        name = path.stem if stems.count(path.stem) == 1 else str(path)
        runs = read_results(path)
        for number, run in enumerate(runs, 1):
            label = name if len(runs) == 1 else f"{name}, run {number} of {len(runs)}"
            while label in found:  # the same file was named twice
                label += " again"
            found[label] = run
    return found


def report_page(title: str, found: dict[str, Result]) -> str:
    """The page of these runs, by label; side by side first where they are several."""
    sections = [section_of(label, result) for label, result in found.items()]
    if len(found) > 1:
        sections.insert(0, side_by_side(found))
    return page(title, sections)
