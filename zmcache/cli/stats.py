"""``zmcache stats``: the counters of every node, for people in tables, for programs as they are."""

from __future__ import annotations

import json

import click

import zmcache
from zmcache.cli.asking import Where, ask, asks, group_names
from zmcache.cli.counters import group_tables, node_table, node_tables
from zmcache.cli.tables import console, escaped
from zmcache.node.about import LEFT_OUT


@click.command()
@asks
@click.option("--json", "as_json", is_flag=True, help="All counters, by node and name.")
def stats(where: Where, as_json: bool) -> None:
    """Show what each node has counted since it started.

    Requests are keys that clients asked for, forwarded are keys that other nodes passed on. Entries go in four ways: deleted; evicted, since
    there was no room; expired, since their time was over; or let go, a while after the ring has moved them to others. What has not happened
    on any node is left out, but not with --json. A node that does not answer is named; the exit code is 1 then.
    """

    async def question(client: zmcache.Cache) -> tuple[set[str], dict[str, dict[str, float]]]:
        members = {member.node_id for member in (await client.topology()).members}
        return members, await client.statistics()

    members, statistics = ask(where, question)
    if as_json:
        click.echo(json.dumps(statistics, indent=2, sort_keys=True))
    else:
        out = console()
        out.print(node_table(statistics))
        for title, table in node_tables(statistics):
            out.print(f"\n[bold]{title}[/]", table, sep="\n")
        for group in group_names(statistics):
            for title, table in group_tables(group, statistics):
                out.print(f"\n[bold]group {escaped(group)}: {title}[/]", table, sep="\n")
    for node_id, figures in sorted(statistics.items()):
        if LEFT_OUT in figures:
            click.echo(f"{node_id} has {figures[LEFT_OUT]:,.0f} more figures than fit one message", err=True)
    silent = sorted(members - statistics.keys())
    if silent:
        click.echo(f"no answer from: {', '.join(silent)}", err=True)
        raise click.exceptions.Exit(1)
