"""One caller's wait for what is being made in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Generic, Self, TypeVar

from zmcache.cache.flights import Flight
from zmcache.cache.underway import Run, check_may_wait, innermost

T = TypeVar("T")


class Waiting(Generic[T]):
    """One caller, who waits for one flight or for more of them, whichever lands first. Use it in a ``with``, at whose end it leaves them all."""

    def __init__(self) -> None:
        self._flights: list[Flight[T]] = []
        self._lapsed: Flight[T] | None = None
        self._future: asyncio.Future[None] | None = None
        self._is_time = False
        self._run = innermost()

    def __enter__(self) -> Self:
        if self._run is not None:
            self._run.waits.add(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._run is not None:
            self._run.waits.discard(self)
        for flight in self._flights:
            flight.leave(self)

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, flight: Flight[T]) -> None:
        """Wait for this one, too. Raises `RecursiveFill` where it waits for the function that this call comes from."""
        if flight in self._flights:
            return
        flight.waiting[self] = None
        self._flights.append(flight)
        if self._run is not None and flight.run is not None:
            check_may_wait(self._run, flight.run)

    def leave(self, flight: Flight[T]) -> None:
        """Not for this one any more."""
        self._flights.remove(flight)
        flight.leave(self)

    def runs(self) -> Iterable[Run]:
        """See `zmcache.cache.underway.Waits`."""
        return [flight.run for flight in self._flights if flight.run is not None]

    async def first(self, pause_s: float) -> Flight[T] | None:
        """The first that has landed. None: it is time to look elsewhere, since the newest of them has just lapsed, or did so long ago and
        ``pause_s`` have gone by.
        """
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None
        self._is_time = False
        try:
            while True:
                for flight in self._flights:
                    if flight.landed:
                        return flight
                newest = self._flights[-1]
                if self._is_time or (newest.lapsed and newest is not self._lapsed):
                    self._lapsed = newest
                    return None
                if newest.lapsed and timer is None:
                    timer = loop.call_later(pause_s, self._look)
                self._future = loop.create_future()
                await self._future
        finally:
            self._future = None
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Something has happened to one of them."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def _look(self) -> None:
        self._is_time = True
        self.wake()
