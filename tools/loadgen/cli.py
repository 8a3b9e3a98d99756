"""The commands: ``zmcache-loadgen run`` and ``zmcache-loadgen replay``; ``bench`` is in `bench.command`.

Exit codes: 0 all was asked and answered; 1 some requests failed (unless ``--allow-errors``), or the trace broke off, or
the report could not be kept; 2 nothing was run: a wrong option, nobody there, no such group, an empty trace; 130 Ctrl-C
or SIGTERM. What was measured is printed, and marked as partial, whenever anything was.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import uvloop

from .bench.command import bench
from .errors import LoadgenError
from .options import Duration, Exponent, Sizes
from .progress import progress_bar
from .report import ReportError, check_writable, figures, print_table, write_json
from .result import Result
from .runner import INTERRUPTED
from .runner import run as drive
from .target import Target
from .traces import TraceWorkload
from .workload import Synthetic, Workload
from .zmcache_target import open_zmcache

Opener = Callable[..., AbstractAsyncContextManager[Target]]
"""As `open_zmcache`; a test hands in another through click's context object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """The options that both commands have."""

    nodes: str
    group: str
    route: str
    timeout_s: float
    callers: int
    duration_s: float | None
    requests: int | None
    json_path: Path | None
    no_progress: bool
    allow_errors: bool


class _Refused(click.ClickException):
    """Nothing was run."""

    exit_code = 2


def _common_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--nodes", required=True, help="Where nodes answer: host:port, comma between."),
            click.option("--group", default="items", show_default=True, help="The group to ask."),
            click.option("--callers", default=32, show_default=True, type=click.IntRange(1, 100_000), help="How many ask at once."),
            click.option("--duration", "duration_s", type=Duration(), help="Stop after so long (run: 10s if nothing is said)."),
            click.option("--requests", type=click.IntRange(1), help="Stop after so many requests."),
            click.option("--route", default="owner", show_default=True, type=click.Choice(["owner", "any"]),
                         help="Ask each key's owner, or any of the given nodes."),
            click.option("--timeout", "timeout_s", default="3s", show_default=True, type=Duration(), help="Deadline of a request."),
            click.option("--prefix", default="", help="Stands before each key."),
            click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures there, too."),
            click.option("--no-progress", is_flag=True, help="Draw no bar."),
            click.option("--allow-errors", is_flag=True, help="Failed requests do not make the exit code 1."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zmcache")
def main() -> None:
    """Drive load at a zmcache cluster, and say what it was like."""


main.add_command(bench)


@main.command()
@_common_options
@click.option(
    "--keys",
    default=100_000,
    show_default=True,
    type=click.IntRange(1, 2**32),
    help="How many keys there are: 0 to N-1.",
)
@click.option(
    "--distribution",
    default="uniform",
    show_default=True,
    type=click.Choice(["uniform", "zipf"]),
    help="How they are drawn.",
)
@click.option("--exponent", default="0.99", show_default=True, type=Exponent(), help="Of zipf: any number above 0.")
@click.option(
    "--value-size", default="128", show_default=True, type=Sizes(), help="Bytes written: 128, or a range as 64-4096."
)
@click.option(
    "--writes", default=0.0, show_default=True, type=click.FloatRange(0, 1), help="Share of requests that write."
)
@click.option("--seed", default=1, show_default=True, type=int, help="The same seed asks for the same.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    *,
    keys: int,
    distribution: Literal["uniform", "zipf"],
    exponent: float,
    value_size: tuple[int, int],
    writes: float,
    seed: int,
    prefix: str,
    **common: Any,
) -> None:
    """Ask for drawn keys, uniform or Zipf."""
    if common["duration_s"] is None and common["requests"] is None:
        common["duration_s"] = 10.0
    try:
        workload = Synthetic(
            keys=keys, distribution=distribution, exponent=exponent, value_bytes=value_size, writes=writes, seed=seed, prefix=prefix
        )  # fmt: skip
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    _execute(ctx, workload, _Common(**common))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True))
@_common_options
@click.option("--format", "form", default="auto", show_default=True, type=click.Choice(["auto", "int32", "lines"]),
              help="32-bit big-endian integers, or one key a line; either may be packed with xz.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Replay only so many accesses.")
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    *,
    file: Path,
    form: Literal["auto", "int32", "lines"],
    limit: int | None,
    prefix: str,
    **common: Any,
) -> None:
    """Ask for the keys of a trace FILE, in order, as fast as they are answered."""
    _execute(ctx, TraceWorkload(path=file, form=form, limit=limit, prefix=prefix), _Common(**common))


def _execute(ctx: click.Context, workload: Workload, common: _Common) -> None:
    """Run it, print it, keep it, and leave with the exit code that it deserves."""
    stop = asyncio.Event()
    try:
        if common.json_path is not None:
            check_writable(common.json_path)
        gc.freeze()  # this process is ours: a full collection over all modules is a pause that the latencies would show
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_measure(ctx.obj or open_zmcache, workload, common, stop))
    except KeyboardInterrupt:
        ctx.exit(130)
    except LoadgenError as exc:
        raise _Refused(str(exc)) from exc
    shown = figures(result)
    print_table(shown)
    code = 130 if result.partial == INTERRUPTED else 0
    if result.partial and not code:
        click.echo(f"Error: {result.partial}", err=True)
        code = 1
    if result.failed and not common.allow_errors:
        code = code or 1
    if common.json_path is not None:
        try:
            write_json(common.json_path, shown)
        except ReportError as exc:
            click.echo(f"Error: {exc}", err=True)
            code = code or 1
    ctx.exit(code)


async def _measure(opener: Opener, workload: Workload, common: _Common, stop: asyncio.Event) -> Result:
    loop = asyncio.get_running_loop()
    async with opener(common.nodes, common.group, route=common.route, timeout_s=common.timeout_s) as target:
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, stop.set)
        try:
            with progress_bar(shown=not common.no_progress) as on_progress:
                return await drive(
                    target,
                    workload,
                    callers=common.callers,
                    duration_s=common.duration_s,
                    requests=common.requests,
                    stop=stop,
                    on_progress=on_progress,
                )
        finally:
            for signum in (signal.SIGINT, signal.SIGTERM):
                with suppress(ValueError):
                    loop.remove_signal_handler(signum)
