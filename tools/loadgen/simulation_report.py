"""The figures of a simulation, as a table for the terminal and as a page with pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .reporting import Axis, Section, Series, lines, page
from .simulation import POLICIES, Sweep
from .simulation.sweep import BEST, Row

_WIDTH = 140


def print_sweep(found: Sweep, overheads: Mapping[str, float | None], *, title: str, missing: Sequence[str]) -> None:
    """Print what each cache hit at each size, how long a read took and what an entry costs; ``missing``: packages that are not there."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    console.print(f"[bold]{escape(title)}[/]: {found.reads:,} reads of {found.distinct:,} keys, from an empty cache")
    _print(console, "hit ratio, %", _table(found, lambda row: _percent(row.hit_ratio)))
    if found.in_bytes:
        _print(console, "byte hit ratio, %", _table(found, lambda row: _percent(row.byte_hit_ratio)))
    _print(console, "microseconds a read, what a miss stores included", _table(found, _time))
    if overheads:
        table = _empty()
        table.add_column("")
        table.add_column("bytes", justify="right")
        for cache, overhead in overheads.items():
            table.add_row(cache, "-" if overhead is None else f"{overhead:.0f}")
        _print(console, "memory of an entry beside its key and value", table)
    if missing:
        console.print(f"\nNot installed, and so not beside: {', '.join(missing)}.")


def plot(found: Sweep, *, title: str) -> str:
    """A page with the hit ratio over the size, ours in one picture and all in another."""
    ours = [cache for cache in found.caches if cache in POLICIES or cache == BEST]
    axis = Axis("budget" if found.in_bytes else "items that fit", "bytes" if found.in_bytes else "", "log")
    kinds: list[tuple[str, Callable[[Row], float | None]]] = [("Hit ratio", lambda row: row.hit_ratio)]
    if found.in_bytes:
        kinds.append(("Byte hit ratio", lambda row: row.byte_hit_ratio))
    pictures = []
    for what, figure in kinds:
        for heading, caches in (("zmcache's policies", ours), ("all", found.caches)):
            if heading == "all" and caches == ours:
                continue
            series = [
                Series(
                    cache,
                    sorted((row.size, figure(row)) for row in found.rows if row.cache == cache),
                    dashed=cache == BEST,
                )
                for cache in caches
            ]
            y = Axis(what.lower(), "share", low=0.0, high=1.0)
            pictures.append(lines(f"{what} by size: {heading}", series, x=axis, y=y))
    says = f"{found.reads:,} reads of {found.distinct:,} keys, from an empty cache."
    return page(f"Eviction policies on {title}", [Section(title=title, says=says, pictures=pictures)])


def _table(found: Sweep, told: Callable[[Row], str]) -> Table:
    table = _empty()
    table.add_column("")
    for written, size in found.sizes:
        exact = f"{size:,}{' B' if found.in_bytes else ''}"
        table.add_column(exact if written.replace(",", "") == str(size) else f"{written} ({exact})", justify="right")
    for cache in found.caches:
        table.add_row(
            cache, *(told(found.row(cache, size)) for _, size in found.sizes), style="dim" if cache == BEST else None
        )
    return table


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.2f}"


def _time(row: Row) -> str:
    return "-" if row.us_per_read is None else f"{row.us_per_read:.2f}"


def _empty() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _print(console: Console, title: str, table: Table) -> None:
    console.print(f"\n[bold]{title}[/]")
    console.print(table)
