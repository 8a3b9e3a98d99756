"""``zmcache serve``: the life of a process that is one node.

Start, say so in one line, wait to be asked to stop, drain, stop. SIGTERM, SIGINT and the end of the process that launched
it ask alike, as does `zmcache leave`; SIGHUP reads the file again. Asked a second time it stops at once; a third signal meets the default handler, so
that nothing that hangs can keep the process. To its launcher it says that it serves through the socket by which it sees the launcher's end. Asked to
begin anew it drains and stops as well, and then takes its own place (`zmcache.cli.anew`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import click
import uvloop

from zmcache.cli import collector
from zmcache.cli.anew import begin_anew
from zmcache.cli.descriptors import raise_limit, warn_of_shortage
from zmcache.cli.ending import FAILED, cancel_the_rest, one_line
from zmcache.cli.files import read_cluster
from zmcache.cli.logs import log_level_option, log_to_stderr
from zmcache.cli.options import FILE
from zmcache.cli.stopping import Stop, launched, on_hangup, parent_pipe_option, unless
from zmcache.config import NodeConfig, format_size, is_cluster_file, load_node
from zmcache.errors import ConfigError
from zmcache.node import Node

SERVES: Final = b"serves\n"
"""What a node writes to its launcher's socket, each time that it has begun to serve."""

_log = logging.getLogger("zmcache.serve")


@click.command()
@click.argument("file", type=FILE)
@click.option("--node", "node_id", metavar="ID", help="Which node of a cluster file to run.")
@click.option(
    "--etcd", multiple=True, metavar="HOST:PORT", help="Use this etcd, whatever the file says; may be repeated."
)
@log_level_option
@parent_pipe_option
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    *,
    file: Path,
    node_id: str | None,
    etcd: tuple[str, ...],
    log_level: str,
    parent_pipe: int | None,
) -> None:
    """Run one node, from a node FILE, or from a cluster FILE and the id of one of its nodes.

    SIGTERM, Ctrl-C and `zmcache leave` leave the ring, hand over what the node holds, finish what is in flight and exit 0; a second signal stops
    at once. SIGHUP reads the file again and takes over the groups' budgets. Loaders are looked for in the working directory, too.
    """
    log_to_stderr(log_level)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with one_line(), _named(file, node_id):

        def read() -> NodeConfig:
            return load_node(file, node_id=node_id, etcd=etcd or None)

        config = read()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_live(config, read, parent_pipe))
    ctx.exit(code)


async def _live(config: NodeConfig, read: Callable[[], NodeConfig], parent_pipe: int | None) -> int:
    """From start to stop; the exit code. ``read``: the config, as it is now. Raises what `Node.start` raises."""
    folder = os.getcwd()
    stop = Stop(asyncio.get_running_loop(), _log_reason)
    descriptors = raise_limit()
    with launched(parent_pipe, stop) as launcher:
        node = Node(config)
        if not await unless(stop.asked, node.start()):
            return 0
        collector.settle()
        click.echo(f"{node.member.node_id} serves at {node.member.endpoint} (pid {os.getpid()})")
        on_hangup(stop, lambda: _reload(node, read))
        node.on_leave = partial(_asked_to_leave, stop)
        if launcher is not None:
            with suppress(OSError):  # gone already: its end arrives as such
                launcher.send(SERVES)
        watch = asyncio.create_task(warn_of_shortage(lambda: len(node.ring().members), descriptors))
        await stop.asked.wait()
        watch.cancel()
        drained = await unless(stop.asked_again, node.drain())
        await node.stop()
        _log.info("%s stopped%s", node.member.node_id, "" if drained else " at once, what was in flight is lost")
        code = 0 if drained else FAILED
        if stop.anew and await stop.is_anew_at_last():
            _log.info("%s begins anew", node.member.node_id)
            try:
                # From here, not once the loop is closed: nothing that goes on and on in a thread or a task can keep it from that.
                begin_anew(folder, *(() if launcher is None else (launcher.fileno(),)))
            except OSError as error:
                _log.error("%s cannot begin anew: %s", node.member.node_id, error)
                code = FAILED
        await cancel_the_rest(code)
        return code


def _reload(node: Node, read: Callable[[], NodeConfig]) -> None:
    """On SIGHUP. A file that is wrong changes nothing."""
    try:
        budgets, waiting = node.reconfigure(read())
    except ConfigError as error:
        _log.error("SIGHUP: nothing is changed: %s", error)
        return
    for name, (old, new) in budgets.items():
        _log.info("SIGHUP: the budget of %s is %s now, it was %s", name, format_size(new), format_size(old))
    if waiting:
        _log.warning("SIGHUP: changed in the file, but only a restart will change it here: %s", ", ".join(waiting))
    if not budgets and not waiting:
        _log.info("SIGHUP: the file says what is running")


def _asked_to_leave(stop: Stop, anew: bool) -> None:
    stop.ask_from_afar("asked to begin anew" if anew else "asked to leave", anew=anew)


def _log_reason(reason: str) -> None:
    _log.info("%s: leaving the ring, handing over, finishing what is in flight", reason)


@contextmanager
def _named(file: Path, node_id: str | None) -> Iterator[None]:
    """What is wrong with a setting only shows when the node starts, a port in use for one: then, too, the message names
    the file and the place in it.
    """
    try:
        yield
    except ConfigError as error:
        if error.file:
            raise
        path = error.path
        if is_cluster_file(file):
            index = [node.id for node in read_cluster(file).nodes].index(
                node_id or os.environ.get("ZMCACHE_NODE_ID", "")
            )
            path = re.sub(r"^node\b", f"nodes[{index}]", path)
        raise ConfigError(error.expected, file=str(file), path=path) from error
