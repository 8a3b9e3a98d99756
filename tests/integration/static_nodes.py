"""Nodes that know one another by their config alone, each a process: without etcd, and begun again at the same address."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from news_relay import NewsRelay
from processes import Command, free_port

CONFIG = """
node: {{id: {me}, listen: "tcp://{at}", advertise: "tcp://{front}", drain_timeout: 1s}}
discovery: {{static: {members}}}
groups:
  items: {{budget: 32MiB, ttl_jitter: 0}}
"""


class StaticNodes:
    """``at``: where each listens, host:port; ``fronts``: where others find it."""

    def __init__(self, folder: Path, names: str) -> None:
        self.folder = folder
        self.names = names
        self.at = {name: f"127.0.0.1:{free_port()}" for name in names}
        self.fronts = dict(self.at)
        self.commands: dict[str, Command] = {}

    @property
    def address(self) -> str:
        """For a client."""
        return ",".join(self.fronts.values())

    def write(self) -> None:
        """Their files, when it is known where each is found."""
        members = json.dumps([{"id": name, "endpoint": f"tcp://{front}"} for name, front in self.fronts.items()])
        for name in self.names:
            text = CONFIG.format(me=name, at=self.at[name], front=self.fronts[name], members=members)
            (self.folder / f"{name}.yaml").write_text(text)

    def begin(self, *names: str) -> None:
        """Return when they serve; one that has ended begins again."""
        for name in names:
            if name in self.commands:
                self.commands[name].end()
            self.commands[name] = Command("serve", f"{name}.yaml", folder=self.folder)
        for name in names:
            self.commands[name].wait_address(name)

    def signal(self, name: str, signum: int) -> None:
        self.commands[name].send(signum)

    def end(self) -> None:
        for command in self.commands.values():
            command.end()


@contextlib.contextmanager
def static_nodes(folder: Path, names: str) -> Iterator[StaticNodes]:
    """A process for each letter; ended afterwards, whatever became of it."""
    nodes = StaticNodes(folder, names)
    nodes.write()
    try:
        nodes.begin(*names)
        yield nodes
    finally:
        nodes.end()


@contextlib.asynccontextmanager
async def relayed_nodes(folder: Path, names: str, relay: NewsRelay) -> AsyncIterator[StaticNodes]:
    """The same, and whoever wants to reach them is brought there by the relay."""
    nodes = StaticNodes(folder, names)
    nodes.fronts = {name: await relay.front(at) for name, at in nodes.at.items()}
    nodes.write()
    try:
        await asyncio.to_thread(nodes.begin, *names)
        yield nodes
    finally:
        await asyncio.to_thread(nodes.end)
        await relay.close()
