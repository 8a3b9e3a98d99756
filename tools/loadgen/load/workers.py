"""The same run in several processes, each with its share of the callers, of the rate and of the requests.

The parent starts them, waits until each has opened its target, says go, and adds up what they saw. A worker ends when
its pipe does, so none outlives the parent; one that dies takes the run with it, since the rest would be another run.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Final

import uvloop

from ..errors import LoadgenError, TargetRefused, TargetUnavailable, TraceError
from .drive import Signals, drive
from .measurement import Row, Seen
from .opening import opened
from .plan import Plan

_READY_LIMIT_S: Final = 30.0
_END_LIMIT_S: Final = 5.0
_ERRORS: Final = {each.__name__: each for each in (TargetRefused, TargetUnavailable, TraceError, LoadgenError)}


class WorkerDied(LoadgenError):
    """A process of the generator ended by itself."""


async def drive_in_workers(
    plan: Plan, *, stop: asyncio.Event, on_rows: Callable[[list[Row]], None], on_started: Callable[[], None]
) -> list[Seen]:
    """Run ``plan`` in ``plan.workers`` processes; what each has seen. ``on_rows`` is called with each second, one row a
    worker. Raises what a worker raised, and `WorkerDied`.
    """
    async with _started(plan) as workers:
        await asyncio.gather(*(worker.expect("ready", _READY_LIMIT_S) for worker in workers))
        for worker in workers:
            worker.send("go")
        await asyncio.gather(*(worker.expect("started", None) for worker in workers))
        on_started()
        stopping = asyncio.create_task(_pass_on(stop, workers))
        told: dict[int, list[Row]] = {}
        try:

            def on_row(row: Row) -> None:
                told.setdefault(row.second, []).append(row)
                if len(told[row.second]) == len(workers):
                    on_rows(told.pop(row.second))

            return list(await asyncio.gather(*(worker.result(on_row) for worker in workers)))
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)


class _Worker:
    """The parent's end."""

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_main, args=(theirs, plan), name=f"zmcache-loadgen {plan.worker}", daemon=True
        )
        self.process.start()
        theirs.close()
        self._inbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        _listen(self._pipe, self._inbox.put_nowait, at_end=("died", None))

    def send(self, word: str) -> None:
        """A worker that has died says so by itself."""
        with suppress(OSError):
            self._pipe.send(word)

    async def expect(self, word: str, within_s: float | None) -> Any:
        """The next message, which has to be this one."""
        try:
            async with asyncio.timeout(within_s):
                kind, content = await self._inbox.get()
        except TimeoutError:
            raise WorkerDied(f"a worker of the generator did not get ready within {within_s:g} s") from None
        if kind == word:
            return content
        if kind == "failed":
            name, text = content
            raise _ERRORS.get(name, LoadgenError)(text)
        raise WorkerDied(f"a worker of the generator ended by itself (exit code {self.process.exitcode})")

    async def result(self, on_row: Callable[[Row], None]) -> Seen:
        """What it has seen, at the end."""
        while True:
            kind, content = await self._inbox.get()
            if kind == "row":
                on_row(content)
            elif kind == "seen":
                assert isinstance(content, Seen)
                return content
            else:
                self._inbox.put_nowait((kind, content))
                await self.expect("seen", None)

    def close(self) -> None:
        """Nothing more is wanted: the worker ends by itself."""
        self.send("stop")


@asynccontextmanager
async def _started(plan: Plan) -> AsyncIterator[list[_Worker]]:
    workers: list[_Worker] = []
    try:
        workers += [_Worker(replace(plan, worker=index)) for index in range(plan.workers)]
        yield workers
    finally:
        for worker in workers:
            worker.close()
        await asyncio.to_thread(_end, workers)


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.join(_END_LIMIT_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


async def _pass_on(stop: asyncio.Event, workers: list[_Worker]) -> None:
    await stop.wait()
    for worker in workers:
        worker.send("stop")


def _listen(pipe: Connection, take: Callable[[Any], None], *, at_end: object) -> None:
    """Hand what comes to ``take``, on this loop. From a thread: a loop that watches the pipe itself would make it
    non-blocking, and then neither end gets a large message through.
    """
    loop = asyncio.get_running_loop()

    def listen() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants it any more
            try:
                while True:
                    loop.call_soon_threadsafe(take, pipe.recv())
            except (EOFError, OSError):
                loop.call_soon_threadsafe(take, at_end)

    threading.Thread(target=listen, name="zmcache-loadgen pipe", daemon=True).start()


def _main(pipe: Connection, plan: Plan) -> None:
    """The worker's end: a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent says what is to be done
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(pipe, plan))


async def _work(pipe: Connection, plan: Plan) -> None:
    go, stop = asyncio.Event(), asyncio.Event()

    def receive(word: str) -> None:
        if word == "stop":
            stop.set()
        go.set()  # whoever is to stop must not go on waiting

    def tell(kind: str, content: object = None) -> None:
        with suppress(OSError):
            pipe.send((kind, content))

    _listen(pipe, receive, at_end="stop")
    try:
        async with opened(plan) as target:
            tell("ready")
            await go.wait()
            signals = Signals(on_row=lambda row: tell("row", row), on_started=lambda: tell("started"))
            tell("seen", await drive(plan, target, stop=stop, signals=signals))
    except LoadgenError as exc:
        tell("failed", (type(exc).__name__, str(exc)))
