"""More is asked of a node than it can do, on real sockets: whoever asks for it gets less, and the others do not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from eventually import eventually
from mesh_fixture import took_less_than
from scripted_loader import ScriptedLoader

import zmcache
from zmcache.config import load_node

CONFIG = """
node: {id: only, listen: "tcp://127.0.0.1:0", drain_timeout: 1s}
groups:
  hangs: {budget: 16MiB, max_loads: 4, max_queued: 50, load_timeout: 400ms, loader: {import: "blocking_backend:load"}}
  works: {budget: 16MiB, max_loads: 4, max_queued: 500, loader: {import: "zmcache.examples:echo", batch: true}}
"""
BACKEND = """
import threading
go_on = threading.Event()

def load(key):
    go_on.wait()
    return b"late"
"""


@asynccontextmanager
async def serving(folder: Path, **loaders: ScriptedLoader) -> AsyncIterator[str]:
    """A node on this loop, and where it answers."""
    (folder / "blocking_backend.py").write_text(BACKEND)
    (folder / "node.yaml").write_text(CONFIG)
    async with zmcache.Node(load_node(folder / "node.yaml"), loaders=loaders) as node:
        yield node.member.endpoint.removeprefix("tcp://")


@pytest.fixture(autouse=True)
def backend_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)


def test_a_loader_that_blocks_takes_only_the_slots_of_its_own_group(tmp_path: Path) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as address, zmcache.connect(address) as client:
            hangs, works = client.group("hangs"), client.group("works")
            stuck = [asyncio.create_task(hangs.get(f"k{n}", timeout=2)) for n in range(200)]
            await asyncio.sleep(0.1)
            with took_less_than(1.0):
                assert all(await asyncio.gather(*(works.get(f"k{n}") for n in range(100))))
            failed = await asyncio.gather(*stuck, return_exceptions=True)
            assert {type(error) for error in failed} <= {zmcache.LoadTimeout, zmcache.Busy, zmcache.DeadlineExceeded}
            # Its threads are still taken, and what would have to wait for longer than it has time is told at once.
            with took_less_than(0.2), pytest.raises(zmcache.Busy):
                await hangs.get("one more", timeout=0.3)
            import blocking_backend  # type: ignore[import-not-found]  # made by this test

            blocking_backend.go_on.set()
            await asyncio.sleep(0.1)
            assert await hangs.get("and one more") == b"late"

    asyncio.run(ask())


FLOOD = """
import sys, time, zmq

address, name, frames, keys = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
from zmcache.core import wire
from zmcache.core.ring import Epoch
asked = [
    wire.encode(wire.Get(
        *wire.header(wire.GET, 1 + n, Epoch(0, 0), deadline_ms=5000, group="works"),
        ["%s-%d-%d" % (name, n, m) for m in range(keys)],
    ))
    for n in range(frames)
]
socket = zmq.Context().socket(zmq.DEALER)
socket.linger, socket.rcvhwm, socket.sndhwm = 0, 10, 10
socket.connect("tcp://" + address)
sent = 0
while True:
    if socket.poll(10, zmq.POLLOUT):
        socket.send(asked[sent % frames])
        sent += 1
        print(sent, flush=True)
    while socket.poll(0):
        socket.recv()
"""


class Flood:
    """A process whose one connection never stops asking, and takes no interest in the answers."""

    def __init__(self, address: str, name: str, *, frames: int, keys: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FLOOD, address, name, str(frames), str(keys)], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        self._seen = b""

    def __enter__(self) -> Flood:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.wait()
        self._out.close()

    def sent(self) -> int:
        """Frames so far."""
        self._seen = (self._seen + (self._out.read() or b""))[-100:]
        lines = self._seen.split(b"\n")
        return int(lines[-2] or 0) if len(lines) > 1 else 0


def test_who_floods_the_loaders_queue_does_not_take_the_place_of_who_asks_for_a_little(tmp_path: Path) -> None:
    async def ask() -> None:
        loader = ScriptedLoader(max_batch=1, answer=slowly)
        async with serving(tmp_path, works=loader) as address, zmcache.connect(address) as client:
            items = client.group("works")
            # 1,000 keys a second at the most; the flood asks for far more, and 500 may wait.
            with Flood(address, "noisy", frames=200, keys=250) as flood:
                await eventually(lambda: flood.sent() > 10, within_s=20)
                # Where all stood in one line there would be no room in it, or several seconds' worth of others ahead.
                for n in range(10):
                    assert await items.get(f"polite-{n}", timeout=3) == b"brought"

    async def slowly(keys: list[str]) -> dict[str, bytes]:
        await asyncio.sleep(0.004)
        return dict.fromkeys(keys, b"brought")

    asyncio.run(ask())


@pytest.mark.alone  # what it measures is how long a turn takes
def test_who_floods_the_node_with_what_is_there_slows_the_others_down_by_a_few_turns_only(tmp_path: Path) -> None:
    async def ask() -> None:
        async with serving(tmp_path) as address, zmcache.connect(address) as client:
            items = client.group("works")
            for at in range(0, 1000, 250):
                await items.get_many([f"noisy-0-{m}" for m in range(at, at + 250)])
            await items.get("polite")
            with Flood(address, "noisy", frames=1, keys=1000) as flood:
                await eventually(lambda: flood.sent() > 10, within_s=20)
                before = flood.sent()
                took_s: list[float] = []
                for _ in range(100):
                    began_s = time.monotonic()
                    assert await items.get("polite") is not None
                    took_s.append(time.monotonic() - began_s)
                during = flood.sent() - before
            assert during > 20
            assert sorted(took_s)[50] < 0.05

    asyncio.run(ask())
