"""Time that jumps, and processes that live in it: each with an event loop of its own, all on one line of time, in one thread.

A `World` holds what is to be done, in order: what is ready now, then whatever comes first. When nothing is ready, the time is that of the next
timer. So a minute takes as long as what happens in it, and the same seed gives the same order of everything.

A `ProcessLoop` is what code in a process takes for its event loop. Because every process has its own,

- it can be *stopped*, as by SIGSTOP: its timers come due and frames arrive in its sockets, and all of it waits until it goes on;
- it can be *killed*, as by SIGKILL: nothing of it runs any more, no handler, no `finally`;
- its monotonic clock began at a moment of its own, so that a time that one process sends to another is worth nothing there.

Times are whole multiples of `TICK_S`, and the clocks differ by whole seconds, so that sums of them are exact and a timer is never early.
Nothing here knows of zmcache.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import math
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

_TICKS: Final = 1 << 20  # a second
TICK_S: Final = 1 / _TICKS
# Handles that run while the time stands still. A turn of a busy node takes dozens; who needs so many waits for something by asking again and again.
_AT_ONCE: Final = range(200_000)

# All of a history passes here, so that it counts how soon these are found.
_set_running, _copy_context = events._set_running_loop, contextvars.copy_context
_push, _pop, _ceil = heapq.heappush, heapq.heappop, math.ceil


class TimeStandsStill(RuntimeError):
    """Something is done over and over in one moment, and never ends."""


class Handle:
    """One thing to do. Looks like asyncio's own to those who cancel it."""

    __slots__ = ("_when", "args", "callback", "context", "gone", "loop")

    def __init__(
        self,
        loop: ProcessLoop | None,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        when: float,
    ) -> None:
        self.loop, self.callback, self.args, self.context, self._when = loop, callback, args, context, when
        self.gone = False

    def cancel(self) -> None:
        self.gone = True
        self.callback, self.args = _nothing, ()

    def cancelled(self) -> bool:
        return self.gone

    def when(self) -> float:
        return self._when


def _nothing(*_: object) -> None:
    pass


class World:
    """The time, and what is to be done in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.running: ProcessLoop | None = None  # whose code ran last
        self._ready: deque[Handle] = deque()
        self.plan_now: Final = self._ready.append
        self._later: list[tuple[float, int, Handle]] = []
        self._count = 0
        self._loops: list[ProcessLoop] = []

    def at(self, when_s: float, callback: Callable[..., object], *args: Any) -> Handle:
        """Do this at a time of the world: what happens between processes, or to them."""
        handle = Handle(None, callback, args, None, when_s)
        self.plan(when_s, handle)
        return handle

    def after(self, pause_s: float, callback: Callable[..., object], *args: Any) -> Handle:
        """The same, counted from now."""
        return self.at(self.now + pause_s, callback, *args)

    def plan(self, when_s: float, handle: Handle) -> None:
        self._count = count = self._count + 1
        _push(self._later, (_ceil(when_s * _TICKS) * TICK_S, count, handle))

    def run(self, until_s: float, ended: Callable[[], bool] = lambda: False) -> None:
        """Go on to that time, or to the first moment after which ``ended()`` is true. Raises `TimeStandsStill`."""
        try:
            self._run(until_s, ended)
        finally:
            self.running = None
            _set_running(None)

    def _run(self, until_s: float, ended: Callable[[], bool]) -> None:
        ready, later, now = self._ready, self._later, self.now
        next_ready = ready.popleft
        while True:
            for _ in _AT_ONCE:
                if not ready:
                    break
                handle = next_ready()
                if handle.gone:
                    continue
                loop = handle.loop
                if loop is None:
                    handle.callback(*handle.args)
                elif loop.stopped or loop.dead:
                    loop.hold(handle)
                else:
                    loop.do(handle.context, handle.callback, handle.args)
            else:
                raise TimeStandsStill(f"at {now:.6f}: {ready[0].callback if ready else 'nothing'} again and again")
            if ended():
                return
            if not later or later[0][0] > until_s:
                self.now = max(now, until_s)
                return
            if later[0][0] > now:
                self.now = now = later[0][0]
            while later and later[0][0] <= now:
                ready.append(_pop(later)[2])

    def add(self, loop: ProcessLoop) -> None:
        self._loops.append(loop)

    def end(self) -> None:
        """Nothing runs any more, in any process."""
        for loop in self._loops:
            loop.kill()
        self._ready.clear()
        self._later.clear()


class ProcessLoop(asyncio.AbstractEventLoop):
    """See the module's docstring. ``began_s``: when its clock was 0, a whole number; ``thread_s``: what each call in a thread takes."""

    def __init__(
        self, world: World, name: str, *, began_s: int = 0, thread_s: Callable[[], float] = lambda: 0.001
    ) -> None:
        self.world, self.name, self.began_s = world, name, began_s
        self.stopped = self.dead = False
        self.stopped_s = self._stood_s = 0.0
        self.errors: list[dict[str, Any]] = []
        self._thread_s = thread_s
        self._held: list[Handle] = []
        self._context = contextvars.Context()
        self._plan_now = world.plan_now
        world.add(self)

    # -- what happens to the process -------------------------------------------------------------------------------

    def stop_process(self) -> None:
        if not self.stopped:
            self.stopped, self.stopped_s = True, self.world.now

    def continue_process(self) -> None:
        if self.stopped:
            self.stopped = False
            self._stood_s += self.world.now - self.stopped_s
        held, self._held = self._held, []
        for handle in held:
            self._plan_now(handle)

    @property
    def stood_s(self) -> float:
        """For how long it was stopped so far."""
        return self._stood_s + (self.world.now - self.stopped_s if self.stopped else 0.0)

    def kill(self) -> None:
        if not self.dead:
            self.dead = True
            self._held.clear()
            for task in asyncio.all_tasks(self):
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # nobody is to hear of it

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """A task of the process, begun from outside."""
        return asyncio.Task(coroutine, loop=self, name=name, context=self._context.copy())

    def arrive(self, callback: Callable[..., object], *args: Any) -> None:
        """Something comes from outside: its handler runs now, or when the process goes on."""
        if self.stopped or self.dead:
            self.hold(Handle(self, callback, args, self._context, 0.0))
        else:
            self.do(self._context, callback, args)

    def hold(self, handle: Handle) -> None:
        """For when the process goes on."""
        if not self.dead:
            self._held.append(handle)

    def do(self, context: Any, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Now, in the process, which runs."""
        world = self.world
        if world.running is not self:
            world.running = self
            _set_running(self)
        try:
            context.run(callback, *args)
        except Exception as error:
            self.call_exception_handler({"message": f"exception in {callback!r}", "exception": error})

    # -- what asyncio and the code in the process ask of a loop -------------------------------------------------------

    def time(self) -> float:
        return self.world.now - self.began_s

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:  # type: ignore[override]
        handle = Handle(self, callback, args, _copy_context() if context is None else context, 0.0)
        self._plan_now(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:  # type: ignore[override]
        return self.call_at(self.world.now - self.began_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:  # type: ignore[override]
        handle = Handle(self, callback, args, _copy_context() if context is None else context, when)
        self.world.plan(when + self.began_s, handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None
    ) -> asyncio.Task[Any]:  # type: ignore[override]
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future = self.create_future()
        self.call_later(self._thread_s(), _run_into, future, func, args)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def set_exception_handler(self, handler: object) -> None:
        pass

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead


def _run_into(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if future.done():
        return
    try:
        future.set_result(func(*args))
    except Exception as error:
        future.set_exception(error)
