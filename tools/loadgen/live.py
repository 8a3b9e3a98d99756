"""The live screen: what a run is like just now, on the standard error, and only where somebody can see it.

It shows the rows of the result's ``series`` as they come, one a second, and computes nothing that the result does not
say again at the end. It draws when it is told and not by itself: a thread that draws would take the interpreter from the
loop at moments of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .load.figures import series_row
from .load.measurement import Row as MeasuredRow

SECONDS_SHOWN: Final = 60
_EVENTS_SHOWN: Final = 5
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_BLOCKS_ASCII: Final = "_.-~=+*#"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Screen:
    """What is drawn. ``rows`` are ``series`` rows, all of the run so far, ``events`` those of the result (schema 2);
    ``planned_s`` is None for a run without a set end.
    """

    title: str
    rows: Sequence[Row]
    events: Sequence[Mapping[str, Any]] = ()
    planned_s: float | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """In the terminal's own width and signs."""
        ascii_only = options.ascii_only
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        # What the other columns take at most, so that no line is ever wrapped: a screen that jumps cannot be read.
        width = max(10, min(SECONDS_SHOWN, options.max_width - 52))
        for line in self._lines(width, ascii_only=ascii_only):
            table.add_row(*(Text(cell, style=style) for cell, style in line))
        parts: list[RenderableType] = [
            Text(self.title, overflow="ellipsis", no_wrap=True),
            self._elapsed(),
            table,
            *self._told(ascii_only),
        ]
        yield Group(*parts)

    def _elapsed(self) -> Table:
        """The seconds that are over; a bar where it is known how many there will be."""
        line = Table.grid(padding=(0, 2), expand=self.planned_s is not None)
        line.add_column(no_wrap=True)
        seconds = len(self.rows)
        if self.planned_s is None:
            line.add_row(f"{seconds} s")
            return line
        line.add_column(ratio=1)
        done = min(float(seconds), self.planned_s)
        line.add_row(f"{seconds} of {self.planned_s:g} s", ProgressBar(total=self.planned_s, completed=done))
        return line

    def _lines(self, width: int, *, ascii_only: bool) -> Iterator[list[tuple[str, str]]]:
        """Name, this second, the whole run, and the last minute."""
        rows, last = self.rows, self.rows[-1] if self.rows else {}
        window = rows[-width:]
        requests, reads, hits, errors, skipped = (
            sum(row[name] for row in rows) for name in ("requests", "reads", "hits", "errors", "skipped")
        )
        rate, p99 = ([row[name] for row in window] for name in ("requests", "p99_us"))
        yield _dim("", "this second", "whole run", f"the last {len(window)} s" if window else "")
        mean = f"{requests / len(rows):,.0f}/s" if rows else "-"
        yield _plain("rate", f"{last.get('requests', 0):,}/s", mean, sparkline(rate, ascii_only=ascii_only))
        yield _plain("p99", _us(last.get("p99_us")), "", sparkline(p99, ascii_only=ascii_only))
        yield _plain("p50", _us(last.get("p50_us")), "", self._marks(window))
        yield _plain("hits", _share(last.get("hits", 0), last.get("reads", 0)), _share(hits, reads), "")
        for name, total in (("errors", errors), ("skipped", skipped)):
            style = "bold red" if total else ""
            yield [(name, style), (f"{last.get(name, 0):,}", style), (f"{total:,}", style), ("", "")]

    def _marks(self, window: Sequence[Row]) -> str:
        """Under the sparklines, where something happened."""
        seconds = {int(event["at_s"]) for event in self.events}
        return "".join("^" if row["second"] in seconds else " " for row in window).rstrip()

    def _told(self, ascii_only: bool) -> Iterator[Text]:
        tick, cross = ("ok", "NO") if ascii_only else ("✓", "✗")
        for event in self.events[-_EVENTS_SHOWN:]:
            mark, style = (tick, "green") if event["ok"] else (cross, "bold red")
            words = f"{event['what']}: {event['detail']}" if event["detail"] else event["what"]
            yield Text.assemble(
                f"{event['at_s']:7.1f} s  ", (mark, style), f" {words}", no_wrap=True, overflow="ellipsis"
            )


def sparkline(values: Sequence[float | None], *, ascii_only: bool = False) -> str:
    """One sign a value, from nothing to the largest of them; a blank where there is no value."""
    blocks = _BLOCKS_ASCII if ascii_only else _BLOCKS
    top = max((value for value in values if value is not None), default=0)
    steps = len(blocks) - 1
    return "".join(
        " " if value is None else blocks[round(value / top * steps)] if top > 0 else blocks[0] for value in values
    )


@contextmanager
def live_screen(*, shown: bool, console: Console | None = None) -> Iterator[Callable[[Screen], None] | None]:
    """What draws a screen in the place of the one before, or None when none is wanted or there is no terminal.

    Call it about once a second. The screen is gone when the context ends, to make room for the table.
    """
    console = console or Console(stderr=True)
    if not (shown and console.is_terminal):
        yield None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda screen: live.update(screen, refresh=True)


def _plain(*cells: str) -> list[tuple[str, str]]:
    return [(cell, "") for cell in cells]


def _dim(*cells: str) -> list[tuple[str, str]]:
    return [(cell, "dim") for cell in cells]


def _us(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} us"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def drawing(
    draw: Callable[[Screen], None] | None, title: str, planned_s: float | None
) -> Callable[[MeasuredRow], None]:
    """What is to be done with each second of a run: it is drawn, where there is a screen."""
    rows: list[Row] = []

    def on_row(row: MeasuredRow) -> None:
        rows.append(series_row(row))
        if draw is not None:
            draw(Screen(title, rows, planned_s=planned_s))

    return on_row
