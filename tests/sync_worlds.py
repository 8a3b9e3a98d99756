"""Synchronous connections to each kind of cache: the store in this process, and a node over ZeroMQ whose loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import zmcache.sync
from zmcache.config import parse_node
from zmcache.node import Node

R = TypeVar("R")
WORLDS = ("mem", "node")

_NODE = """
node: {id: node-1, listen: "tcp://127.0.0.1:0", drain_timeout: 1s}
groups:
  items: {budget: 16MiB, ttl_jitter: 0}
"""


@contextlib.contextmanager
def node_in_a_thread() -> Iterator[str]:
    """The address of a node that serves the group ``items``, without a loader."""
    serves: Future[str] = Future()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        try:
            node = Node(parse_node(_NODE))
            await node.start()
        except BaseException as error:
            serves.set_exception(error)
            raise
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        serves.set_result(node.ring().members[0].endpoint.removeprefix("tcp://"))
        await stop.wait()
        await node.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="a node")
    thread.start()
    try:
        yield serves.result(10)
    finally:
        for loop, stop in loops:
            loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@contextlib.contextmanager
def opened(kind: str, **options: Any) -> Iterator[zmcache.sync.SyncCache]:
    """A connection to a fresh cache of that kind."""
    with contextlib.ExitStack() as stack:
        address = "mem://" if kind == "mem" else stack.enter_context(node_in_a_thread())
        yield stack.enter_context(zmcache.sync.connect(address, **options))


def in_threads(count: int, run: Callable[[int], R], *, within_s: float = 30.0) -> list[R | BaseException]:
    """What ``run(n)`` gives or raises in each of so many threads, which start together."""
    outcomes: list[Any] = [AssertionError("a thread hangs")] * count
    together = threading.Barrier(count)

    def main(n: int) -> None:
        together.wait(within_s)
        try:
            outcomes[n] = run(n)
        except BaseException as error:
            outcomes[n] = error

    threads = [threading.Thread(target=main, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within_s)
    return outcomes
