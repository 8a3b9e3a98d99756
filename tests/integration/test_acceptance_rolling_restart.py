"""A rolling restart of four nodes that hold each value twice, under 5,000 gets a second: no call fails, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from processes import free_port, running

import zmcache

NODES = ("node-1", "node-2", "node-3", "node-4")
KEYS = 20_000
CHUNK = 1000
PACE_S = 0.002
AT_ONCE = 20
"""Gets by one call, so many at each tick of the pace: some 10,000 a second where the machine keeps up."""
LEAST_A_SECOND = 5_000


def value_of(key: str) -> bytes:
    return f"the value of {key}".encode() * 3


class Reading:
    """Gets at a pace, whether the earlier ones were answered or not; what failed, and what was missing or wrong."""

    def __init__(self, items: zmcache.CacheGroup[bytes]) -> None:
        self._items = items
        self._going = True
        self._under_way: set[asyncio.Task[None]] = set()
        self.gets = 0
        self.missed = 0
        self.wrong: list[str] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for tick in count():
            if not self._going:
                break
            task = loop.create_task(self._get([f"key-{(tick * AT_ONCE + n) % KEYS}" for n in range(AT_ONCE)]))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(max(0.0, began_s + (tick + 1) * PACE_S - loop.time()))
        if self._under_way:
            await asyncio.wait(self._under_way)

    def stop(self) -> None:
        self._going = False

    async def _get(self, keys: list[str]) -> None:
        values = await asyncio.gather(*map(self._items.get, keys), return_exceptions=True)
        self.gets += len(keys)
        for key, value in zip(keys, values, strict=True):
            if value is None:
                self.missed += 1
            elif value != value_of(key):
                self.wrong.append(f"{key}: {value!r}")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rolling_restart_of_four_nodes_under_load_fails_no_call_and_loses_nothing(tmp_path: Path) -> None:
    addresses = {name: f"127.0.0.1:{free_port()}" for name in NODES}
    file = tmp_path / "cluster.yaml"
    nodes = "\n".join(f'  - {{id: {name}, listen: "tcp://{at}"}}' for name, at in addresses.items())
    file.write_text(f"etcd: embedded\nnodes:\n{nodes}\ngroups:\n  items: {{budget: 64MiB, copies: 2, acks: 2}}\n")

    async def main() -> tuple[subprocess.CompletedProcess[str], Reading, float, int]:
        async with zmcache.connect(",".join(addresses.values()), timeout=5) as cache:
            items = cache.group("items")
            keys = [f"key-{n}" for n in range(KEYS)]
            for at in range(0, KEYS, CHUNK):
                assert await items.set_many({key: value_of(key) for key in keys[at : at + CHUNK]}) == []
            reading = Reading(items)
            task = asyncio.create_task(reading.run())
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            restarted = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "zmcache", "rolling-restart", str(file)],
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
            rate = reading.gets / (loop.time() - began_s)
            reading.stop()
            await task
            lost = 0
            for at in range(0, KEYS, CHUNK):
                part = keys[at : at + CHUNK]
                found = await items.get_many(part)
                lost += sum(found.get(key) != value_of(key) for key in part)
            return restarted, reading, rate, lost

    with running("up", str(file), folder=tmp_path) as up:
        up.wait_line(r"^up +\| all 4 nodes serve")
        restarted, reading, rate, lost = asyncio.run(main())
        again = [len([line for line in up.out if f"{name} serves at" in line]) for name in NODES]
    assert (restarted.returncode, restarted.stderr) == (0, "")
    assert again == [2] * len(NODES), "each has begun again"
    assert (reading.wrong, reading.missed, lost) == ([], 0, 0), f"of {reading.gets} gets, {rate:.0f} a second"
    assert rate >= LEAST_A_SECOND
