"""What an experiment is: it runs, it keeps a record as JSON, and its section of the report is drawn from that record alone.

So an old record is shown like a fresh one, and the picture cannot know more than the file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ..reporting import Section

Record = dict[str, Any]
DatabaseChoice = Literal["auto", "postgresql", "sqlite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How an experiment is to run.

    ``folder``: a temporary one of its own, removed afterwards. ``say``: tells who waits what goes on, a line each.
    ``traces``: recorded files to replay, where an experiment takes some.
    """

    folder: Path
    quick: bool = False
    seed: int = 1
    database: DatabaseChoice = "auto"
    traces: tuple[Path, ...] = ()
    say: Callable[[str], None] = field(default=lambda line: None)


class Experiment(NamedTuple):
    """One of them. ``about``: what it asks, in a line. ``run``: what was measured, as JSON; raises `LoadgenError` where it cannot.
    ``section``: the record's page, whose ``says`` states in a sentence what was seen.
    """

    name: str
    about: str
    run: Callable[[Setting], Awaitable[Record]]
    section: Callable[[Record], Section]
