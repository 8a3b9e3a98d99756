"""The way between threads that wait and the loop that works: one event loop in a daemon thread, for one connection.

The way of a call:

1. The calling thread puts it into a deque, and wakes the loop unless somebody has done so already: one wake-up serves all that came meanwhile.
   Then it waits for the call's lock, which is held from the start (`zmcache.sync.call`).
2. The loop begins it in the caller's context (so that its trace and the fills that it stands in go with it). What gives a plain future costs
   no task.
3. The loop notes the result and frees the lock; where many end at once their threads go one after the other (`zmcache.sync.line`). Before it
   begins what has come since, it steps aside once, so that the threads that it has just let go can add what they ask next: what they ask then
   travels together.

All of the loop's work is done by the one thread, and never by a caller's, although that would save both changes of thread: signals interrupt the
main thread, and some programs interrupt others, between any two lines of Python, and what the loop is doing for others then would be half done.
A get or set that is alone (`is_alone`) need not come this way at all: where it can, it asks its node by itself (`zmcache.peers.direct`). What the
loop has to know of that it is told before the next call, and not woken for (`run_soon`).
"""

from __future__ import annotations

import asyncio
import os
import threading
from _thread import get_ident
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar, cast

import uvloop

from zmcache.errors import LifecycleError
from zmcache.sync.call import Call, Ended, Outcome, Work
from zmcache.sync.exiting import stop_with_the_program
from zmcache.sync.line import Line

P = ParamSpec("P")
R = TypeVar("R")

# Fills in the background wait for databases; as many as these at once are what a pool of connections usually has to spare.
BACKGROUND_THREADS: Final = 8

# So many wake it after all: what they hold is not to grow.
_OWED_MOST: Final = 100

_CLOSED: Final = "it is closed: calls belong inside `with zmcache.sync.connect(...) as cache`"


class Bridge:
    """See the module's docstring. Calls may come from any thread but its own."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.active: set[Call] = set()
        self.line = Line()
        self.frozen = False
        """Whether the program ends, and the loop stands still for ever (`zmcache.sync.exiting`)."""
        self.pid = os.getpid()
        self._ident = 0
        self._main_ident = threading.main_thread().ident
        self._closed = self._ended = False
        self._woken = False
        self._pending: deque[Callable[[], object]] = deque()
        self._owed: deque[Callable[[], None]] = deque()
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
            # Made before a server forks, and opened in each of its processes, whose main thread may be another.
            self.pid, self._main_ident = os.getpid(), threading.main_thread().ident
        self.check()
        if self._thread is not None:
            raise LifecycleError("a connection is opened once; make another")
        running = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(running,), name="zmcache sync", daemon=True)
        self._thread.start()
        stop_with_the_program(self)
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
            if self._thread is None or self._ended or self.frozen:
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
        if self.pid != os.getpid():
            raise LifecycleError("it was made before a fork; each process needs a connection of its own")
        if get_ident() == self._ident:
            raise LifecycleError("it was called from its own thread, which would wait for itself")
        if closed and self._closed:
            raise LifecycleError(_CLOSED)
        # In other threads there is nobody left to tell: they wait, as daemons do at the end.
        if closed and self.frozen and get_ident() == self._main_ident:
            raise LifecycleError("the program is ending")

    def run(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """What ``function`` gives, awaited by the loop."""
        return cast(R, self.wait(Call(self, partial(function, *args, **kwargs))))

    def run_nowait(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What ``function`` gives, called on the loop."""
        return cast(R, self.wait(Call(self, partial(function, *args, **kwargs))))

    def run_lending(self, begin: Callable[[Call], Awaitable[R]]) -> R:
        """The same for what may hand work back to this thread: ``begin`` is given the call, to `Call.lend` by."""
        call = Call(self, lambda: begin(call))
        call.in_line = False  # it may be at its work when its turn comes
        return cast(R, self.wait(call))

    def run_soon(self, callback: Callable[[], None]) -> None:
        """``callback`` is called on the loop, before any call that is made from now on."""
        self._owed.append(callback)
        if len(self._owed) > _OWED_MOST:
            self._wake()

    def is_alone(self) -> bool:
        """Whether a call could be made now, and nothing else is under way: about 0.2 us. What has changed by the next line does no harm."""
        return (
            not self.active
            and not self._pending
            and not self._closed
            and self._thread is not None
            and get_ident() != self._ident
            and os.getpid() == self.pid
        )

    def wait(self, call: Call) -> Any:
        """Hand a call over and wait for its end. Raises what it raises; an interruption of this thread cancels it."""
        if self.pid != os.getpid() or get_ident() == self._ident or self._closed or self.frozen:
            self.check()
        if self._thread is None:
            raise LifecycleError("it is not open: use it inside `with zmcache.sync.connect(...) as cache`")
        return self._wait(call)

    def _wait(self, call: Call) -> Any:
        lock = call.lock
        if get_ident() == self._main_ident:
            call.in_line = False
        try:
            self._post(call)
            while True:
                lock.acquire()
                if call.done:
                    break
                self._work_for(call)
            if call.in_line:
                self.line.pass_on()
        except BaseException:
            if call.in_line:  # and, perhaps, it was its turn
                self.line.pass_on()
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
        self.line.step_aside()
        self._woken = False
        pending = self._pending
        try:
            while pending:
                # Looked at after the mark of each call: whatever was owed when that was made is here.
                self._pay()
                pending.popleft()()
            self._pay()
        finally:
            if pending:  # something raised that never should: the others go on
                self._wake()

    def _pay(self) -> None:
        while self._owed:
            self._owed.popleft()()

    def _main(self, running: threading.Event) -> None:
        self._ident = get_ident()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(running))
        except BaseException as error:
            self._failure = error
            self.line.end()
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
        self.line.begin(self.loop)
        running.set()
        await self._stop.wait()
        self.line.end()
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
