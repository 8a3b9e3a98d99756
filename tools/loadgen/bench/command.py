"""``zmcache-loadgen bench``: measure, print the table, keep it as JSON, and leave with the exit code that it deserves.

Exit codes: 0 every row holds; 1 one falls short; 3 none does, but something could not be measured; 2 a wrong option;
130 Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import click
import uvloop

from ..machine import machine
from . import report
from .drive import QUICK, Effort
from .goals import GOALS, Row, exit_code
from .sections import measure, unknown


@click.command()
@click.option("--runs", type=click.IntRange(1, 100), help="How often each side is measured, in turns (9).")
@click.option("--rows", help="Only these rows: their names, comma between.")
@click.option("--quick", is_flag=True, help="Ask less: a look, not a measurement.")
@click.option(
    "--json", "json_path", default=Path("results/bench.json"), show_default=True,
    type=click.Path(path_type=Path, dir_okay=False), help="Write the table there, too.",
)  # fmt: skip
@click.pass_context
def bench(ctx: click.Context, /, *, runs: int | None, rows: str | None, quick: bool, json_path: Path) -> None:
    """Measure zmcache against redis, memcached and plain ZeroMQ on this machine.

    One client process, one server process, loopback TCP, values of 128 bytes. Let the machine do nothing else meanwhile.
    """
    effort = QUICK if quick else Effort()
    if runs is not None:
        effort = replace(effort, runs=runs)
    known = [goal.name for goal in GOALS]
    wanted = known if rows is None else [name.strip() for name in rows.split(",") if name.strip()]
    wrong = unknown(wanted)
    if wrong or not wanted:
        said = f"no row is called {', '.join(wrong)}" if wrong else "no row is named"
        raise click.BadParameter(f"{said}; there are {', '.join(known)}", param_hint="--rows")
    on = machine()
    gc.freeze()  # this process is ours: a full collection over all modules is a pause that every side would show
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            measured = runner.run(_measure(wanted, effort))
    except asyncio.CancelledError:
        ctx.exit(130)
    click.echo("", err=True)
    report.print_table(measured, on)
    try:
        report.write(json_path, report.as_json(measured, on))
    except OSError as exc:
        raise click.ClickException(f"{json_path}: cannot be written: {exc.strerror or exc}") from exc
    ctx.exit(exit_code(measured))


async def _measure(wanted: Collection[str], effort: Effort) -> list[Row]:
    """Raises `CancelledError` when it is asked to stop; then no process that it started is left."""
    measuring = asyncio.ensure_future(measure(wanted, effort, on_row=_tell))
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, measuring.cancel)
    return await measuring


def _tell(row: Row) -> None:
    click.echo(report.line(row), err=True)
