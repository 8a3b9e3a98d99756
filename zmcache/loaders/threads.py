"""A few daemon threads for functions that block.

Why not the standard pool: the interpreter joins its threads at exit, so one function that hangs would keep a drained
node from ending. These threads are daemons: `aclose` waits for them a moment and then leaves them behind, and the
process ends without them. What a thread left behind is doing is lost with it; that is the price, and a backend that
hangs for good has no better offer.

A call that was cancelled before a thread took it up is never made. One that is being made cannot be stopped: it goes on
in its thread, occupies it, and its result is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

_Call: TypeAlias = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class DaemonThreads:
    """Runs functions in at most ``limit`` threads, which are started as they are needed."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit, self._name = limit, name
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._closed = False

    async def run(self, function: Callable[[], T]) -> T:
        """The function's result, or what it raised. Raises RuntimeError after `aclose`."""
        if self._closed:
            raise RuntimeError("the loader is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._calls.put((loop, future, function))
        # The semaphore counts threads that wait for a call and that no call was put in for yet.
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._limit:
            thread = threading.Thread(target=self._work, name=f"{self._name} {len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        try:
            return await future
        finally:
            # What the function raised has this frame in its traceback, and the future has what it raised: a ring that
            # would keep all that the function had in hand until the next full collection.
            del future

    async def aclose(self, timeout_s: float) -> int:
        """End the threads, waiting at most ``timeout_s`` for those at work; the number of those left behind."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._calls.put(None)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while any(thread.is_alive() for thread in self._threads):
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(0.005)
        return sum(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            loop, future, function = call
            del call
            if not future.cancelled():
                result, error = None, None
                try:
                    result = function()
                except BaseException as exc:
                    # A future cannot hold a StopIteration, and a KeyboardInterrupt would end the loop that reads it.
                    strange = isinstance(exc, StopIteration | KeyboardInterrupt)
                    error = RuntimeError(type(exc).__name__) if strange else exc
                # RuntimeError: the loop has ended meanwhile, and nobody waits.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_settle, future, result, error)
                del result, error
            # Hold on to nothing of the last call while waiting for the next.
            del loop, future, function
            self._idle.release()


def _settle(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():  # cancelled while the function ran
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
