"""The options that `run` and `replay` share, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ..beside import Scripted
from ..errors import LoadgenError
from ..execution import Refused, Wishes, execute
from ..expect import ExpectationError, parse
from ..load.plan import Closed, Destination, Open, Plan
from ..options import Duration
from ..workloads import Workload

_FILE = click.Path(path_type=Path, dir_okay=False)
_EXISTING = click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)

_OPTIONS = (
    click.option("--nodes", help="Where zmcache nodes answer: host:port, comma between. Short for --target zmcache:..."),
    click.option("--target", help="zmcache:HOST:PORT,..., embedded:FILE, redis:HOST:PORT, memcached:HOST:PORT, dict or noop."),
    click.option("--cluster", type=_EXISTING, help="A zmcache cluster file: start its nodes, ask them, stop them."),
    click.option("--script", type=_EXISTING, help="YAML of timed events (kill, pause, start a node ...), with --cluster."),
    click.option("--group", default="items", show_default=True, help="The group to ask."),
    click.option("--route", default="owner", show_default=True, type=click.Choice(["owner", "any"]),
                 help="Ask each key's owner, or any of the given nodes."),
    click.option("--timeout", "timeout_s", default="3s", show_default=True, type=Duration(), help="Deadline of a request."),
    click.option("--callers", type=click.IntRange(1, 100_000), help="Closed loop: how many ask at once (32 if nothing is said)."),
    click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Open loop: requests a second, whether answered or not."),
    click.option("--arrivals", type=click.Choice(["constant", "poisson"]), default="constant", show_default=True, help="Of the open loop."),
    click.option("--max-in-flight", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True,
                 help="Open loop: arrivals beyond so many unanswered are skipped, and counted."),
    click.option("--duration", "duration_s", type=Duration(), help="Stop after so long (run: 10s if nothing is said)."),
    click.option("--requests", type=click.IntRange(1), help="Stop after so many requests."),
    click.option("--warmup", "warmup_s", type=Duration(), help="Ask for so long before anything counts."),
    click.option("--load", "load_first", is_flag=True, help="First write every key once (load phase)."),
    click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes that share the work."),
    click.option("--verify", is_flag=True, help="Stamp each value, and count wrong, stale and torn ones."),
    click.option("--verify-loader", metavar="MODULE:FUNCTION", help="What the cache's loader has for a key, to be held against."),
    click.option("--prefix", default=None, help="Stands before each key."),
    click.option("--expect", "expected", multiple=True, metavar="TEXT", help="A threshold: 'p99<5ms', 'hit_ratio>0.9', 'errors==0'."),
    click.option("--runs", default=1, show_default=True, type=click.IntRange(1, 1000), help="Do it so often, one after the other."),
    click.option("--json", "json_path", type=_FILE, help="Write the figures there, too."),
    click.option("--hgrm", "hgrm_path", type=_FILE, help="Write the percentiles there, as HdrHistogram's tools plot them."),
    click.option("--no-progress", is_flag=True, help="Show no live screen."),
    click.option("--allow-errors", is_flag=True, help="Failed requests do not make the exit code 1."),
)  # fmt: skip


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """All of them, in that order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def start(ctx: click.Context, workload: Workload, given: dict[str, Any], *, default_s: float | None) -> None:
    """Run what the options say. ``default_s``: how long where neither a duration nor a number of requests is given."""
    if given["duration_s"] is None and given["requests"] is None:
        given["duration_s"] = default_s
    if given["verify_loader"] and not given["verify"]:
        raise click.UsageError("--verify-loader belongs to --verify")
    scripted = _scripted(given)
    plan = Plan(
        destination=Destination(
            target="" if scripted else _target(given),
            group=given["group"],
            route=given["route"],
            timeout_s=given["timeout_s"],
        ),
        workload=workload,
        loop=_loop(workload, given),
        duration_s=given["duration_s"],
        requests=given["requests"],
        warmup_s=given["warmup_s"] or 0.0,
        load_first=given["load_first"],
        verify=given["verify"],
        verify_loader=given["verify_loader"],
        workers=given["workers"],
    )
    wishes = Wishes(
        json_path=given["json_path"],
        hgrm_path=given["hgrm_path"],
        expectations=_expectations(given["expected"]),
        runs=given["runs"],
        live=not given["no_progress"],
        allow_errors=given["allow_errors"],
    )
    execute(ctx, plan, wishes, scripted)


def _target(given: dict[str, Any]) -> str:
    if bool(given["nodes"]) == bool(given["target"]):
        raise click.UsageError("say what to ask: one of --nodes, --target and --cluster")
    target: str = given["target"] or f"zmcache:{given['nodes']}"
    return target


def _scripted(given: dict[str, Any]) -> Scripted | None:
    if given["cluster"] is None:
        if given["script"] is not None:
            raise click.UsageError("--script needs --cluster: only processes of its own are stopped or killed")
        return None
    if given["nodes"] or given["target"]:
        raise click.UsageError("--cluster starts the nodes that are asked: neither --nodes nor --target go with it")
    try:
        return Scripted.from_files(given["cluster"], given["script"], duration_s=given["duration_s"])
    except LoadgenError as exc:
        raise Refused(str(exc)) from exc


def _loop(workload: Workload, given: dict[str, Any]) -> Closed | Open:
    if given["callers"] is not None and (given["rate"] is not None or workload.timed):
        raise click.UsageError("--callers is of the closed loop; --rate and a recorded pace are of the open one")
    if workload.timed:
        if given["rate"] is not None:
            raise click.UsageError("either --rate or the recorded pace")
        return Open(rate=None, arrivals="recorded", max_in_flight=given["max_in_flight"])
    if given["rate"] is not None:
        return Open(rate=given["rate"], arrivals=given["arrivals"], max_in_flight=given["max_in_flight"])
    return Closed(callers=given["callers"] or 32)


def _expectations(texts: Sequence[str]) -> list[Any]:
    try:
        return [parse(text) for text in texts]
    except ExpectationError as exc:
        raise click.UsageError(str(exc)) from exc
