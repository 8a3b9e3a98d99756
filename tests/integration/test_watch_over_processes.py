"""Watching from a process of its own: what it is told while messages are lost, late, doubled or overtaken, and when it stood still itself."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import watching_program
from eventually import eventually_blocking
from news_relay import NewsRelay
from static_nodes import StaticNodes, relayed_nodes, static_nodes

import zmcache

KEY = "watched"
VALUE_BYTES = 64 * 1024
SILENT_S = 10.0  # docs/client.md, "Watching"
GROWTH_MOST = 48 * 2**20
"""What a node may take for one that does not read: what may be unseen of the news, and the transport's own queues; not what was set meanwhile."""


class Watcher:
    """The program, and what it has printed."""

    def __init__(self, nodes: StaticNodes) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", watching_program.__file__, nodes.address, KEY],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.updates: list[tuple[int | None, int, bool]] = []
        self.logged: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("["):
                self.updates.append(tuple(json.loads(line)))
            else:
                self.logged.append(line.rstrip())

    def wait_number(self, number: int | None) -> None:
        """Until that is the latest value."""
        eventually_blocking(
            lambda: bool(self.updates) and self.updates[-1][0] == number, lambda: (self.updates[-3:], self.logged)
        )

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def watching(nodes: StaticNodes) -> Iterator[Watcher]:
    watcher = Watcher(nodes)
    try:
        watcher.wait_number(None)
        yield watcher
    finally:
        watcher.end()


def set_all(nodes: StaticNodes, numbers: range, pause_s: float = 0.0) -> None:
    async def main() -> None:
        async with zmcache.connect(nodes.address) as cache:
            for number in numbers:
                await cache.group("items").set(KEY, b"%08d" % number + bytes(VALUE_BYTES))
                await asyncio.sleep(pause_s)

    asyncio.run(main())


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def test_a_program_that_stood_still_for_a_moment_gets_the_newest_and_the_count_of_what_it_skipped(
    tmp_path: Path,
) -> None:
    with static_nodes(tmp_path, "ab") as nodes, watching(nodes) as watcher:
        set_all(nodes, range(1, 11))
        watcher.wait_number(10)
        watcher.process.send_signal(signal.SIGSTOP)
        set_all(nodes, range(11, 1001))
        watcher.process.send_signal(signal.SIGCONT)
        watcher.wait_number(1000)
        numbers = [number for number, _, _ in watcher.updates[1:] if number is not None]
        assert numbers == sorted(numbers)
        if not any(resumed for *_, resumed in watcher.updates):
            assert sum(skipped + 1 for _, skipped, _ in watcher.updates[1:]) == 1000
            assert len(watcher.updates) < 500
        assert watcher.logged == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "go_on", "why"),
    [
        (signal.SIGUSR1, signal.SIGUSR2, "news was left unread for 10 s, and is not told any more"),
        # Of a process that is suspended the node's transport hears nothing, and ends the connection.
        (signal.SIGSTOP, signal.SIGCONT, "the connection was lost"),
    ],
    ids=["its loop stands still", "suspended"],
)
def test_a_program_that_does_not_read_is_cut_off_and_told_why_and_begins_anew(
    stop: int, go_on: int, why: str, tmp_path: Path
) -> None:
    with static_nodes(tmp_path, "a") as nodes, watching(nodes) as watcher:
        set_all(nodes, range(1, 101))
        watcher.wait_number(100)
        node = nodes.commands["a"]
        before = resident_bytes(node.pid)
        watcher.process.send_signal(stop)
        # 128 MiB, for longer than anybody is waited for.
        set_all(nodes, range(101, 2101), pause_s=(SILENT_S + 2) / 2000)
        growth = resident_bytes(node.pid) - before
        assert growth < GROWTH_MOST, f"{growth / 2**20:.0f} MiB"
        eventually_blocking(lambda: any("unread for 10 s" in line for line in node.err + node.out), lambda: node.err)
        seen = len(watcher.updates)
        watcher.process.send_signal(go_on)
        watcher.wait_number(2100)
        since = watcher.updates[seen:]
        assert {number for number, _, resumed in since if resumed} == {2100}, "it is told that it may have missed some"
        assert len(since) < 600
        eventually_blocking(lambda: any(why in line for line in watcher.logged), lambda: watcher.logged)
        set_all(nodes, range(2101, 2103))
        watcher.wait_number(2102)
        assert not watcher.updates[-1][2]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["lose_some", "double", "delay", "reorder", "hold_news", "hold_all"])
def test_no_older_value_comes_after_a_newer_one_and_each_that_does_not_come_is_told_of(
    wrong: str, tmp_path: Path
) -> None:
    async def main() -> tuple[list[tuple[int | None, int, bool]], int]:
        relay = NewsRelay(seed=7)
        async with relayed_nodes(tmp_path, "a", relay) as nodes:
            watcher = Watcher(nodes)
            try:
                relay.victim = watcher.process.pid
                await asyncio.to_thread(watcher.wait_number, None)
                relay.treat = getattr(relay, wrong)
                number = 0
                async with zmcache.connect(nodes.address) as cache:
                    loop = asyncio.get_running_loop()
                    until_s = loop.time() + 6.0
                    while loop.time() < until_s or not relay.done:
                        number += 1
                        await cache.group("items").set(KEY, b"%08d" % number)
                    relay.relent()
                    # As long as a watcher may take to find out that it missed something.
                    await asyncio.to_thread(watcher.wait_number, number)
                print(f"{wrong}: {number} sets, {len(watcher.updates)} updates, {relay.done}")
                return list(watcher.updates), number
            finally:
                watcher.end()

    updates, last = asyncio.run(main())
    before = extra = 0
    for at, (number, skipped, resumed) in enumerate(updates[1:], 1):
        assert number is not None
        near = f"{updates[max(0, at - 3) : at + 3]}"
        if resumed:
            assert number >= before, near
        else:
            assert before < number <= before + skipped + 1, near
            extra += before + skipped + 1 - number
        before = number
    # Who is watched anew is told again what it may have seen, and that counts as one.
    assert extra <= sum(resumed for *_, resumed in updates)
    assert before == last > 500


def test_a_watch_on_a_group_that_no_node_has_is_refused(tmp_path: Path) -> None:
    async def main(nodes: StaticNodes) -> None:
        async with zmcache.connect(nodes.address) as cache:
            with pytest.raises(zmcache.UnknownGroup, match="nothing"):
                await asyncio.wait_for(anext(cache.group("nothing").watch(KEY)), 10)
            updates = cache.group("items").watch(KEY)
            assert not (await asyncio.wait_for(anext(updates), 10)).exists
            await updates.aclose()

    with static_nodes(tmp_path, "ab") as nodes:
        asyncio.run(main(nodes))
