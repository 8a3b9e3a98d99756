"""The way between threads that wait and the loop that works: one event loop in a daemon thread, for one connection.

The way of a call:

1. The calling thread puts it into a deque, and wakes the loop unless somebody has done so already: one wake-up serves all that came meanwhile.
   Then it waits for the call's lock, which is held from the start.
2. The loop begins it in the caller's context (so that its trace and the fills that it stands in go with it). What gives a plain future costs
   no task.
3. The loop notes the result and frees the lock. Only the loop ever frees it.

A function that makes a value goes the other way: the loop hands it to the thread that waits for its result (`Call.lend`), which runs it and
waits on. Where that thread does not wait, because it has its stale value or was interrupted, one of a few threads for the background does.

A lock for each call, not for each thread: making one takes less time than looking up the thread's own, and who was interrupted leaves behind
nothing that the next call could trip over.
"""

from __future__ import annotations

import asyncio
import os
import threading
from _thread import allocate_lock, get_ident
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar, cast

import uvloop

from zmcache.errors import LifecycleError

P = ParamSpec("P")
R = TypeVar("R")
Work = Callable[[], Any]
Outcome = tuple[Any, Exception | None]

# Fills in the background wait for databases; as many as these at once are what a pool of connections usually has to spare.
BACKGROUND_THREADS: Final = 8

_CLOSED: Final = "it is closed: calls belong inside `with zmcache.sync.connect(...) as cache`"


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
        # Free where the thread was handed work and has not come for it yet: then it finds that all is done.
        if self.lock.locked():
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


class Bridge:
    """See the module's docstring. Calls may come from any thread but its own."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.active: set[Call] = set()
        self._pid = os.getpid()
        self._ident = 0
        self._closed = self._ended = False
        self._woken = False
        self._pending: deque[Callable[[], object]] = deque()
        self._stop: asyncio.Event | None = None
        self._stopping = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._background: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = 0

    # -- for threads -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, and return when its loop runs. Raises `LifecycleError` the second time."""
        if self._thread is None:
            self._pid = os.getpid()  # made before a server forks, and opened in each of its processes
        self.check()
        if self._thread is not None:
            raise LifecycleError("a connection is opened once; make another")
        running = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(running,), name="zmcache sync", daemon=True)
        self._thread.start()
        running.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def is_started(self) -> bool:
        """Whether it was, even if it has ended since."""
        return self._thread is not None

    def stop(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Await ``last`` on the loop and end that; calls under way fail. Idempotent. Raises `LifecycleError` after a fork, and in its own thread.

        Each caller returns when the loop has ended, and what ``last`` raises is raised in the first.
        """
        self.check(closed=False)
        with self._stopping:
            self._closed = True
            if self._thread is None or self._ended:
                return
            try:
                if last is not None:
                    self._wait(Call(self, last))
            finally:
                assert self._stop is not None
                self._post(self._stop.set)
                self._thread.join()

    def check(self, *, closed: bool = True) -> None:
        """Raises `LifecycleError` where no call can be made: after a fork, in its own thread, or, if asked for, once it is closed."""
        if self._pid != os.getpid():
            raise LifecycleError("it was made before a fork; each process needs a connection of its own")
        if get_ident() == self._ident:
            raise LifecycleError("it was called from its own thread, which would wait for itself")
        if closed and self._closed:
            raise LifecycleError(_CLOSED)

    def run(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """What ``function`` gives, awaited by the loop."""
        return cast(R, self.wait(Call(self, partial(function, *args, **kwargs))))

    def run_nowait(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What ``function`` gives, called on the loop."""
        return cast(R, self.wait(Call(self, partial(function, *args, **kwargs))))

    def run_lending(self, begin: Callable[[Call], Awaitable[R]]) -> R:
        """The same for what may hand work back to this thread: ``begin`` is given the call, to `Call.lend` by."""
        call = Call(self, lambda: begin(call))
        return cast(R, self.wait(call))

    def wait(self, call: Call) -> Any:
        """Hand a call over and wait for its end. Raises what it raises; an interruption of this thread cancels it."""
        if self._pid != os.getpid() or get_ident() == self._ident or self._closed:
            self.check()
        if self._thread is None:
            raise LifecycleError("it is not open: use it inside `with zmcache.sync.connect(...) as cache`")
        return self._wait(call)

    def _wait(self, call: Call) -> Any:
        lock = call.lock
        try:
            self._post(call)
            while True:
                lock.acquire()
                if call.done:
                    break
                self._work_for(call)
        except BaseException:
            self._pending.append(call.abandon)
            self._wake()  # whatever the mark says: the interruption may have come between it and the wake-up
            raise
        error = call.error
        if error is None:
            return call.result
        try:
            raise error
        finally:
            del error, call  # or the traceback would hold itself

    def _work_for(self, call: Call) -> None:
        # It stays the call's work: if an interruption leaves through here, whoever else waits for it finds it there.
        assert call.work is not None
        work, future = call.work
        outcome = _outcome(work)
        self._post(partial(_settle, future, outcome))

    def _post(self, item: Callable[[], object]) -> None:
        self._pending.append(item)
        # The loop takes the mark away before it looks: who finds it set has put its item where the loop has yet to look.
        if not self._woken:
            self._woken = True
            self._wake()
        # The end is marked before the last look: who does not see it has put its item in front of that.
        if self._ended:
            self._fail_pending()

    def _wake(self) -> None:
        assert self.loop is not None
        try:
            self.loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # closed meanwhile
            self._ended = True

    # -- on the loop -----------------------------------------------------------------------------------------------

    def in_background(self, work: Work, outcome: asyncio.Future[Outcome], context: Context) -> None:
        """Run ``work`` in a thread for the background, on behalf of nobody who waits here."""

        def run() -> None:
            try:
                made = context.copy().run(_outcome, work)
            except BaseException as error:  # it ends neither this thread, which has others' work to do, nor the loop, and who waits has to know
                made = None, Ended(error)
            self._post(partial(_settle, outcome, made))

        self._background.put(run)
        if self._threads < BACKGROUND_THREADS:
            # A thread more for each of the first: there is no telling whether those that are there are at work.
            self._threads += 1
            threading.Thread(target=self._work, name=f"zmcache fill {self._threads}", daemon=True).start()

    def _work(self) -> None:
        while (run := self._background.get()) is not None:
            run()

    def _drain(self) -> None:
        self._woken = False
        pending = self._pending
        try:
            while pending:
                pending.popleft()()
        finally:
            if pending:  # something raised that never should: the others go on
                self._wake()

    def _main(self, running: threading.Event) -> None:
        self._ident = get_ident()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(running))
        except BaseException as error:
            self._failure = error
            self._closed = self._ended = True
            raise
        finally:
            running.set()
            for _ in range(self._threads):
                self._background.put(None)
            self._fail_pending()

    async def _serve(self, running: threading.Event) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        running.set()
        await self._stop.wait()
        self._ended = True
        self._fail_pending()
        self.fail_active()

    def fail_active(self) -> None:
        """End all calls under way."""
        for call in list(self.active):
            call.end(None, LifecycleError("it was closed while the call was under way"))

    def _fail_pending(self) -> None:
        while self._pending:
            try:
                item = self._pending.popleft()
            except IndexError:  # another thread was quicker
                return
            if isinstance(item, Call):
                item.end(None, LifecycleError(_CLOSED))


def _outcome(work: Work) -> Outcome:
    try:
        return work(), None
    except Exception as error:
        return None, error


def _settle(future: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
