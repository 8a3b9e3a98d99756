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
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import near_reader
import near_writer
import pytest
from near_table import KEYS, make_table
from news_relay import NewsRelay
from static_nodes import StaticNodes, relayed_nodes

import zmcache

PROMISED_S: Final = 2.0  # docs/client.md, "Near copies"
SEED: Final = 7
NEAR_READS: Final = 150_000
"""At the least, in each row."""
LEAST_SETS_A_SECOND: Final = 0.8 * near_writer.RATE
SECONDS: Final = 6.0
"""How long a row is looked at: a copy that nobody speaks of any more would be three times as old as is promised."""
SUSPENDED_S: Final = 60.0


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


class World(NamedTuple):
    """What an act has in its hands."""

    nodes: StaticNodes
    relay: NewsRelay
    reader: Program


@contextlib.contextmanager
def running(module: Any, *arguments: str) -> Iterator[Program]:
    program = Program(module, *arguments)
    try:
        yield program
    finally:
        program.end()


async def nothing_happens(world: World) -> None:
    await asyncio.sleep(SECONDS)


def treated(treat: Callable[[NewsRelay], Any], what: str) -> Callable[[World], Awaitable[None]]:
    async def act(world: World) -> None:
        world.relay.treat = treat(world.relay)
        await asyncio.sleep(SECONDS)
        world.relay.relent()
        assert world.relay.done[what], world.relay.done

    return act


async def an_owner_begins_anew(world: World) -> None:
    await asyncio.sleep(1.0)
    world.nodes.signal("a", signal.SIGKILL)
    await asyncio.to_thread(world.nodes.begin, "a")
    await asyncio.sleep(SECONDS)


async def the_reader_is_suspended(world: World) -> None:
    await asyncio.sleep(1.0)
    world.reader.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(SUSPENDED_S)
    world.reader.process.send_signal(signal.SIGCONT)
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
        relay = NewsRelay(SEED)
        async with relayed_nodes(tmp_path, "ab", relay) as nodes:
            async with zmcache.connect(nodes.address) as client:
                assert {client.ring().owner(key).node_id for key in KEYS} == {"a", "b"}
            with running(near_writer, nodes.address, str(table)) as writer:
                assert await writer.hear() == "ready\n"
                with running(near_reader, nodes.address, str(table), str(NEAR_READS)) as reader:
                    relay.victim = reader.process.pid
                    assert await reader.hear() == "ready\n"
                    writer.say()
                    reader.say()
                    await ROWS[row](World(nodes, relay, reader))
                    reader.say()
                    found = json.loads(await reader.hear(near_reader.LIMIT_S + 10))
                    writer.say()
                    return found, json.loads(await writer.hear())

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
