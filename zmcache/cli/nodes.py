"""``zmcache nodes``: who is in the ring, and how each of them is; also of those that do not answer, as far as the others know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from zmcache.cli.asking import Where, ask_cluster, asks
from zmcache.cli.cluster import Cluster, Seen, View
from zmcache.cli.tables import console, escaped, right_table
from zmcache.config import format_size

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@asks
@click.option(
    "--json", "as_json", is_flag=True, help="The same as JSON; shares from 0 to 1, null for what is not known."
)
def nodes(where: Where, as_json: bool) -> None:
    """Show the nodes of the ring: state, share, what each holds, and whether anything is amiss.

    Copies short are entries that fewer nodes hold than their group's `copies` says, as far as their owner can know. Handing over are keys and
    bytes that a node has sent in the hand-over that is under way. A node is suspected by those that do not use it because it does not answer them.
    Exit code 1 when some node does not answer.
    """

    async def question(cluster: Cluster) -> View:
        return await cluster.look(where.timeout_s)

    view = ask_cluster(where.nodes, question, where.limits)
    if as_json:
        click.echo(json.dumps(described(view), indent=2))
    else:
        show(view, console())
    if view.silent:
        click.echo(f"no answer from: {', '.join(view.silent)}", err=True)
        raise click.exceptions.Exit(1)


def described(view: View) -> dict[str, Any]:
    """The view as plain data."""
    return {"revision": view.revision, "nodes": [_described(seen) for seen in view.nodes.values()]}


def _described(seen: Seen) -> dict[str, Any]:
    member, figures = seen.member, seen.figures
    told = {"keys": None, "bytes": None, "copies_short": None, "handing_over": None} if figures is None else {
        "keys": int(seen.sum_of("entries")),
        "bytes": int(seen.sum_of("used_bytes")),
        "copies_short": int(seen.sum_of("copies_short")),
        "handing_over": {
            "under_way": bool(figures.get("handover.under_way", 0.0)),
            "keys": int(figures.get("handover.keys_now", 0.0)),
            "bytes": int(figures.get("handover.bytes_now", 0.0)),
        },
    }  # fmt: skip
    return {
        "id": member.node_id, "endpoint": member.endpoint, "zone": member.zone, "weight": member.weight,
        "state": member.state, "answers": figures is not None, "share": seen.share, **told,
        "suspected_by": list(seen.suspected_by),
    }  # fmt: skip


def show(view: View, out: Console) -> None:
    """Print it as a table."""
    zones = any(seen.member.zone for seen in view.nodes.values())
    table = right_table(
        "node", "endpoint", *(["zone"] if zones else []), "state", "share", "keys", "held", "copies short", "handing over", "suspected by"
    )  # fmt: skip
    for column in (*table.columns[1 : 4 if zones else 3], table.columns[-1]):
        column.justify = "left"
    for node_id, seen in view.nodes.items():
        member = seen.member
        table.add_row(
            escaped(node_id),
            escaped(member.endpoint),
            *([escaped(member.zone) or "-"] if zones else []),
            member.state if seen.figures is not None else f"{member.state}, not answering",
            f"{seen.share:.2%}",
            *_held(seen),
            escaped(", ".join(seen.suspected_by)) or "-",
        )
    out.print(table)


def _held(seen: Seen) -> list[str]:
    if seen.figures is None:
        return ["?"] * 4
    figures = seen.figures
    short = seen.sum_of("copies_short")
    sent = (
        f"{figures.get('handover.keys_now', 0.0):,.0f} keys, {format_size(int(figures.get('handover.bytes_now', 0.0)))}"
    )
    return [
        f"{seen.sum_of('entries'):,.0f}",
        format_size(int(seen.sum_of("used_bytes"))),
        f"{short:,.0f}" if short else "-",
        sent if figures.get("handover.under_way") else "-",
    ]
