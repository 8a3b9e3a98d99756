"""What is being made in this process: callers who want the same key meanwhile wait for the same value.

Each flight is a task of its own, so that no caller's cancellation ends it for the others; it ends when the last who waits for it has gone.

It stands in the table, for others to join, until it lands, or until one of these:

- it is *fenced*: the key was set or deleted after it began, and who asks from now on must not be given what it brings; who waits already is;
- it has *lapsed*: it has taken longer than its lease, and may never end. Who waits for it is woken to look elsewhere, and may join the next one
  as well: `zmcache.cache.waiting` is for whichever lands first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from zmcache.cache.raw import CLOSED
from zmcache.cache.underway import Run, stand_in_none
from zmcache.errors import LifecycleError, LoaderFailed

T = TypeVar("T")

# Of a flight that nobody waits for, in leases: then it is given up, for it would hang for ever, and the next one would too.
_BACKGROUND_LEASES: Final = 3


class Waiter(Protocol):
    """Who waits for a flight."""

    def wake(self) -> None:
        """It has landed, or lapsed."""


class Flight(Generic[T]):
    """One of them.

    ``anew``: a new value is wanted whatever there is. ``background``: it goes on though nobody waits. ``run``: of the function, while it runs.
    ``unanswered_s``: when the question was asked that ended it for want of an answer. ``dropped``: it was cancelled, and by us.
    """

    __slots__ = (
        "_error",
        "_flights",
        "_lease_s",
        "_made",
        "_timer",
        "_traceback",
        "_until_s",
        "anew",
        "background",
        "dropped",
        "key",
        "landed",
        "lapsed",
        "run",
        "task",
        "unanswered_s",
        "waiting",
    )

    def __init__(self, key: str, flights: Flights[T], *, anew: bool, background: bool) -> None:
        self.key = key
        self.anew, self.background = anew, background
        self.waiting: dict[Waiter, None] = {}
        self.landed = self.lapsed = self.dropped = False
        self.run: Run | None = None
        self.unanswered_s: float | None = None
        self.task: asyncio.Task[T] | None = None
        self._flights = flights
        self._timer: asyncio.TimerHandle | None = None
        self._lease_s = 0.0
        self._until_s: float | None = None
        self._made: T | None = None
        self._error: BaseException | None = None
        self._traceback: TracebackType | None = None

    def result(self) -> T:
        """What it has brought; raises what it raised."""
        if self._error is not None:
            # One error serves all who wait, and each raise would add its frames to what the ones before it left on it.
            raise self._error.with_traceback(self._traceback)
        return cast(T, self._made)

    @property
    def failed(self) -> bool:
        """It has landed with an error."""
        return self._error is not None

    # -- for the maker ---------------------------------------------------------------------------------------------

    def begin_lease(self, lease_s: float) -> None:
        """From now on it has so long before it lapses."""
        self._lease_s = lease_s
        self._until_s = self._flights.clock() + lease_s
        self._timer = asyncio.get_running_loop().call_later(lease_s, self.lapse)

    def end_lease(self) -> None:
        """What was to be made in that time has been."""
        self._until_s = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- for the table ---------------------------------------------------------------------------------------------

    def is_late(self, now_s: float) -> bool:
        """Its lease is over, though the timer may not know: a test has moved the clock."""
        return self._until_s is not None and self._until_s <= now_s

    def lapse(self) -> None:
        """Its lease is over."""
        self.end_lease()
        if not self.landed and not self.lapsed:
            self.lapsed = True
            self._flights.take_out(self)
            self._wake()
            if self.background:
                patience_s = (_BACKGROUND_LEASES - 1) * self._lease_s
                self._timer = asyncio.get_running_loop().call_later(patience_s, self._give_up)

    def _give_up(self) -> None:
        self.background = False
        if not self.waiting:
            self.drop()

    def land(self, made: T | None, error: BaseException | None) -> None:
        """It has come to its end."""
        self.end_lease()
        self.landed = True
        self._made, self._error = made, error
        self._traceback = None if error is None else error.__traceback__
        self._wake()

    def drop(self) -> None:
        """Cancel it: nobody waits any more."""
        self.dropped = True
        self._flights.take_out(self)
        assert self.task is not None
        self.task.cancel()

    def leave(self, waiter: Waiter) -> None:
        """One waits no more."""
        self.waiting.pop(waiter, None)
        if not self.waiting and not self.landed and not self.background:
            self.drop()

    def _wake(self) -> None:
        for waiter in list(self.waiting):
            waiter.wake()


class Flights(Generic[T]):
    """The flights of one group of calls, by key. ``clock``: that of leases."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.closed = False
        self._table: dict[str, Flight[T]] = {}
        self._all: dict[Flight[T], None] = {}

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        """Those that nobody joins any more are counted, too."""
        return len(self._all)

    @property
    def waiting(self) -> int:
        """How many callers wait, all flights together."""
        return sum(len(flight.waiting) for flight in self._all)

    def get(self, key: str) -> Flight[T] | None:
        """The one to join."""
        flight = self._table.get(key)
        if flight is not None and flight.is_late(self.clock()):
            flight.lapse()
            return None
        return flight

    def start(
        self,
        key: str,
        make: Callable[[Flight[T]], Coroutine[Any, Any, T]],
        *,
        anew: bool = False,
        background: bool = False,
    ) -> Flight[T]:
        """Begin one; join it in the same turn of the loop, unless it is for the background. Raises `LifecycleError`."""
        if self.closed:
            raise LifecycleError(CLOSED)
        flight = self._table[key] = Flight(key, self, anew=anew, background=background)
        self._all[flight] = None
        context = copy_context()
        if background:
            # No function waits for it, whatever context it comes from.
            context.run(stand_in_none)
        flight.task = asyncio.create_task(make(flight), name=f"zmcache fill {key[:40]}", context=context)
        # Not in a `finally` of the task's own: one that is cancelled before its first step has none.
        flight.task.add_done_callback(partial(self._ended, flight))
        return flight

    def _ended(self, flight: Flight[T], task: asyncio.Task[T]) -> None:
        # Out of the table first: a waiter that asks again starts anew.
        self.take_out(flight)
        del self._all[flight]
        if task.cancelled():
            # Whoever still waits was not cancelled, and must not look as if.
            flight.land(
                None, LifecycleError(CLOSED) if self.closed else LoaderFailed("what makes the value was cancelled")
            )
        elif (error := task.exception()) is not None:
            flight.land(None, error)
        else:
            flight.land(task.result(), None)

    def take_out(self, flight: Flight[T]) -> None:
        """Nobody joins it any more."""
        if self._table.get(flight.key) is flight:
            del self._table[flight.key]

    def fence(self, key: str | None) -> None:
        """What is under way for ``key`` (None: for any) began too early for whoever asks from now on."""
        if key is None:
            self._table.clear()
        else:
            self._table.pop(key, None)

    def close(self) -> list[asyncio.Task[T]]:
        """Cancel all, and begin none any more. The tasks are to be waited for."""
        self.closed = True
        for flight in list(self._all):
            flight.drop()
        return [flight.task for flight in self._all if flight.task is not None]
