"""``zmcache ring``: who owns how much, who owns a key, and what would move if a node came or went. It changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

import zmcache
from zmcache.cli.asking import Where, ask, asks
from zmcache.cli.ending import MISUSED, Ended
from zmcache.cli.options import Newcomer, newcomers
from zmcache.cli.tables import console, escaped, right_table

if TYPE_CHECKING:
    from rich.console import Console

OWNERS = 2  # the owner, and who stands in for it


@click.command()
@click.argument("keys", nargs=-1)
@asks
@click.option(
    "--add",
    "added",
    metavar="ID[=WEIGHT]",
    callback=newcomers,
    multiple=True,
    help="A node that might join (weight 1).",
)
@click.option("--remove", "removed", metavar="ID", multiple=True, help="A node that might leave.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON; shares from 0 to 1.")
def ring(
    keys: tuple[str, ...],
    where: Where,
    added: tuple[Newcomer, ...],
    removed: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show each node's share of the keys, and the owners of each of KEYS: the owner, and who stands in for it.

    With --add and --remove (each any number of times) show what would move: exact shares, not an estimate.
    """

    async def question(client: zmcache.Cache) -> zmcache.Topology:
        return await client.topology()

    topology = ask(where, question)
    view = view_of(topology, keys, added, removed)
    if as_json:
        click.echo(json.dumps(view, indent=2))
    else:
        show(view, console())


def view_of(
    topology: zmcache.Topology, keys: Sequence[str], added: Sequence[Newcomer], removed: Sequence[str]
) -> dict[str, Any]:
    """What is shown: ``revision``, ``nodes``, and where asked for ``keys`` and ``change``. Ends the command for an id
    that cannot be.
    """
    now = zmcache.Ring.build(topology.members, topology.revision)
    shares = now.share()
    view: dict[str, Any] = {
        "revision": topology.revision,
        "nodes": [
            {"id": m.node_id, "endpoint": m.endpoint, "weight": m.weight, "state": m.state, "zone": m.zone, "share": shares[m.node_id]}
            for m in sorted(now.members)
        ],
    }  # fmt: skip
    if keys:
        view["keys"] = {key: [owner.node_id for owner in now.owners(key, OWNERS)] for key in keys}
    if added or removed:
        then = zmcache.Ring.build(_members_then(topology, added, removed), topology.revision + 1)
        movement, shares_then = now.movement_to(then), then.share()
        view["change"] = {
            "moved": movement.share,
            "nodes": [
                {
                    "id": node_id,
                    "share": shares.get(node_id, 0.0),
                    "share_then": shares_then.get(node_id, 0.0),
                    "gained": movement.gained.get(node_id, 0.0),
                    "lost": movement.lost.get(node_id, 0.0),
                }
                for node_id in sorted({*shares, *shares_then})
            ],
        }
        if keys:
            view["change"]["keys"] = {key: [owner.node_id for owner in then.owners(key, OWNERS)] for key in keys}
    return view


def _members_then(
    topology: zmcache.Topology, added: Sequence[Newcomer], removed: Sequence[str]
) -> list[zmcache.Member]:
    then = {member.node_id: member for member in topology.members}
    for node_id in removed:
        if then.pop(node_id, None) is None:
            ids = ", ".join(sorted(member.node_id for member in topology.members))
            raise Ended(f"--remove: expected the id of a node ({ids}), found {node_id!r}", MISUSED)
    for newcomer in added:
        if newcomer.node_id in then:
            raise Ended(f"--add: expected a new id, found {newcomer.node_id!r}, which is in the ring", MISUSED)
        then[newcomer.node_id] = zmcache.Member(newcomer.node_id, "", newcomer.weight)
    return list(then.values())


def show(view: dict[str, Any], out: Console) -> None:
    """Print it as tables."""
    table = right_table("node", "share", "weight", "state", "endpoint")
    for column in table.columns[3:]:
        column.justify = "left"
    for node in view["nodes"]:
        table.add_row(
            escaped(node["id"]), f"{node['share']:.2%}", f"{node['weight']:g}", node["state"], escaped(node["endpoint"])
        )
    out.print(table)
    change = view.get("change")
    if "keys" in view:
        _show_keys(view["keys"], change, out)
    if change is not None:
        out.print(f"\n[bold]{change['moved']:.2%} of the keys would move[/]")
        table = right_table("node", "share now", "then", "gains", "loses")
        for node in change["nodes"]:
            table.add_row(
                escaped(node["id"]), *(_percent(node[name]) for name in ("share", "share_then", "gained", "lost"))
            )
        out.print(table)


def _show_keys(owners: dict[str, list[str]], change: dict[str, Any] | None, out: Console) -> None:
    out.print()
    table = right_table("key", "owner", "stands in", *(["owner then", ""] if change else []))
    for column in table.columns[1:]:
        column.justify = "left"
    for key, (owner, *others) in owners.items():
        row = [escaped(key), escaped(owner), escaped(", ".join(others)) or "-"]
        if change is not None:
            owner_then = next(iter(change["keys"][key]), "-")
            row += [escaped(owner_then), "moves" if owner_then != owner else ""]
        table.add_row(*row)
    out.print(table)


def _percent(share: float) -> str:
    return f"{share:.2%}" if share else "-"
