"""Near copies under a writer that sets a thousand times a second, while what owners tell is lost, late, doubled or overtaken, an owner begins
anew, or the reader stands still for a minute: over a million reads of copies, and none finds what was replaced longer ago than is promised.

Each row has two nodes, a writer and a reader, each a process of its own; between the reader and the nodes stands a relay that does wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import near_reader
import near_writer
import pytest
from near_table import KEYS, make_table
from news_relay import NewsRelay
from processes import Command, free_port

import zmcache

PROMISED_S: Final = 2.0  # docs/client.md, "Near copies"
SEED: Final = 7
NEAR_READS: Final = 150_000
"""At the least, in each row."""
LEAST_SETS_A_SECOND: Final = 0.8 * near_writer.RATE
SECONDS: Final = 6.0
"""How long a row is looked at: a copy that nobody speaks of any more would be three times as old as is promised."""
SUSPENDED_S: Final = 60.0

CONFIG = """
node: {{id: {me}, listen: "tcp://{at}", advertise: "tcp://{front}", drain_timeout: 1s}}
discovery: {{static: {members}}}
groups:
  items: {{budget: 32MiB}}
"""


class Program:
    """One of ours, which is told by lines when to begin and to end."""

    def __init__(self, module: Any, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", module.__file__, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    async def hear(self, limit_s: float = 30.0) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(limit_s):
            return await asyncio.to_thread(self.process.stdout.readline)

    def say(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()


class World:
    """The processes of one row."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.relay = NewsRelay(SEED)
        self.nodes: dict[str, Command] = {}

    async def begin(self) -> None:
        bound = {name: f"127.0.0.1:{free_port()}" for name in "ab"}
        fronts = {name: await self.relay.front(at) for name, at in bound.items()}
        members = json.dumps([{"id": name, "endpoint": f"tcp://{at}"} for name, at in fronts.items()])
        for name, at in bound.items():
            text = CONFIG.format(me=name, at=at, front=fronts[name], members=members)
            (self.folder / f"{name}.yaml").write_text(text)
            await self.start(name)
        self.address = ",".join(fronts.values())
        async with zmcache.connect(self.address) as client:
            self.owners = {client.ring().owner(key).node_id for key in KEYS}

    async def start(self, name: str) -> None:
        self.nodes[name] = node = Command("serve", f"{name}.yaml", folder=self.folder)
        await asyncio.to_thread(node.wait_line, rf"^{name} serves at ")

    async def end(self) -> None:
        for node in self.nodes.values():
            await asyncio.to_thread(node.end)
        await self.relay.close()


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    made = World(folder)
    try:
        await made.begin()
        yield made
    finally:
        await made.end()


async def nothing_happens(world: World, reader: Program) -> None:
    await asyncio.sleep(SECONDS)


def treated(treat: Callable[[NewsRelay], Any], what: str) -> Callable[[World, Program], Awaitable[None]]:
    async def act(world: World, reader: Program) -> None:
        world.relay.treat = treat(world.relay)
        await asyncio.sleep(SECONDS)
        world.relay.relent()
        assert world.relay.done[what] > 3, world.relay.done

    return act


async def an_owner_begins_anew(world: World, reader: Program) -> None:
    await asyncio.sleep(1.0)
    world.nodes["a"].send(signal.SIGKILL)
    await asyncio.to_thread(world.nodes["a"].wait_end)
    world.nodes["a"].end()
    await world.start("a")
    await asyncio.sleep(SECONDS)


async def the_reader_is_suspended(world: World, reader: Program) -> None:
    await asyncio.sleep(1.0)
    reader.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(SUSPENDED_S)
    reader.process.send_signal(signal.SIGCONT)
    await asyncio.sleep(SECONDS)


ROWS = {
    "none": nothing_happens,
    "some lost": treated(lambda relay: relay.lose_some, "lost"),
    "all lost": treated(lambda relay: relay.lose_all, "lost"),
    "doubled": treated(lambda relay: relay.double, "doubled"),
    "some delayed": treated(lambda relay: relay.delay, "delayed"),
    "held back": treated(lambda relay: relay.hold_news, "held back"),
    "held back with all else": treated(lambda relay: relay.hold_all, "held back"),
    "reordered": treated(lambda relay: relay.reorder, "reordered"),
    "an owner restarted": an_owner_begins_anew,
    "suspended for a minute": the_reader_is_suspended,
}
assert len(ROWS) * NEAR_READS > 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_no_read_finds_what_was_replaced_longer_ago_than_is_promised(row: str, tmp_path: Path) -> None:
    table = tmp_path / "table"
    make_table(table)

    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        async with world(tmp_path) as made:
            assert made.owners == {"a", "b"}
            writer = Program(near_writer, made.address, str(table))
            try:
                assert await writer.hear() == "ready\n"
                reader = Program(near_reader, made.address, str(table), str(NEAR_READS))
                made.relay.victim = reader.process.pid
                try:
                    assert await reader.hear() == "ready\n"
                    writer.say()
                    reader.say()
                    await ROWS[row](made, reader)
                    reader.say()
                    found = json.loads(await reader.hear(near_reader.LIMIT_S + 10))
                    writer.say()
                    return found, json.loads(await writer.hear())
                finally:
                    reader.end()
            finally:
                writer.end()

    found, wrote = asyncio.run(main())
    rate = wrote["sets"] / wrote["seconds"]
    told = f"{row}: {found}, {wrote['sets']} sets, {rate:.0f} a second, {wrote['failed']} failed"
    print(told)
    assert rate >= LEAST_SETS_A_SECOND, told
    assert found["near"] >= NEAR_READS, told
    assert found["near"] >= 0.9 * found["reads"], told
    assert found["oldest_s"] <= PROMISED_S, told
    if row == "suspended for a minute":
        assert found["slept_s"] > SUSPENDED_S - 1, told
