"""``zmcache explain``: what the nodes know of one key, for people in a table, for programs as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import msgspec

import zmcache
from zmcache.cli.asking import Where, ask, asks, choose_group, in_group
from zmcache.cli.tables import console, escaped, right_table
from zmcache.config import format_duration, format_size
from zmcache.core.explained import Kept, NodeExplanation

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.argument("key")
@asks
@in_group
@click.option("--json", "as_json", is_flag=True, help="The same as JSON; times in seconds.")
def explain(key: str, where: Where, group: str | None, as_json: bool) -> None:
    """Show what is known of KEY: its owners, where its value is held, how old it is and how long it still lives, and why the last get missed.

    Nothing is loaded, and nothing counts as used. A node that does not answer is named; the exit code is 1 then.
    """

    async def question(client: zmcache.Cache) -> zmcache.Explanation:
        return await (await choose_group(client, group)).explain(key)

    told = ask(where, question)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(told), indent=2))
    else:
        show(told, console())
    silent = [node for node in told.nodes if node.error is not None]
    for node in silent:
        click.echo(f"no answer from {node.node_id} ({node.state}): {node.error}", err=True)
    if silent:
        raise click.exceptions.Exit(1)


def show(told: zmcache.Explanation, out: Console) -> None:
    """For people: a row for each thing that is there, then what each node remembers."""
    out.print(
        f"key [bold]{escaped(told.key)}[/] of group {escaped(told.group)}; owners: {escaped(', '.join(told.owners))}"
    )
    table = right_table("node", "state", "where", "age", "remaining life", "kept for", "size", "version")
    for node in told.nodes:
        for kept in node.found or (None,):
            table.add_row(escaped(node.node_id), _state(node), *_cells(node, kept))
    out.print(table)
    for node in told.nodes:
        if node.missed is not None:
            ago = "" if node.missed_ago_s is None else f" {_duration(node.missed_ago_s)} ago"
            out.print(f"{escaped(node.node_id)}: the last get that missed{ago}: {node.missed}")
        if node.took_s is not None:
            out.print(f"{escaped(node.node_id)}: the last load took {_duration(node.took_s)}")


def _state(node: NodeExplanation) -> str:
    return node.state if node.same_ring else f"{node.state}, another ring"


def _cells(node: NodeExplanation, kept: Kept | None) -> tuple[str, ...]:
    if kept is None:
        return "?" if node.error is not None else "nowhere", "", "", "", "", ""
    return (
        kept.where,
        "" if kept.age_s is None else _duration(kept.age_s),
        _life(kept, kept.ttl_s) if kept.is_fresh else "over",
        _life(kept, kept.kept_s),
        "" if kept.size is None else format_size(kept.size),
        "" if kept.version is None else str(kept.version),
    )


def _life(kept: Kept, seconds: float | None) -> str:
    if seconds is None:
        return "" if kept.size is None else "for ever"  # a load, say, has no life
    return _duration(seconds)


def _duration(seconds: float) -> str:
    return format_duration(float(f"{seconds:.3g}") if seconds < 60 else seconds)
