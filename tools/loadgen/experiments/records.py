"""Records: an experiment is performed, what it found is kept as JSON, and a page is made of all that was kept.

A record is what the experiment returned, and an ``envelope`` around it: which experiment, of which version, when, how
long, on what machine, and the command that repeats it.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Final

from ..errors import LoadgenError
from ..files import CannotWrite
from ..machine import machine
from ..reporting import Notice, Section, page, write_whole
from .base import DatabaseChoice, Experiment, Record, Setting

SCHEMA: Final = 1
TITLE: Final = "What the cache is worth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for on the command line."""

    quick: bool = False
    database: DatabaseChoice = "auto"
    traces: tuple[Path, ...] = ()
    seed: int = 1

    def command(self, name: str) -> str:
        """What repeats it. Traces are told by their names: where they lie is nobody's business."""
        words = ["zmcache-loadgen", "experiment", name]
        if self.quick:
            words.append("--quick")
        if self.database != "auto":
            words += ["--database", self.database]
        if self.seed != 1:
            words += ["--seed", str(self.seed)]
        for trace in self.traces:
            words += ["--trace", trace.name]
        return shlex.join(words)


async def perform(experiment: Experiment, wanted: Wanted, *, say: Callable[[str], None]) -> Record:
    """Run one in a temporary folder of its own. Raises `LoadgenError` where it cannot be done."""
    started_at, began_s = datetime.now(UTC), perf_counter()
    on = machine()  # first: what else goes on is to be told without the experiment's own load
    with tempfile.TemporaryDirectory(prefix="zmcache-experiment-", ignore_cleanup_errors=True) as folder:
        setting = Setting(
            folder=Path(folder), quick=wanted.quick, seed=wanted.seed, database=wanted.database, traces=wanted.traces, say=say
        )  # fmt: skip
        found = await experiment.run(setting)
    envelope = {
        "schema": SCHEMA,
        "experiment": experiment.name,
        "tool": "zmcache-loadgen experiment",
        "version": version("zmcache"),
        "started_at": started_at.isoformat(timespec="seconds"),
        "seconds": round(perf_counter() - began_s, 1),
        "quick": wanted.quick,
        "seed": wanted.seed,
        "command": wanted.command(experiment.name),
        "machine": on,
    }
    return {"envelope": envelope, **found}


def keep(results: Path, record: Record) -> Path:
    """Write a record where the page looks for it. Raises `CannotWrite`."""
    path = results / "experiments" / f"{record['envelope']['experiment']}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise CannotWrite(path, exc) from exc
    write_whole(path, json.dumps(record, indent=2) + "\n")
    return path


def write_page(results: Path, experiments: Sequence[Experiment]) -> Path | None:
    """One page of all records there are, in the experiments' order; None where there are none. Raises `CannotWrite`, and
    `LoadgenError` where a record is none.
    """
    records = [
        (each, read(path)) for each in experiments if (path := results / "experiments" / f"{each.name}.json").exists()
    ]
    if not records:
        return None
    path = results / "report.html"
    write_whole(path, page(TITLE, [_section(each, record) for each, record in records], says=_lead(records)))
    return path


def read(path: Path) -> Record:
    """One record. Raises `LoadgenError`."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema = record["envelope"]["schema"]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise LoadgenError(f"{path}: is no record of an experiment: {' '.join(str(exc).split())}") from exc
    if schema != SCHEMA:
        raise LoadgenError(
            f"{path}: a record of schema {schema}; this version reads {SCHEMA}. Run the experiment again"
        )
    found: Record = record
    return found


def _section(experiment: Experiment, record: Record) -> Section:
    """The experiment's own, with what the envelope knows."""
    envelope = record["envelope"]
    section = experiment.section(record)
    on = envelope["machine"]
    told = [
        ("again", envelope["command"]),
        ("when", f"{envelope['started_at']}, in {envelope['seconds']:.0f} s"),
        (
            "machine",
            f"{on['cores']} cores, {on['cpu']}, {on['system']}, Python {on['python']}, load average {on['load_average']} before",
        ),
    ]
    quick = Notice("warn", "Quick", "shorter runs than a measurement takes: a look.")
    notices = [quick, *section.notices] if envelope["quick"] else section.notices
    return replace(section, notices=notices, fine_print=[*section.fine_print, *told])


def _lead(records: Sequence[tuple[Experiment, Record]]) -> str:
    versions = sorted({record["envelope"]["version"] for _, record in records})
    return (
        f"zmcache {', '.join(versions)}: {len(records)} experiments on one machine, nodes, generator and database included."
        " Compare within one experiment only."
    )
