"""Tables on the standard output. A file or a pipe has no width, and a table that is kept must not be cut for one."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape as escaped
from rich.table import Table

__all__ = ["console", "escaped", "right_table"]


def console() -> Console:
    """Where tables are printed."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


def right_table(first: str, *others: str) -> Table:
    """A table without a frame: the first column to the left, the others, which are numbers, to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table
