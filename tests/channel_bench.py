"""One channel to a fake node, and a consumer that notes how its batches went. No beat comes but those that a test makes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from eventually import eventually
from fake_node import FakeNode

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.core.wire import Limits
from zmcache.deadlines import Deadlines
from zmcache.errors import ZmcacheError
from zmcache.peers.batch import Batch
from zmcache.peers.channel import Channel
from zmcache.peers.pauses import Pauses
from zmcache.peers.pulse import BEAT_S
from zmcache.transport.memory import MemoryNetwork, MemoryTransport


class Bench:
    """A channel, and a consumer that notes how its batches went."""

    def __init__(
        self, *, endpoint: str = "mem://fake", limits: Limits | None = None, pauses: Pauses | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        self._ahead_s = 0.0
        self.clock = lambda: loop.time() + self._ahead_s
        self.network = MemoryNetwork()
        self.deadlines = Deadlines(loop)
        self.epochs: list[Epoch] = []
        self.back: list[Channel] = []
        self.channel = Channel(
            "fake", endpoint, MemoryTransport(self.network), limits or Limits(), self.deadlines,
            lambda channel, epoch: self.epochs.append(epoch), self.back.append, self.clock,
            pauses=pauses,
        )  # fmt: skip
        self.values: dict[str, object] = {}
        self.errors: dict[str, ZmcacheError] = {}

    def node(self) -> FakeNode:
        fake = FakeNode(self.network)
        fake.handle = fake.echo
        return fake

    def ask(self, *keys: str, timeout_s: float = 3.0, kind: int = wire.GET) -> Batch:
        """Ask for these keys."""
        batch = self.channel.open_batch(self, kind, "items")
        for key in keys:
            batch.add(key, key, asyncio.get_running_loop().time() + timeout_s)
        return batch

    def on_answer(self, batch: Batch, answer: wire.Answer) -> None:
        for key, _, value, _, _ in batch.fill(answer):
            assert key not in self.values
            assert key not in self.errors
            self.values[key] = value

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        for key in batch.unfilled():
            assert key not in self.values
            assert key not in self.errors
            self.errors[key] = error

    def pass_time(self, seconds: float) -> None:
        """No beat meanwhile."""
        self._ahead_s += seconds

    async def beats(self, count: int) -> None:
        """So many beats, and the time that lies between them."""
        for _ in range(count):
            self._ahead_s += BEAT_S
            self.channel.beat()
            for _ in range(4):  # to the node and back
                await asyncio.sleep(0)

    def skip(self, by_s: float) -> None:
        """Move the channel's clock, by which it does everything but its deadlines."""
        self._ahead_s += by_s

    async def failure(self, key: str) -> ZmcacheError:
        await eventually(lambda: key in self.errors)
        return self.errors[key]

    async def value(self, key: str) -> object:
        await eventually(lambda: key in self.values or key in self.errors)
        return self.values.get(key, self.errors.get(key))


def bench_test(test: Callable[[Bench], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        bench = Bench(**options)
        await test(bench)
        bench.channel.close()
        bench.deadlines.close()

    asyncio.run(main())
