"""From a plan to an exit code: run it, show it, hold it against what was expected, keep it.

Exit codes: 0 all was asked and answered; 1 some requests failed (unless that is allowed), or the trace broke off, or the result
could not be kept; 2 nothing was run: a wrong option, nobody there, no such group, an empty trace; 4 the generator was the bottleneck,
so the figures are its own; 5 an expectation does not hold; 130 Ctrl-C or SIGTERM. What was measured is printed, and marked as partial,
whenever anything was. Of several reasons the first in this order counts: 130, 1, 4, 5.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import click
import uvloop
from rich.console import Console

from .beside import Scripted
from .errors import LoadgenError
from .expect import Expectation, judge_all, print_verdicts
from .files import CannotWrite, check_writable, write_whole
from .live import drawing, live_screen
from .load.drive import INTERRUPTED
from .load.figures import Figures
from .load.opening import opened
from .load.plan import Plan
from .load.run import Opener, measure, nothing_beside
from .reporting import write_hgrm
from .table import print_table

BOTTLENECK = 4
UNMET = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is to be done with the result. ``runs``: how often the plan is run, one after the other."""

    json_path: Path | None = None
    hgrm_path: Path | None = None
    expectations: Sequence[Expectation] = ()
    runs: int = 1
    live: bool = True
    allow_errors: bool = False


class Refused(click.ClickException):
    """Nothing was run."""

    exit_code = 2


def execute(ctx: click.Context, plan: Plan, wishes: Wishes, scripted: Scripted | None = None) -> None:
    """Do all of it, and leave with the exit code that it deserves. ``scripted``: the cluster that is to be asked, in place of the plan's target."""
    stop = asyncio.Event()
    try:
        for path in (wishes.json_path, wishes.hgrm_path):
            if path is not None:
                check_writable(path)
        gc.freeze()  # this process is ours: a full collection over all modules is a pause that the latencies would show
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(_measure(ctx.obj or opened, plan, wishes, scripted, stop))
    except KeyboardInterrupt:
        ctx.exit(130)
    except LoadgenError as exc:
        raise Refused(str(exc)) from exc
    for shown in results:
        print_table(shown)
        if shown["expectations"]:
            print_verdicts(shown["expectations"], Console(highlight=False))
    code = max(
        (_code(shown, allow_errors=wishes.allow_errors) for shown in results), key=[0, UNMET, BOTTLENECK, 1, 130].index
    )
    for reason in dict.fromkeys(shown["partial"] for shown in results):
        if reason and reason != INTERRUPTED:
            click.echo(f"Error: {reason}", err=True)
    try:
        _keep(results, wishes)
    except CannotWrite as exc:
        click.echo(f"Error: {exc}", err=True)
        code = code if code == 130 else 1
    ctx.exit(code)


def _code(shown: Figures, *, allow_errors: bool) -> int:
    if shown["partial"] == INTERRUPTED:
        return 130
    if shown["partial"] or (shown["errors"]["total"] and not allow_errors):
        return 1
    if not shown["valid"]:
        return BOTTLENECK
    return 0 if all(each["holds"] for each in shown["expectations"]) else UNMET


def _keep(results: Sequence[Figures], wishes: Wishes) -> None:
    if wishes.json_path is not None:
        kept = results[0] if len(results) == 1 else {"schema": results[0]["schema"], "runs": list(results)}
        write_whole(wishes.json_path, json.dumps(kept, indent=2) + "\n")
    if wishes.hgrm_path is not None:
        for number, shown in enumerate(results, 1):
            path = wishes.hgrm_path
            write_hgrm(shown, path if len(results) == 1 else path.with_stem(f"{path.stem}-{number}"))


async def _measure(
    opener: Opener, plan: Plan, wishes: Wishes, scripted: Scripted | None, stop: asyncio.Event
) -> list[Figures]:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    results: list[Figures] = []
    try:
        for _ in range(wishes.runs):
            async with AsyncExitStack() as stack:
                if scripted is not None:
                    addresses = await stack.enter_async_context(scripted.serving())
                    target = f"zmcache:{','.join(addresses)}"
                    plan = replace(plan, destination=replace(plan.destination, target=target))
                beside = nothing_beside if scripted is None else scripted.playing
                draw = stack.enter_context(live_screen(shown=wishes.live))
                shown = await measure(
                    plan, opener, stop=stop, on_row=drawing(draw, plan.title, plan.duration_s), beside=beside
                )
            shown["expectations"] = judge_all(wishes.expectations, shown)
            results.append(shown)
            if stop.is_set():
                break
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):
                loop.remove_signal_handler(signum)
    return results
