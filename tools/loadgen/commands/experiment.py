"""``zmcache-loadgen experiment``: what the cache is worth, seen and not believed.

Each experiment's record goes to ``experiments/NAME.json`` under the folder of results, and all records that lie there
become one page, ``report.html``. An experiment that cannot be done is told in a line, and the others are done.

Exit codes: 0 all were done; 1 one could not be, or its record could not be kept; 2 a wrong option; 130 Ctrl-C or
SIGTERM: what was finished until then is kept, and in the page.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import uvloop

from ..errors import LoadgenError
from ..experiments import EXPERIMENTS
from ..experiments.base import DatabaseChoice, Experiment
from ..experiments.records import Wanted, keep, perform, write_page

_EXISTING = click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)


def _listed() -> str:
    """The experiments, for the help text: click keeps lines that follow a backspace as they are."""
    return "\n".join(["\b", *(f"{each.name:<14} {each.about}" for each in EXPERIMENTS)])


@click.command(
    help="Measure what the cache is worth, and show it as pictures in one page.\n\nNAME is one of these, or all of them:\n\n"
    + _listed()
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--quick", is_flag=True, help="Under five minutes for all of them: a look, not a measurement.")
@click.option(
    "--database",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "postgresql", "sqlite"]),
    help="What stands behind the cache: a private PostgreSQL where it is installed, else SQLite.",
)
@click.option(
    "--trace",
    "traces",
    multiple=True,
    type=_EXISTING,
    help="A recorded trace for hit-rate; may be given several times.",
)
@click.option("--seed", default=1, show_default=True, type=int, help="The same seed asks for the same.")
@click.option(
    "--results",
    default=Path("results"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for the records and the page.",
)
@click.pass_context
def experiment(
    ctx: click.Context, /, *, names: Sequence[str], quick: bool, database: DatabaseChoice, traces: tuple[Path, ...], seed: int,
    results: Path,
) -> None:  # fmt: skip
    """Shown above."""
    wanted = Wanted(quick=quick, database=database, traces=traces, seed=seed)
    chosen = _chosen(names)
    gc.freeze()  # this process is ours: a full collection over all modules is a pause that the latencies would show
    failed = False
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            failed = runner.run(_run_all(chosen, wanted, results))
    except (asyncio.CancelledError, KeyboardInterrupt):
        click.echo("Interrupted: what was finished is kept.", err=True)
        _show(results)
        ctx.exit(130)
    ctx.exit(1 if not _show(results) or failed else 0)


def _chosen(names: Sequence[str]) -> list[Experiment]:
    known = {each.name: each for each in EXPERIMENTS}
    wrong = [name for name in names if name != "all" and name not in known]
    if wrong:
        raise click.BadParameter(
            f"there is no experiment {', '.join(wrong)}; there are {', '.join(known)}, and all", param_hint="NAME"
        )
    return list(EXPERIMENTS) if "all" in names else [known[name] for name in dict.fromkeys(names)]


async def _run_all(chosen: Sequence[Experiment], wanted: Wanted, results: Path) -> bool:
    """Whether one failed. Raises `CancelledError` when it is asked to stop; then no process that was started is left."""
    running = asyncio.ensure_future(_one_by_one(chosen, wanted, results))
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, running.cancel)
    return await running


async def _one_by_one(chosen: Sequence[Experiment], wanted: Wanted, results: Path) -> bool:
    failed = False
    for number, each in enumerate(chosen, 1):
        click.echo(f"[{number}/{len(chosen)}] {each.name}: {each.about}", err=True)
        try:
            record = await perform(each, wanted, say=lambda line: click.echo(f"      {line}", err=True))
            path = keep(results, record)
        except LoadgenError as exc:
            click.echo(f"Error: {each.name}: {exc}", err=True)
            failed = True
            continue
        click.echo(f"      {_sentence(each, record)}\n      {path}, {record['envelope']['seconds']:.0f} s", err=True)
    return failed


def _sentence(each: Experiment, record: dict[str, Any]) -> str:
    return each.section(record).says


def _show(results: Path) -> bool:
    """Make the page of all records there are; False, and a line, where it cannot be kept."""
    try:
        shown = write_page(results, EXPERIMENTS)
    except LoadgenError as exc:
        click.echo(f"Error: {exc}", err=True)
        return False
    if shown is not None:
        click.echo(str(shown))
    return True
