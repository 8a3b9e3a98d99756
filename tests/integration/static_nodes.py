"""Nodes that know one another by their config alone, each a process: without etcd, and begun again at the same address."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from processes import Command, free_port

CONFIG = """
node: {{id: {me}, listen: "tcp://{at}", drain_timeout: 1s}}
discovery: {{static: {members}}}
groups:
  items: {{budget: 32MiB, ttl_jitter: 0}}
"""


class StaticNodes:
    """``at``: where each serves, host:port."""

    def __init__(self, folder: Path, names: str) -> None:
        self.folder = folder
        self.at = {name: f"127.0.0.1:{free_port()}" for name in names}
        self.commands: dict[str, Command] = {}
        members = json.dumps([{"id": name, "endpoint": f"tcp://{at}"} for name, at in self.at.items()])
        for name, at in self.at.items():
            (folder / f"{name}.yaml").write_text(CONFIG.format(me=name, at=at, members=members))

    @property
    def address(self) -> str:
        """For a client."""
        return ",".join(self.at.values())

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


@contextlib.contextmanager
def static_nodes(folder: Path, names: str) -> Iterator[StaticNodes]:
    """A process for each letter; ended afterwards, whatever became of it."""
    nodes = StaticNodes(folder, names)
    try:
        nodes.begin(*names)
        yield nodes
    finally:
        for command in nodes.commands.values():
            command.end()
