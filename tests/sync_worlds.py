"""Synchronous connections to each kind of cache: the store in this process, and a node over ZeroMQ whose loop runs in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from eventually import eventually_blocking

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


class NodeInAThread(NamedTuple):
    address: str
    loop: asyncio.AbstractEventLoop


@contextlib.contextmanager
def node_in_a_thread() -> Iterator[NodeInAThread]:
    """A node that serves the group ``items``, without a loader."""
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
        yield NodeInAThread(serves.result(10), loops[0][0])
    finally:
        for loop, stop in loops:
            loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@contextlib.contextmanager
def opened_with_loops(
    kind: str, **options: Any
) -> Iterator[tuple[zmcache.sync.SyncCache, list[asyncio.AbstractEventLoop]]]:
    """A connection to a fresh cache of that kind, and every loop that has a part in answering it."""
    with contextlib.ExitStack() as stack:
        node = None if kind == "mem" else stack.enter_context(node_in_a_thread())
        cache = stack.enter_context(zmcache.sync.connect("mem://" if node is None else node.address, **options))
        assert cache._bridge.loop is not None
        yield cache, [cache._bridge.loop] + ([] if node is None else [node.loop])


@contextlib.contextmanager
def opened(kind: str, **options: Any) -> Iterator[zmcache.sync.SyncCache]:
    """A connection to a fresh cache of that kind."""
    with opened_with_loops(kind, **options) as (cache, _):
        yield cache


@contextlib.contextmanager
def held(*loops: asyncio.AbstractEventLoop) -> Iterator[None]:
    """These do nothing meanwhile."""
    leave = threading.Event()
    try:
        for loop in loops:
            stands = threading.Event()
            loop.call_soon_threadsafe(lambda stands=stands: (stands.set(), leave.wait(10)))  # type: ignore[misc]
            assert stands.wait(10)
        yield
    finally:
        leave.set()


def wait_direct(items: Any, key: str = "k") -> None:
    """Until lone gets of ``items`` ask their node by themselves. They begin to once one has been made."""

    def is_direct() -> bool:
        items.get(key)
        channel = items._raw.behind._asking._channel(key)
        return channel.direct is not None and channel.direct._connection.is_connected()

    eventually_blocking(is_direct, lambda: items)


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
