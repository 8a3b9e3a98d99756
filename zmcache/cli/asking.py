"""A client for the time of one command, and what the commands that ask have in common: where, which group, for how
long, how much.

No environment variable stands for these options: ``ZMCACHE_*`` are settings of nodes, and a config refuses those that
it does not know.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click
import msgspec
import uvloop

import zmcache
from zmcache.cli.cluster import Cluster
from zmcache.cli.ending import MISUSED, Ended, one_line
from zmcache.cli.options import duration, size
from zmcache.config import format_size

T = TypeVar("T")

DEFAULT_NODES: Final = "127.0.0.1:7401"
_GROUP_FIGURE: Final = ".budget_bytes"  # every group reports it, so it tells which groups there are


@dataclass(frozen=True, slots=True)
class Where:
    """Whom to ask, for how long, and how large a value may be."""

    nodes: str
    timeout_s: float
    max_value_bytes: int

    @property
    def limits(self) -> zmcache.Limits:
        """The default limits with that value's, and a message's that holds it."""
        limits = zmcache.Limits()
        holding_it = limits.key_bytes + self.max_value_bytes + 1024
        return msgspec.structs.replace(
            limits,
            value_bytes=self.max_value_bytes,
            message_bytes=max(limits.message_bytes, holding_it),
            inflight_bytes=max(limits.inflight_bytes, holding_it),
        )


def nodes_option(*, default: str | None = DEFAULT_NODES) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option ``--nodes``."""
    return click.option(
        "--nodes", default=default, show_default=True, metavar="HOST:PORT,...", help="Nodes to ask; one is enough to find all."
    )  # fmt: skip


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """The options ``--nodes``, ``--timeout`` and ``--max-value``, which the command gets as one ``where``."""

    @nodes_option()
    @click.option(
        "--timeout", "timeout_s", default="3s", show_default=True, metavar="DURATION", callback=duration,
        help="How long an answer may take.",
    )  # fmt: skip
    @click.option(
        "--max-value", "max_value_bytes", default=format_size(zmcache.Limits().value_bytes), show_default=True,
        metavar="SIZE", callback=size, help="The longest value, where the nodes' limits.value is another than this.",
    )  # fmt: skip
    @functools.wraps(command)
    def asking(*args: Any, nodes: str, timeout_s: float, max_value_bytes: int, **options: Any) -> None:
        command(*args, where=Where(nodes, timeout_s, max_value_bytes), **options)

    return asking


def in_group(command: Callable[..., None]) -> Callable[..., None]:
    """The option ``--group``."""
    return click.option("--group", metavar="NAME", help="The group; where the cluster has one only, that one.")(command)


def ask(where: Where, question: Callable[[zmcache.Cache], Awaitable[T]]) -> T:
    """Connect, ask, close. Ends the command with one line when that fails."""

    async def run() -> T:
        # Whoever types a command waits as long to be told that nobody is there as for an answer.
        async with zmcache.connect(
            where.nodes, timeout=where.timeout_s, connect_timeout=where.timeout_s, limits=where.limits
        ) as client:
            return await question(client)

    with one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def ask_cluster(nodes: str, question: Callable[[Cluster], Awaitable[T]], limits: zmcache.Limits | None = None) -> T:
    """The same for what is asked of the nodes themselves, as those who run them do."""

    async def run() -> T:
        async with Cluster(nodes, limits) as cluster:
            return await question(cluster)

    with one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


async def choose_group(client: zmcache.Cache, name: str | None) -> zmcache.CacheGroup[bytes]:
    """The group of that name; without a name the only one that there is. Ends the command where there are several."""
    if name is None:
        names = group_names(await client.statistics())
        if len(names) != 1:
            raise Ended(f"say which group with --group; there are: {', '.join(names) or 'none'}", MISUSED)
        name = names[0]
    return client.group(name)


def group_names(statistics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The groups that the nodes have, by the names of their counters."""
    figures = {figure for counters in statistics.values() for figure in counters}
    return sorted(
        figure.removeprefix("group.").removesuffix(_GROUP_FIGURE)
        for figure in figures
        if figure.startswith("group.") and figure.endswith(_GROUP_FIGURE)
    )
