"""Loads under way in one group: which keys go to the loader together, how many calls run at once, and what comes back.

Keys that are missing in one turn of the event loop, or while every slot is taken, reach a batch loader in one call. A call holds its slot
until the loader returns or the load timeout cuts it off; nothing else a loader does can hold up another group. What a loader returns is
checked here, key by key: a wrong type or an outsize value fails that key by name and spares its neighbours.

A flight whose last waiter has gone leaves the queue; a call is cancelled when all of its flights have been abandoned, never before.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Protocol

from zmcache.core.flight import Flight, Outcome, failure
from zmcache.core.wire import FROM_LOADER, NO_SUCH_KEY
from zmcache.errors import BackendError, Busy, LoaderFailed, LoadTimeout, PeerUnavailable, ZmcacheError


class Loader(Protocol):
    """What fetches missing keys from the backend. See zmcache.loaders for the ones that a config can name."""

    @property
    def name(self) -> str:
        """For messages: what the config calls it."""

    @property
    def max_batch(self) -> int:
        """The most keys in one call; 1 for a loader of single keys."""

    async def load(self, keys: list[str]) -> Mapping[str, bytes]:
        """The values of those keys that exist. Raises `LoaderFailed` for a failure of the call as a whole."""

    async def aclose(self) -> None:
        """Let go of threads and connections; bounded in time."""


class _Call:
    """One call of the loader."""

    __slots__ = ("flights", "task")

    def __init__(self, flights: dict[str, Flight]) -> None:
        self.flights = flights
        self.task: asyncio.Task[None] | None = None


class Loading:
    """The queue in front of one group's loader.

    ``on_result(flight, outcome)`` is called once for each flight that was given to `add`, unless it was abandoned while it was queued. An outcome
    with a value or with "no such key" has an expiry of inf: what it becomes is the group's to say.
    """

    def __init__(
        self,
        loader: Loader,
        on_result: Callable[[Flight, Outcome], None],
        *,
        load_timeout_s: float,
        max_loads: int,
        max_queued: int,
        max_value_bytes: int,
    ) -> None:
        self._loader = loader
        self._on_result = on_result
        self._load_timeout_s = load_timeout_s
        self._max_loads = max_loads
        self._max_queued = max_queued
        self._max_value_bytes = max_value_bytes
        self._loop = asyncio.get_running_loop()
        self._queue: dict[Flight, None] = {}
        self._calls: dict[Flight, _Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._start_planned = False
        self._closed = False
        self.loaded_keys = 0
        self.loader_calls = 0
        self.failed_keys = 0

    def add(self, flight: Flight) -> None:
        """Load this flight's key soon. Raises `Busy` when the queue is full, `PeerUnavailable` after `aclose`."""
        if self._closed:
            raise _stopping()
        if len(self._queue) >= self._max_queued:
            raise Busy(f"{len(self._queue)} keys wait for loader {self._loader.name}, limit {self._max_queued}")
        self._queue[flight] = None
        if not self._start_planned:
            self._start_planned = True
            self._loop.call_soon(self._start_calls)

    def abandon(self, flight: Flight) -> list[Flight]:
        """The last waiter of this flight has gone. Returns the flights whose work ends here and that nobody may join any more.

        A key in a call that others still wait for goes on being loaded and can be joined again.
        """
        if flight in self._queue:
            del self._queue[flight]
            return [flight]
        call = self._calls.get(flight)
        if call is None or call.task is None or any(len(other) for other in call.flights.values()):
            return []
        call.task.cancel()
        return list(call.flights.values())

    @property
    def queued(self) -> int:
        """Keys that wait for a slot."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Loader calls under way."""
        return len(self._tasks)

    async def aclose(self) -> None:
        """Cancel what runs, tell what waits, close the loader."""
        # The queue first: a call that ends would start the next one from it.
        self._closed = True
        queue, self._queue = self._queue, {}
        for flight in queue:
            self._on_result(flight, failure(_stopping()))
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        await self._loader.aclose()

    def _start_calls(self) -> None:
        self._start_planned = False
        while self._queue and len(self._tasks) < self._max_loads:
            flights: dict[str, Flight] = {}
            for flight in list(itertools.islice(self._queue, self._loader.max_batch)):
                # A fenced flight and the one that followed it may both wait here: one call, one key.
                if flight.key not in flights:
                    flights[flight.key] = flight
                    del self._queue[flight]
            call = _Call(flights)
            for flight in flights.values():
                self._calls[flight] = call
            call.task = self._loop.create_task(self._run(call), name=f"zmcache load {self._loader.name}")
            self._tasks.add(call.task)
            call.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._loop.call_exception_handler(
                {"message": "a load ended with an unexpected error", "exception": error, "task": task}
            )
        if self._queue and not self._start_planned:
            self._start_calls()

    async def _run(self, call: _Call) -> None:
        keys = list(call.flights)
        self.loader_calls += 1
        outcomes: dict[str, Outcome] = {}
        # What waiters hear if this task is cancelled from outside: `aclose` does that, or nobody waits.
        error: ZmcacheError = _stopping()
        try:
            async with asyncio.timeout(self._load_timeout_s) as timer:
                found = await self._loader.load(keys)
            outcomes = self._outcomes(keys, found)
        except asyncio.CancelledError:
            if call.task is None or call.task.cancelling():
                raise
            error = LoaderFailed(f"loader {self._loader.name} was cancelled by something of its own")
        except TimeoutError as exc:
            if timer.expired():
                error = LoadTimeout(f"loader {self._loader.name} took longer than {self._load_timeout_s:g} s")
            else:
                error = LoaderFailed(f"loader {self._loader.name}: TimeoutError: {exc}")
        except BackendError as exc:
            error = exc
        except Exception as exc:
            # An error of zmcache itself too: a loader that reads another cluster must not make this one look unreachable.
            error = LoaderFailed(f"loader {self._loader.name}: {type(exc).__name__}: {exc}")
        finally:
            for key, flight in call.flights.items():
                self._calls.pop(flight, None)
                outcome = outcomes.get(key) or failure(error)
                if outcome.error is not None:
                    self.failed_keys += 1
                else:
                    self.loaded_keys += 1
                self._on_result(flight, outcome)

    def _outcomes(self, keys: list[str], found: object) -> dict[str, Outcome]:
        if not isinstance(found, Mapping):
            raise LoaderFailed(
                f"loader {self._loader.name} returned {type(found).__name__}, not a mapping of keys to bytes"
            )
        return {key: self._outcome(key, found.get(key)) for key in keys}

    def _outcome(self, key: str, value: object) -> Outcome:
        if value is None:
            return Outcome(None, NO_SUCH_KEY, math.inf)
        if type(value) is not bytes:
            return failure(
                LoaderFailed(f"loader {self._loader.name} returned {type(value).__name__}, not bytes, for {key!r}")
            )
        if len(value) > self._max_value_bytes:
            return failure(
                LoaderFailed(
                    f"loader {self._loader.name} returned {len(value)} bytes for {key!r}, limit {self._max_value_bytes}"
                )
            )
        return Outcome(value, FROM_LOADER, math.inf)


def _stopping() -> PeerUnavailable:
    # Not `Busy`, which is an answer: this sends a caller from another node on to the next one.
    return PeerUnavailable("the node is stopping")
