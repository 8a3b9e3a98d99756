"""``zmcache leave`` and ``zmcache rolling-restart``: taking nodes out of service, and back, while the others serve."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import click

from zmcache.cli.asking import ask_cluster, nodes_option
from zmcache.cli.cluster import Cluster, View
from zmcache.cli.ending import FAILED, MISUSED, Ended, one_line
from zmcache.cli.files import read_cluster
from zmcache.cli.options import FILE, duration, duration_or_none
from zmcache.cli.progress import Progress
from zmcache.cli.tables import console
from zmcache.cli.waiting import Waiting
from zmcache.config import ClusterConfig

# To leave takes `drain_timeout` at most, 30 s unless set otherwise; to begin anew `join_timeout` on top of that, as long.
_LEAVE_S: Final = 60.0
_ANEW_S: Final = 120.0


@click.command()
@click.argument("node_id", metavar="NODE")
@nodes_option()
@click.option("--anew", is_flag=True, help="Have it begin again in its place, and wait until it serves.")
@click.option(
    "--timeout", "timeout_s", metavar="DURATION", callback=duration_or_none,
    help="How long it may take.  [default: 1m; 2m with --anew]",
)  # fmt: skip
def leave(node_id: str, nodes: str, anew: bool, timeout_s: float | None) -> None:
    """Ask NODE to leave the ring, and wait until it has handed over what it holds and is gone.

    It does what it does on SIGTERM: its values go to their new owners, then it ends with exit code 0. Exit code 1 when there is no such node,
    it cannot be reached, is not gone in time, or could not hand over everything; it goes on with what it was asked all the same.
    """

    async def question(cluster: Cluster) -> str:
        waiting = Waiting(cluster, progress, timeout_s or (_ANEW_S if anew else _LEAVE_S))
        return await (waiting.restart(node_id) if anew else waiting.leave(node_id))

    with Progress(console()) as progress:
        progress.done(ask_cluster(nodes, question))


@click.command()
@click.argument("file", type=FILE, required=False)
@nodes_option(default=None)
@click.option(
    "--timeout", "timeout_s", default="2m", show_default=True, metavar="DURATION", callback=duration,
    help="How long one node may take, and the others to come to rest.",
)  # fmt: skip
@click.option(
    "--pause", "pause_s", metavar="DURATION", callback=duration_or_none, help="How long to wait between two nodes."
)
def rolling_restart(file: Path | None, nodes: str | None, timeout_s: float, pause_s: float | None) -> None:
    """Restart the nodes of a cluster FILE, or all that --nodes lead to, one after another.

    Each hands over what it holds, begins again in its place with the config and the code as they are then, and is handed back what it is to
    hold; only when nobody has anything to hand over any more is it the next one's turn. Stops, with exit code 1, at the first that does not
    serve again.
    """
    with one_line():
        config = None if file is None else read_cluster(file)
    addresses = nodes or _addresses_in(config)

    async def question(cluster: Cluster) -> None:
        await _restart_all(cluster, progress, config, timeout_s, pause_s or 0.0)

    with Progress(console()) as progress:
        ask_cluster(addresses, question)


def _addresses_in(config: ClusterConfig | None) -> str:
    if config is None:
        raise Ended("say which cluster: its FILE, or some of its nodes with --nodes", MISUSED)
    known = [node.endpoint for node in config.nodes if not node.endpoint.endswith(":0")]
    if not known:
        raise Ended("the file leaves the ports to the system: name a node with --nodes", MISUSED)
    return ",".join(known)


async def _restart_all(
    cluster: Cluster, progress: Progress, config: ClusterConfig | None, timeout_s: float, pause_s: float
) -> None:
    waiting = Waiting(cluster, progress, timeout_s)
    view = await waiting.rest("waiting for the cluster to come to rest")
    order = _order(view, config)
    if view.revision == 0 and len(order) > 1:
        progress.done(
            "the members are a fixed list: nothing can be handed over before a node begins anew, only copies remain"
        )
    for number, node_id in enumerate(order, start=1):
        if number > 1 and pause_s:
            progress.now(f"waiting before {node_id}")
            await asyncio.sleep(pause_s)
        try:
            done = await waiting.restart(node_id)
            await waiting.rest(f"{node_id} serves again; waiting for the others to hand over")
        except Ended as error:
            left = len(order) - number
            raise Ended(
                f"stopped at {node_id} ({number} of {len(order)}): {error.message}"
                + (f"; {left} have not been touched" if left else ""),
                FAILED,
            ) from error
        progress.done(f"{number} of {len(order)}: {done}")


def _order(view: View, config: ClusterConfig | None) -> list[str]:
    """As the file has them; without one by id."""
    if config is None:
        return sorted(view.nodes)
    order = [node.id for node in config.nodes]
    missing = [node_id for node_id in order if node_id not in view.nodes]
    if missing:
        raise Ended(f"not in the ring: {', '.join(missing)}; nothing was restarted")
    return order
