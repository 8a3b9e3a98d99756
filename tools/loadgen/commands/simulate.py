"""``zmcache-loadgen simulate``: a trace through the product's eviction policies, without a node or a socket.

Exit codes: 0 done; 1 a file could not be read or kept; 2 a wrong option; 130 Ctrl-C.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import LoadgenError, TraceError
from ..files import check_writable, write_whole
from ..machine import machine
from ..simulation import (
    POLICIES,
    CacheSize,
    Stream,
    Sweep,
    WrongSize,
    beside,
    overhead_bytes,
    parse_size,
    read_trace,
    sweep,
)
from ..simulation_report import plot, print_sweep
from ..workloads import TraceWorkload, parse_csv_columns

_FILE = click.Path(path_type=Path, dir_okay=False)
_DEFAULT_SIZES = ("0.1%", "1%", "5%", "10%", "25%")
_SCHEMA = 1


class _Size(click.ParamType[CacheSize]):
    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> CacheSize:
        if isinstance(value, CacheSize):
            return value
        try:
            return parse_size(str(value))
        except WrongSize as exc:
            self.fail(str(exc), param, ctx)


@click.command()
@click.option(
    "--trace",
    "path",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True),
    help="The recorded accesses; forms as of `replay`.",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=_Size(),
    default=_DEFAULT_SIZES,
    show_default=True,
    help="Of the cache: items (1500), bytes (64MiB), or a share of the trace's keys (5%). May be given several times.",
)
@click.option(
    "--policy",
    "policies",
    default="all",
    show_default=True,
    help=f"all, or some of {', '.join(POLICIES)}, comma between.",
)
@click.option(
    "--bytes",
    "shares_in_bytes",
    is_flag=True,
    help="Shares are of the bytes of all values and not of the number of keys.",
)
@click.option(
    "--format",
    "form",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "int32", "lines", "arc", "csv"]),
    help="32-bit big-endian integers, one key a line, ARC's .lis, or CSV; any may be packed with xz.",
)
@click.option("--csv-columns", help="Of CSV: time=ts,key=obj,size=bytes,op=cmd; the key at least.")
@click.option(
    "--value-size",
    "size_bytes",
    default=128,
    show_default=True,
    type=click.IntRange(0),
    help="Bytes of each value, in bytes and where the trace has no sizes.",
)
@click.option("--limit", type=click.IntRange(1), help="Only so many accesses.")
@click.option("--alone", is_flag=True, help="Leave out the caches of other packages that are installed.")
@click.option(
    "--no-overhead", is_flag=True, help="Do not measure what an entry costs in memory (a second or two for each cache)."
)
@click.option("--json", "json_path", type=_FILE, help="Write the figures there, too.")
@click.option("--plot", "plot_path", type=_FILE, help="Draw the hit ratio over the size, as an HTML page.")
@click.pass_context
def simulate(ctx: click.Context, /, *, path: Path, sizes: Sequence[CacheSize], **given: Any) -> None:
    """Replay a trace through the eviction policies, as they are in a node, and say how much each of them hits.

    Sizes in items take all values for equal; sizes in bytes are budgets, with what the store charges for each entry. Belady's optimum
    knows what comes: no cache of so many items can hit more. In bytes it is no bound, and left out.
    """  # fmt: skip
    policies = _policies(given["policies"])
    in_bytes = _in_bytes(sizes, shares_in_bytes=given["shares_in_bytes"])
    try:
        for kept in (given["json_path"], given["plot_path"]):
            if kept is not None:
                check_writable(kept)
        stream = read_trace(_workload(path, given), with_sizes=in_bytes)
        if not stream.keys:
            raise TraceError(f"{path}: there is no read in it")
        others = [] if given["alone"] else list(beside.installed().values())
        found, overheads = _measured(
            stream, sizes, policies, others, in_bytes=in_bytes, overhead=not given["no_overhead"]
        )
        print_sweep(found, overheads, title=path.name, missing=[] if given["alone"] else beside.missing())
        if given["json_path"] is not None:
            write_whole(given["json_path"], _as_json(found, overheads, path))
        if given["plot_path"] is not None:
            write_whole(given["plot_path"], plot(found, title=path.name))
            click.echo(str(given["plot_path"]))
    except LoadgenError as exc:
        click.echo(f"Error: {exc}", err=True)
        ctx.exit(1)
    except KeyboardInterrupt:
        click.echo("Interrupted: nothing was kept.", err=True)
        ctx.exit(130)


def _policies(text: str) -> list[str]:
    if text.strip() == "all":
        return list(POLICIES)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in POLICIES:
            raise click.BadParameter(
                f"there is no policy {name!r}; there are {', '.join(POLICIES)}, and all", param_hint="--policy"
            )
    return list(dict.fromkeys(names))


def _in_bytes(sizes: Sequence[CacheSize], *, shares_in_bytes: bool) -> bool:
    kinds = {each.kind for each in sizes}
    if {"items", "bytes"} <= kinds or (shares_in_bytes and "items" in kinds):
        raise click.BadParameter(
            "sizes in items and sizes in bytes are simulated apart: give one kind", param_hint="--size"
        )
    return shares_in_bytes or "bytes" in kinds


def _workload(path: Path, given: dict[str, Any]) -> TraceWorkload:
    try:
        columns = parse_csv_columns(given["csv_columns"], "s") if given["csv_columns"] else None
        form = given["form"]
        if columns and form == "auto":
            form = "csv"
        return TraceWorkload(
            path=path, form=form, csv_columns=columns, limit=given["limit"], size_bytes=given["size_bytes"]
        )
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc


def _measured(
    stream: Stream,
    sizes: Sequence[CacheSize],
    policies: Sequence[str],
    others: Sequence[beside.Beside],
    *,
    in_bytes: bool,
    overhead: bool,
) -> tuple[Sweep, dict[str, float | None]]:
    named = [*policies, *(each.name for each in others if each.in_bytes or not in_bytes)]
    steps = len(sizes) * (len(named) + (not in_bytes)) + len(named) * overhead
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{len(stream.keys):,} reads", total=steps)
        begun = False

        def told(text: str) -> None:
            nonlocal begun
            progress.update(task, description=text, advance=begun)
            begun = True

        found = sweep(stream, sizes, policies, others, in_bytes=in_bytes, told=told)
        overheads: dict[str, float | None] = {}
        for name in named * overhead:
            told(f"memory of {name}")
            overheads[name] = overhead_bytes(name)
    return found, overheads


def _as_json(found: Sweep, overheads: dict[str, float | None], path: Path) -> str:
    record = {
        "schema": _SCHEMA,
        "trace": path.name,
        **found.as_json(),
        "overhead_bytes": overheads,
        "machine": machine(),
    }
    return json.dumps(record, indent=2) + "\n"
