"""``zmcache-loadgen replay``: recorded requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from ..workloads import TraceWorkload, parse_csv_columns
from .common import common_options, start

_UNITS = ("s", "ms", "us", "ns")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True))
@common_options
@click.option(
    "--format",
    "form",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "int32", "lines", "arc", "csv"]),
    help="32-bit big-endian integers, one key a line, ARC's .lis, or CSV; any may be packed with xz.",
)
@click.option("--csv-columns", help="Of CSV: time=ts,key=obj,size=bytes,op=cmd; the key at least.")
@click.option("--csv-time-unit", default="s", show_default=True, type=click.Choice(_UNITS), help="Of the time column.")
@click.option("--pace", help="recorded, or a multiple of it such as 2x; left out: as fast as it goes.")
@click.option(
    "--value-size",
    "size_bytes",
    default=128,
    show_default=True,
    type=click.IntRange(0),
    help="Bytes written, where the trace has no sizes.",
)
@click.option("--limit", type=click.IntRange(1), help="Replay only so many accesses.")
@click.pass_context
def replay(
    ctx: click.Context, /, *, file: Path, form: Literal["auto", "int32", "lines", "arc", "csv"], **given: Any
) -> None:
    """Ask for the keys of a trace FILE, in order: as fast as they are answered, or at the recorded pace."""  # fmt: skip
    try:
        columns = parse_csv_columns(given["csv_columns"], given["csv_time_unit"]) if given["csv_columns"] else None
        workload = TraceWorkload(
            path=file,
            form="csv" if columns and form == "auto" else form,
            csv_columns=columns,
            limit=given["limit"],
            pace=_pace(given["pace"]),
            size_bytes=given["size_bytes"],
            prefix=given["prefix"] or "",
        )
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    start(ctx, workload, given, default_s=None)


def _pace(text: str | None) -> float | None:
    if text is None:
        return None
    if text.strip() == "recorded":
        return 1.0
    try:
        return float(text.strip().removesuffix("x"))
    except ValueError:
        raise ValueError(f"--pace: recorded, or a multiple such as 2x, not {text!r}") from None
