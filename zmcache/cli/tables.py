"""Tables on the standard output. A file or a pipe has no width, and a table that is kept must not be cut for one.

Rich is imported when something is shown: a node shows nothing, and starts sooner without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def console() -> Console:
    """Where tables are printed."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=160)


def right_table(first: str, *others: str) -> Table:
    """A table without a frame: the first column to the left, the others, which are numbers, to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def escaped(text: str) -> str:
    """The text as it is, whatever in it looks like markup."""
    from rich.markup import escape

    return escape(text)
