"""``zmcache-loadgen bench``: measure, print the table, keep it as JSON, and leave with the exit code that it deserves.

Exit codes: 0 every row holds; 1 one falls short; 3 none does, but something could not be measured; 2 a wrong option;
130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from pathlib import Path

import click
import uvloop

from . import report
from .drive import QUICK, Effort
from .goals import GOALS, Row, exit_code
from .sections import measure, unknown


@click.command()
@click.option("--runs", type=click.IntRange(1, 100), help="How often each side is measured, in turns (5).")
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
    if wrong := unknown(wanted):
        raise click.BadParameter(
            f"no row is called {', '.join(wrong)}; there are {', '.join(known)}", param_hint="--rows"
        )
    machine = report.machine()
    gc.freeze()  # this process is ours: a full collection over all modules is a pause that every side would show
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            measured = runner.run(measure(wanted, effort, on_row=_tell))
    except KeyboardInterrupt:
        ctx.exit(130)
    click.echo("", err=True)
    report.print_table(measured, machine)
    try:
        report.write(json_path, report.as_json(measured, machine))
    except OSError as exc:
        raise click.ClickException(f"{json_path}: cannot be written: {exc.strerror or exc}") from exc
    ctx.exit(exit_code(measured))


def _tell(row: Row) -> None:
    click.echo(report.line(row), err=True)
