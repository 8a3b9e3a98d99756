"""The figures of a run as people read them in a terminal. It computes nothing: what it shows is in the JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .load.figures import Figures

_MEASURES: Final = ("mean", "p50", "p90", "p99", "p99.9", "max")


def print_table(shown: Figures, console: Console | None = None) -> None:
    """Print the figures for people, to the standard output unless told otherwise."""
    console = console or _console()
    console.print(_headline(shown), soft_wrap=True)
    if shown["partial"]:
        console.print(f"[bold yellow]PARTIAL:[/] {escape(shown['partial'])}", soft_wrap=True)
    for limit in shown["bottlenecks"]:
        console.print(f"[bold red]INVALID:[/] {escape(limit)}", soft_wrap=True)
    if shown["service_us"] is None:
        _print_titled(console, "latency in us", _latency_table(shown["latency_us"]))
    else:
        _print_titled(
            console,
            "response time in us, from when the request was meant to leave",
            _latency_table(shown["latency_us"]),
        )
        _print_titled(console, "service time in us, from when it left", _latency_table(shown["service_us"]))
    if shown["reads"]:
        _print_titled(console, "reads by where the answer came from", _tier_table(shown))
    if shown["nodes"]:
        _print_titled(console, "what each node counted meanwhile", _node_table(shown))
    if shown["reads"]:
        console.print("\n" + _loads_line(shown["loads"], shown["nodes"]), soft_wrap=True)
    if shown["verify"] is not None:
        console.print(_verify_line(shown["verify"]), soft_wrap=True)
    console.print(_generator_line(shown["generator"]), soft_wrap=True)
    console.print(_errors_line(shown["errors"]), soft_wrap=True)


def _console() -> Console:
    """The standard output; a file or a pipe has no width, and a table that is kept must not be cut for one."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=140)


def _print_titled(console: Console, title: str, table: Table) -> None:
    console.print(f"\n[bold]{title}[/]")
    console.print(table)


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _headline(shown: Figures) -> str:
    seed = "" if shown["seed"] is None else f", seed {shown['seed']}"
    workers = f", {shown['workers']} workers" if shown["workers"] > 1 else ""
    warmup = f" after {shown['warmup_s']:g} s of warm-up" if shown["warmup_s"] else ""
    skipped = f", [bold red]{shown['skipped']:,} skipped[/]" if shown["skipped"] else ""
    return (
        f"[bold]{_loop(shown['loop'])}{workers}{seed}[/]: {_told(shown['workload'])}\n{_told(shown['target'])}\n"
        f"{shown['requests']:,} requests in {shown['seconds']:.2f} s{warmup}, [bold]{shown['requests_per_s']:,.0f} requests/s[/]{skipped}"
    )


def _loop(loop: Mapping[str, Any]) -> str:
    if loop["kind"] == "closed":
        return f"closed loop, {loop['callers']:,} callers"
    if loop["rate"] is None:
        return "open loop, at the recorded pace"
    return f"open loop, {loop['rate']:,.0f} requests/s, {loop['arrivals']} arrivals"


def _told(parameters: Mapping[str, Any]) -> str:
    """The kind, and every other parameter that is not empty."""
    words = [parameters["kind"]]
    for name, value in parameters.items():
        if name != "kind" and value not in ("", None):
            words.append(
                f"{name.replace('_', ' ')} {'-'.join(map(str, dict.fromkeys(value))) if isinstance(value, list) else value}"
            )
    return escape(", ".join(words))


def _latency_table(latencies: Mapping[str, Figures]) -> Table:
    table = _table()
    table.add_column("")
    for heading in ("requests", *_MEASURES):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, latency in latencies.items():
        if latency["count"] or name == "all":
            table.add_row(name, f"{latency['count']:,}", *(_microseconds(latency[measure]) for measure in _MEASURES))
    return table


def _microseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _tier_table(shown: Figures) -> Table:
    table = _table()
    table.add_column("")
    table.add_column("reads", justify="right")
    table.add_column("share", justify="right")
    for tier, count in shown["tiers"].items():
        if not count and tier in ("hot", "found"):
            continue  # not every target has it
        table.add_row(tier, f"{count:,}", _share(count, shown["reads"]))
    ratio = shown["hit_ratio"]
    table.add_row("hit ratio", "", "-" if ratio is None else f"{ratio:.2%}", style="bold")
    return table


def _node_table(shown: Figures) -> Table:
    table = _table()
    table.add_column("node")
    for heading in ("requests", "share", "loads"):
        table.add_column(heading, justify="right")
    table.add_column("")
    total = sum(node["requests"] for node in shown["nodes"].values())
    for node_id, node in shown["nodes"].items():
        share = _share(node["requests"], total)
        state = "" if node["state"] == "stayed" else node["state"]
        table.add_row(escape(node_id), f"{node['requests']:,}", share, f"{node['loads']:,}", state)
    return table


def _share(count: int, total: int) -> str:
    return f"{count / total:.2%}" if total else "-"


def _loads_line(loads: Figures, nodes: Figures) -> str:
    distinct = f"{'' if loads['distinct_exact'] else 'at least '}{loads['distinct_keys']:,} distinct keys read"
    if not nodes:
        return distinct
    return (
        f"loads: {'' if loads['loaded_exact'] else 'at least '}{loads['loaded']:,} keys loaded by the nodes, {distinct}"
    )


def _verify_line(verify: Figures) -> str:
    bad = {name: verify[name] for name in ("wrong", "stale", "torn")}
    told = ", ".join(f"{count:,} {name}" for name, count in bad.items())
    style = "bold red" if any(bad.values()) else "green"
    unverified = (
        f", [bold yellow]{verify['unverified']:,} not written by this run and so unverified[/]"
        if verify["unverified"]
        else ""
    )
    lines = [f"verified: {verify['checked']:,} values, [{style}]{told}[/]{unverified}"]
    return "\n".join([*lines, *(f"  {escape(text)}" for text in verify["first"])])


def _generator_line(generator: Figures) -> str:
    pacing = generator["pacing_ms"]
    paced = (
        ""
        if pacing is None
        else f"; requests left {pacing['p50']:.1f} ms late (p99 {pacing['p99']:.1f}, max {pacing['max']:.1f})"
    )
    lag = generator["lag_ms"]
    return f"generator: computing {generator['cpu_share']:.0%} of the time, its loop late by {lag['p50']:.1f} ms (p99 {lag['p99']:.1f}){paced}"


def _errors_line(errors: Figures) -> str:
    if not errors["total"]:
        return "errors: none"
    lines = [f"[bold red]errors: {errors['total']:,}[/]"]
    for name, seen in errors["by_class"].items():
        lines.append(f"  {name}: {seen['count']:,}, the first: {escape(seen['first'])}")
    return "\n".join(lines)
