"""``zmcache stats``: the counters of every node, for people as two tables, for programs as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click
from rich.table import Table

import zmcache
from zmcache.cli.asking import Where, ask, asks, group_names
from zmcache.cli.tables import console, escaped, right_table
from zmcache.config import format_duration, format_size
from zmcache.node.about import LEFT_OUT

Figures = Mapping[str, float]


@click.command()
@asks
@click.option("--json", "as_json", is_flag=True, help="All counters, by node and name.")
def stats(where: Where, as_json: bool) -> None:
    """Show what each node has counted since it started.

    Requests are keys that clients asked for, forwarded are keys that other nodes passed on. A node that does not answer
    is named; the exit code is 1 then.
    """

    async def question(client: zmcache.Cache) -> tuple[set[str], dict[str, dict[str, float]]]:
        members = {member.node_id for member in (await client.topology()).members}
        return members, await client.statistics()

    members, statistics = ask(where, question)
    if as_json:
        click.echo(json.dumps(statistics, indent=2, sort_keys=True))
    else:
        out = console()
        out.print(_node_table(statistics))
        for group in group_names(statistics):
            out.print(f"\n[bold]group {escaped(group)}[/]")
            out.print(_group_table(group, statistics))
    for node_id, figures in sorted(statistics.items()):
        if LEFT_OUT in figures:
            click.echo(f"{node_id} has {figures[LEFT_OUT]:,.0f} more figures than fit one message", err=True)
    silent = sorted(members - statistics.keys())
    if silent:
        click.echo(f"no answer from: {', '.join(silent)}", err=True)
        raise click.exceptions.Exit(1)


def _node_table(statistics: Mapping[str, Figures]) -> Table:
    table = right_table("node", "up", "share", "requests", "forwarded", "frames", "bad", "refused", "peers in use")
    for node_id, figures in sorted(statistics.items()):
        table.add_row(
            escaped(node_id),
            format_duration(round(figures["uptime_s"])),
            f"{figures['ring.share']:.2%}",
            *(f"{figures[name]:,.0f}" for name in ("requests", "forwarded", "frames", "bad_frames", "refused")),
            f"{figures['peers.in_use']:.0f} of {figures['peers']:.0f}",
        )
    return table


def _group_table(group: str, statistics: Mapping[str, Figures]) -> Table:
    table = right_table(
        "node", "entries", "used", "budget", "hits", "hit ratio", "loads", "failed", "asked", "evicted", "expired"
    )
    for node_id, figures in sorted(statistics.items()):
        if f"group.{group}.entries" in figures:
            table.add_row(escaped(node_id), *_group_row(figures, f"group.{group}."))
    return table


def _group_row(figures: Figures, prefix: str) -> list[str]:
    def count(name: str) -> str:
        return f"{figures[prefix + name]:,.0f}"

    hits = figures[prefix + "hits"] + figures[prefix + "hot_hits"]
    looked = hits + figures[prefix + "misses"]
    return [
        count("entries"),
        format_size(int(figures[prefix + "used_bytes"])),
        format_size(int(figures[prefix + "budget_bytes"])),
        f"{hits:,.0f}",
        f"{hits / looked:.1%}" if looked else "-",
        *(count(name) for name in ("loads", "load_failures", "asked", "evictions", "expirations")),
    ]
