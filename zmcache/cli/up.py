"""``zmcache up``: the nodes of a cluster file as processes of this machine, and with ``etcd: embedded`` an etcd of
their own.

It starts all or nothing: a node that does not come up takes the others down. Once all serve, a node that ends is
announced and not started again, for a node that dies is something to look at; the others go on. A node that is asked to begin anew
(`zmcache rolling-restart`) does so in its own place and never ends. It all ends when it is
asked to (Ctrl-C, SIGTERM) or when no node is left. The nodes go first, each draining, then etcd, so that they can say
goodbye. If this process is killed outright, the nodes see their sockets to it end and drain, and the kernel ends etcd.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import click
import uvloop

from zmcache.cli.children import Child, DiedAtStart, arguments_for
from zmcache.cli.ending import FAILED, one_line
from zmcache.cli.files import read_cluster
from zmcache.cli.logs import log_level_option
from zmcache.cli.options import FILE
from zmcache.cli.stopping import Stop, launched, on_hangup, parent_pipe_option, unless
from zmcache.config import ClusterConfig
from zmcache.embedded_etcd import EmbeddedEtcd
from zmcache.errors import DiscoveryError

_COLOURS: Final = ("cyan", "magenta", "yellow", "blue", "green", "bright_red")
_BEYOND_DRAIN_S: Final = 5.0
"""After its drain_timeout a node still revokes its lease and closes; who needs longer than this hangs."""
_ETCD_LOOK_S: Final = 0.5


@click.command()
@click.argument("file", type=FILE)
@log_level_option
@parent_pipe_option
@click.pass_context
def up(ctx: click.Context, /, *, file: Path, log_level: str, parent_pipe: int | None) -> None:
    """Run all nodes of a cluster FILE on this machine, and an etcd of their own with `etcd: embedded`.

    Ctrl-C takes everything down, nodes draining first; a second one at once. SIGHUP has the nodes read the file again,
    and take over their groups' budgets. A node that ends is announced and not started again. Exit code 1 when a node did not start, or none is left.
    """
    with one_line():
        cluster = read_cluster(file)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_Cluster(file, cluster, log_level).run(parent_pipe))
    ctx.exit(code)


class _Cluster:
    """One run of it."""

    def __init__(self, file: Path, config: ClusterConfig, log_level: str) -> None:
        self._file = file
        self._config = config
        self._log_level = log_level
        self._width = max(len(name) for name in ("etcd", "up", *(node.id for node in config.nodes)))
        self._children: list[Child] = []
        self._stop: Stop | None = None

    async def run(self, parent_pipe: int | None) -> int:
        """From start to end; the exit code. Raises `ConfigError` or `DiscoveryError` when etcd cannot be started."""
        self._stop = stop = Stop(
            asyncio.get_running_loop(), lambda reason: self._say(f"{reason}: taking everything down")
        )
        etcd = EmbeddedEtcd() if self._config.etcd == "embedded" else None
        try:
            with launched(parent_pipe, stop):
                if etcd is not None and not await unless(stop.asked, etcd.start()):
                    return 0
                ended_well = await self._run_nodes(stop, etcd)
                ended_well &= await self._take_down(stop)
                return 0 if ended_well else FAILED
        finally:
            # Whatever went wrong above, nothing is left behind.
            for child in self._children:
                child.kill()
            if etcd is not None:
                await etcd.stop()

    def _reload(self) -> None:
        self._say("SIGHUP: the nodes read the file again")
        for child in self._children:
            child.reload()

    async def _run_nodes(self, stop: Stop, etcd: EmbeddedEtcd | None) -> bool:
        """Start the nodes, and return when there is a reason to take down what runs; whether it is a good one."""
        if etcd is not None:
            self._say(f"etcd serves at {etcd.endpoint} (pid {etcd.pid})")
        for at, node in enumerate(self._config.nodes):
            self._children.append(await self._start(node.id, _COLOURS[at % len(_COLOURS)], etcd))
        try:
            if not await unless(stop.asked, _all_serve(self._children)):
                return True
        except DiedAtStart as error:
            self._say(f"{error}: taking everything down")
            return False
        on_hangup(stop, self._reload)  # not before: a node that does not serve yet would end of it
        self._say(f"all {len(self._children)} nodes serve; Ctrl-C takes them down")
        watch = asyncio.create_task(self._watch_etcd(etcd)) if etcd is not None else None
        try:
            if await unless(stop.asked, _all_ended(self._children)):
                self._say("no node is left")
                return False
            return True
        finally:
            if watch is not None:
                watch.cancel()

    async def _start(self, node_id: str, colour: str, etcd: EmbeddedEtcd | None) -> Child:
        arguments = arguments_for(self._file, node_id, etcd.endpoint if etcd else None, self._log_level)
        say = partial(self._say, name=node_id, colour=colour)
        return await Child.start(
            node_id, arguments, say,
            lambda code: self._say(f"{node_id} {_ending(code)}"), lambda: self._say(f"{node_id} serves again"),
        )  # fmt: skip

    async def _take_down(self, stop: Stop) -> bool:
        """SIGTERM to all, SIGKILL to what is left after the time to drain; whether none had to be killed."""
        for child in self._children:
            child.terminate()
        limit_s = max(node.drain_timeout_s for node in self._config.nodes) + _BEYOND_DRAIN_S
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await unless(stop.asked_again, _all_ended(self._children))
        late = [child for child in self._children if child.is_running]
        for child in late:
            self._say(f"{child.node_id} has not ended and is killed")
            child.kill()
        await _all_ended(self._children)
        return not late

    async def _watch_etcd(self, etcd: EmbeddedEtcd) -> None:
        with suppress(DiscoveryError):
            while etcd.pid:  # noqa: ASYNC110 - a process sets no event
                await asyncio.sleep(_ETCD_LOOK_S)
        self._say("etcd has ended; the nodes go on with the members they know")

    def _say(self, text: str, *, name: str = "up", colour: str = "white") -> None:
        try:
            click.echo(click.style(f"{name:<{self._width}} |", fg=colour, bold=name == "up") + f" {text}")
        except OSError:
            # Nobody reads any more (a closed pipe, a terminal that is gone): as good as being asked to stop.
            if self._stop is not None and not self._stop.asked.is_set():
                self._stop.ask("nobody reads the output")


async def _all_serve(children: Sequence[Child]) -> None:
    await asyncio.gather(*(child.wait_serving() for child in children))


async def _all_ended(children: Sequence[Child]) -> None:
    await asyncio.wait([child.ended for child in children])


def _ending(code: int) -> str:
    """``exited with code 1``, ``was ended by SIGKILL``."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
