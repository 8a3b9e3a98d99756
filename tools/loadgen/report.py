"""The result as one set of figures: the table shows them, the JSON file holds them, and neither computes anything of
its own.

The JSON object, schema 1 (a number is added to when a key changes its meaning or goes; new keys may come any time)::

    schema, tool          1, "zmcache-loadgen"
    partial               null, or why the run ended before it was meant to
    loop, callers, seed   "closed"; how many asked at once; null for a trace
    target, workload      objects: what was asked, for what
    seconds               from the first request to the last answer
    requests, reads       all that came to an end, failed ones too; those of them that were reads and did not fail
    requests_per_s        those that did not fail, a second
    errors                {"total": n, "by_class": {name: {"count": n, "first": text of the first}}}
    latency_us            {"all", "hits", "misses", "writes"}: {"count", "mean", "p50", "p90", "p99", "p99.9", "max"}, null without samples;
                          microseconds; "all" includes failed requests, "misses" are reads that were loaded or found no such key
    tiers                 reads by where they were answered from: {"hot", "owner", "load", "absent"}
    hit_ratio             hot and owner among all reads that did not fail, 0 to 1, or null
    loads                 {"loaded": keys that the nodes' loaders were asked for meanwhile, "distinct_keys": different keys that were read,
                          "loaded_exact", "distinct_exact": false where it is "at least so many"}
    nodes                 {node id: {"requests", "loads", "state": "stayed" | "joined" | "left" | "restarted"}}, differences over the run
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .errors import LoadgenError
from .result import Latency, Result

SCHEMA = 1
Figures = dict[str, Any]

_MEASURES = ("mean", "p50", "p90", "p99", "p99.9", "max")
_TIERS = ("hot", "owner", "load", "absent")


class ReportError(LoadgenError):
    """The JSON file cannot be written; the text names it and the system's reason."""


def figures(result: Result) -> Figures:
    """Everything that is reported, in the form of the module's docstring."""
    return {
        "schema": SCHEMA,
        "tool": "zmcache-loadgen",
        "partial": result.partial,
        "loop": result.loop,
        "callers": result.callers,
        "seed": result.seed,
        "target": dict(result.target),
        "workload": dict(result.workload),
        "seconds": round(result.seconds, 6),
        "requests": result.requests,
        "reads": sum(result.outcomes[tier] for tier in _TIERS),
        "requests_per_s": round(result.requests_per_s, 1),
        "errors": {
            "total": result.failed,
            "by_class": {error.name: {"count": error.count, "first": error.first} for error in result.errors},
        },
        "latency_us": {name: _latency(latency) for name, latency in result.latencies.items()},
        "tiers": {tier: result.outcomes[tier] for tier in _TIERS},
        "hit_ratio": None if result.hit_ratio is None else round(result.hit_ratio, 6),
        "loads": {
            "loaded": result.loads,
            "loaded_exact": result.loads_exact,
            "distinct_keys": result.distinct_keys,
            "distinct_exact": result.distinct_exact,
        },
        "nodes": {node_id: share._asdict() for node_id, share in result.nodes.items()},
    }


def check_writable(path: Path) -> None:
    """See before the run that its report can be kept, or raise `ReportError`. Nothing is overwritten, or left behind."""
    try:
        existed = path.exists()
        with path.open("a"):
            pass
        if not existed:
            path.unlink()
    except OSError as exc:
        raise ReportError(f"{path}: cannot be written: {exc.strerror or exc}") from exc


def write_json(path: Path, shown: Figures) -> None:
    """Keep the figures. Raises `ReportError`."""
    try:
        path.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
    except OSError as exc:
        raise ReportError(f"{path}: cannot be written: {exc.strerror or exc}") from exc


def print_table(shown: Figures, console: Console | None = None) -> None:
    """Print the figures for people, to the standard output unless told otherwise."""
    console = console or _console()
    console.print(_headline(shown), soft_wrap=True)
    if shown["partial"]:
        console.print(f"[bold yellow]PARTIAL:[/] {escape(shown['partial'])}", soft_wrap=True)
    _print_titled(console, "latency in us", _latency_table(shown))
    _print_titled(console, "reads by where the answer came from", _tier_table(shown))
    if shown["nodes"]:
        _print_titled(console, "what each node counted meanwhile", _node_table(shown))
    console.print("\n" + _loads_line(shown["loads"]), soft_wrap=True)
    console.print(_errors_line(shown["errors"]), soft_wrap=True)


def _latency(latency: Latency) -> dict[str, float | int | None]:
    values = (latency.mean_us, latency.p50_us, latency.p90_us, latency.p99_us, latency.p999_us, latency.max_us)
    rounded = (None if value is None else round(value, 1) for value in values)
    return {"count": latency.count, **dict(zip(_MEASURES, rounded, strict=True))}


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
    return (
        f"[bold]{shown['loop']} loop, {shown['callers']} callers{seed}[/]: {_told(shown['workload'])}\n{_told(shown['target'])}\n"
        f"{shown['requests']:,} requests in {shown['seconds']:.2f} s, [bold]{shown['requests_per_s']:,.0f} requests/s[/]"
    )


def _told(parameters: Mapping[str, Any]) -> str:
    """The kind, and every other parameter that is not empty."""
    words = [parameters["kind"]]
    for name, value in parameters.items():
        if name != "kind" and value not in ("", None):
            words.append(
                f"{name.replace('_', ' ')} {'-'.join(map(str, dict.fromkeys(value))) if isinstance(value, list) else value}"
            )
    return escape(", ".join(words))


def _latency_table(shown: Figures) -> Table:
    table = _table()
    table.add_column("")
    for heading in ("requests", *_MEASURES):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, latency in shown["latency_us"].items():
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


def _loads_line(loads: Figures) -> str:
    loaded = f"{'' if loads['loaded_exact'] else 'at least '}{loads['loaded']:,}"
    distinct = f"{'' if loads['distinct_exact'] else 'at least '}{loads['distinct_keys']:,}"
    return f"loads: {loaded} keys loaded by the nodes, {distinct} distinct keys read"


def _errors_line(errors: Figures) -> str:
    if not errors["total"]:
        return "errors: none"
    lines = [f"[bold red]errors: {errors['total']:,}[/]"]
    for name, seen in errors["by_class"].items():
        lines.append(f"  {name}: {seen['count']:,}, the first: {escape(seen['first'])}")
    return "\n".join(lines)
