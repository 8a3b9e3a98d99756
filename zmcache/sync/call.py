"""One call of a thread: what it wants of the loop, how it ended, and the lock that its thread waits for.

A lock for each call, not for each thread: making one takes less time than looking up the thread's own, and who was interrupted leaves behind
nothing that the next call could trip over.

A function that makes a value goes the other way: the loop hands it to the thread that waits for its result (`Call.lend`), which runs it and
waits on. Where that thread does not wait, because it has its stale value or was interrupted, one of a few threads for the background does.
"""

from __future__ import annotations

import asyncio
from _thread import allocate_lock
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from zmcache.errors import LifecycleError

if TYPE_CHECKING:
    from zmcache.sync.bridge import Bridge

Work = Callable[[], Any]
Outcome = tuple[Any, Exception | None]


class Ended(Exception):
    """What is no `Exception`, such as SystemExit, raised by a function that makes a value: on the loop it would end all calls."""

    def __init__(self, what: BaseException) -> None:
        super().__init__(f"{type(what).__name__}: {what}")
        self.what = what


class Call:
    """One call, from the thread that waits for it to the loop and back. ``begin`` is called on the loop."""

    __slots__ = (
        "begin",
        "bridge",
        "context",
        "done",
        "error",
        "finish",
        "future",
        "in_line",
        "lock",
        "on_cancel",
        "result",
        "work",
    )

    def __init__(
        self, bridge: Bridge, begin: Callable[[], object], finish: Callable[[asyncio.Future[Any]], object] | None = None
    ) -> None:
        """``finish`` makes the result of the future that ``begin`` gave, on the loop as well."""
        self.bridge = bridge
        self.begin = begin
        self.finish = finish
        self.context: Context = copy_context()
        self.done = False
        self.in_line = True
        """Whether its thread may be let go by another one (`zmcache.sync.line`): not where it may be busy or interrupted meanwhile."""
        self.result: Any = None
        self.error: BaseException | None = None
        self.future: asyncio.Future[Any] | None = None
        self.work: tuple[Work, asyncio.Future[Outcome]] | None = None
        self.on_cancel: Callable[[], None] | None = None
        self.lock = allocate_lock()
        self.lock.acquire()

    def __call__(self) -> None:
        """Begin, on the loop."""
        if self.done:
            return
        bridge = self.bridge
        bridge.active.add(self)
        try:
            begun = self.context.run(self.begin)
            if asyncio.iscoroutine(begun):
                assert bridge.loop is not None
                begun = bridge.loop.create_task(begun, context=self.context)
            if asyncio.isfuture(begun):
                self.future = begun
                begun.add_done_callback(self._on_done, context=self.context)
                return
        except Exception as error:
            self.end(None, error)
        else:
            self.end(begun, None)

    def _on_done(self, future: asyncio.Future[Any]) -> None:
        try:
            result = future.result() if self.finish is None else self.finish(future)
        except asyncio.CancelledError:
            self.end(None, LifecycleError("it was closed while the call was under way"))
        except BaseException as error:
            self.end(None, error.what if isinstance(error, Ended) else error)
        else:
            self.end(result, None)

    def end(self, result: object, error: BaseException | None) -> None:
        """Let the thread go, on the loop. What comes after the first time is nothing."""
        if self.done:
            return
        self.result, self.error, self.done = result, error, True
        self.bridge.active.discard(self)
        if self.in_line:
            self.bridge.line.let_go(self.lock)
        # Free where the thread was handed work and has not come for it yet: then it finds that all is done.
        elif self.lock.locked():
            self.lock.release()

    def abandon(self) -> None:
        """Its thread has left, on the loop: nobody wants the result. Work that it left lying is for the background, if others wait for that."""
        self.done = True
        self.bridge.active.discard(self)
        future = self.future
        if future is None or future.done():
            return
        future.add_done_callback(lambda _: self._work_elsewhere())
        future.cancel()
        if self.on_cancel is not None:
            self.on_cancel()

    def _work_elsewhere(self) -> None:
        work, self.work = self.work, None
        if work is not None and not work[1].done():
            self.bridge.in_background(*work, self.context)

    async def lend(self, work: Work) -> Any:
        """Run ``work`` in the thread that waits for this call, or in the background where none does."""
        bridge = self.bridge
        assert bridge.loop is not None
        outcome: asyncio.Future[Outcome] = bridge.loop.create_future()
        if self.done or self.future is None or self.future.done():
            bridge.in_background(work, outcome, self.context)
        else:
            self.work = (work, outcome)
            self.lock.release()
        value, error = await outcome
        if error is not None:
            raise error
        return value
