"""The bar while it runs: on the standard error, so that the table can be piped, and only where somebody can see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from .runner import Progress


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for `run` that draws a bar, or None when none is wanted or the standard error is no terminal.

    It draws when it is told and not by itself: a thread that draws would take the interpreter from the loop at moments
    of its own.
    """
    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[told]}"))
    with Bar(*columns, console=console, auto_refresh=False, transient=True, expand=True) as bar:
        task = bar.add_task("0 s", total=None, told="")
        before = [0.0, 0]

        def draw(now: Progress) -> None:
            rate = (now.requests - before[1]) / max(1e-9, now.elapsed_s - before[0])
            before[:] = now.elapsed_s, now.requests
            hits = f"{now.hits / now.reads:.1%}" if now.reads else "-"
            bar.update(
                task,
                description=f"{now.elapsed_s:.0f} s",
                total=None if now.fraction is None else 1.0,
                completed=now.fraction or 0.0,
                told=f"{now.requests:,} requests, {rate:,.0f}/s, {hits} hits, {now.failed:,} errors",
            )
            bar.refresh()

        yield draw
