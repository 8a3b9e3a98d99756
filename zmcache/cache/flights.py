"""What is being made in this process: callers who want the same key meanwhile wait for the same value.

Each flight is a task of its own, so that no caller's cancellation ends it for the others; it ends when the last who waits for it has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from zmcache.cache.raw import CLOSED
from zmcache.errors import LifecycleError

T = TypeVar("T")


class Flight(Generic[T]):
    """One of them. ``unanswered_s``: when the question was asked, by the monotonic clock, that ended it for want of an answer."""

    __slots__ = ("future", "task", "unanswered_s", "waiters")

    def __init__(self, future: asyncio.Future[T]) -> None:
        self.future = future
        self.waiters = 0
        self.unanswered_s: float | None = None
        self.task: asyncio.Task[None] | None = None


class Flights(Generic[T]):
    """The flights of one group of calls, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight[T]] = {}
        self.closed = False

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    @property
    def waiting(self) -> int:
        """How many callers wait, all flights together."""
        return sum(flight.waiters for flight in self._flights.values())

    def get(self, key: str) -> Flight[T] | None:
        """The one to join."""
        return self._flights.get(key)

    def start(self, key: str, make: Callable[[Flight[T]], Awaitable[T]]) -> Flight[T]:
        """Begin one; `wait` for it in the same turn of the loop. Raises `LifecycleError`."""
        if self.closed:
            raise LifecycleError(CLOSED)
        flight = self._flights[key] = Flight[T](asyncio.get_running_loop().create_future())
        flight.task = asyncio.create_task(self._fly(key, flight, make), name=f"zmcache fill {key[:40]}")
        return flight

    async def wait(self, key: str, flight: Flight[T]) -> T:
        """What it brings, or raises."""
        flight.waiters += 1
        try:
            # Shielded: the future is everybody's.
            return await asyncio.shield(flight.future)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.future.done():
                if self._flights.get(key) is flight:
                    del self._flights[key]
                assert flight.task is not None
                flight.task.cancel()

    async def _fly(self, key: str, flight: Flight[T], make: Callable[[Flight[T]], Awaitable[T]]) -> None:
        try:
            made = await make(flight)
        except asyncio.CancelledError:
            if not flight.future.done() and self.closed:
                # Whoever still waits was not cancelled, and must not look as if.
                flight.future.set_exception(LifecycleError(CLOSED))
                flight.future.exception()  # seen, though nobody may be left to see it
            flight.future.cancel()
            raise
        except BaseException as error:
            if not flight.future.done():
                flight.future.set_exception(error)
                flight.future.exception()  # seen, though nobody may be left to see it
            if not isinstance(error, Exception):
                raise
        else:
            if not flight.future.done():
                flight.future.set_result(made)
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]

    def close(self) -> list[asyncio.Task[None]]:
        """Cancel all, and begin none any more. The tasks are to be waited for."""
        self.closed = True
        tasks = [flight.task for flight in self._flights.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        return tasks
