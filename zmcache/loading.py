"""Loads under way in one group: which keys go to the loader together, how many calls run at once, and what comes back.

Keys that are missing in one turn of the event loop, or while every slot is taken, reach a batch loader in one call. A call is a task of its own,
which nobody awaits but this module: its waiters hear of the load timeout when the time is over, whatever the loader makes of its cancellation,
and the call keeps its slot until it has really ended, because that is what ``max_loads`` promises the backend. What a loader returns is
checked here, key by key: a wrong type or an outsize value fails that key by name and spares its neighbours.

A flight whose last waiter has gone leaves the queue; a call is cancelled when all of its flights have been abandoned, never before.

The queue is bounded, and fair to those who fill it (`zmcache.core.fairqueue`). What would be answered too late is refused at once: a key that has to
wait for a slot, and whose call cannot have ended by its deadline even if all calls took only as long as the shortest of the last `_LOOK_BACK`. What
a free slot is there for is never refused, so a loader that was slow is found to be quick again by the next key.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from zmcache.core.fairqueue import FairQueue
from zmcache.core.flight import Flight, Outcome, failure
from zmcache.core.wire import FROM_LOADER, NO_SUCH_KEY
from zmcache.errors import BackendError, Busy, LoaderFailed, LoadTimeout, PeerUnavailable
from zmcache.tracing import context_of

_log = logging.getLogger("zmcache.loading")
_LOG_PAUSE_S: Final = 5.0
_GRACE_S: Final = 1.0  # what a cancelled call may take to tidy up before it is worth a line in the log
_CLOSE_TIMEOUT_S: Final = 1.0
_LOOK_BACK: Final = 32  # calls


class Loader(Protocol):
    """What fetches missing keys from the backend. See zmcache.loaders for the ones that a config can name.

    One that has ``can_be_stopped``, and says False, goes on with a call whose task is cancelled (its threads do): a call that is given up is left to
    end by itself then, so that it keeps its slot until it has.
    """

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
    """One call of the loader. ``flights``: those that have not heard how it ended."""

    __slots__ = ("began_s", "flights", "task", "timer")

    def __init__(
        self,
        flights: dict[str, Flight],
        task: asyncio.Task[Mapping[str, bytes]],
        timer: asyncio.TimerHandle,
        began_s: float,
    ) -> None:
        self.began_s = began_s
        self.flights = flights
        self.task = task
        self.timer = timer


class Loading:
    """The queue in front of one group's loader.

    ``on_result(flight, outcome)`` is called once for each flight that was given to `add`, unless `abandon` gave it back. An outcome
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
        self._can_be_stopped = getattr(loader, "can_be_stopped", True)
        self._on_result = on_result
        self._load_timeout_s = load_timeout_s
        self._max_loads = max_loads
        self._max_queued = max_queued
        self._max_value_bytes = max_value_bytes
        self._loop = asyncio.get_running_loop()
        self._queue: FairQueue[Flight] = FairQueue()
        self._took_s: deque[float] = deque(maxlen=_LOOK_BACK)
        self._calls: dict[Flight, _Call] = {}
        self._running: dict[asyncio.Task[Mapping[str, bytes]], _Call] = {}
        self._start_planned = False
        self._closed = False
        self._logged_s = -math.inf
        self.loaded_keys = 0
        self.loader_calls = 0
        self.failed_keys = 0

    def add(self, flight: Flight, deadline_s: float = math.inf, source: object = None) -> None:
        """Load this flight's key soon; ``source`` is who wants it. Raises `Busy` when the queue is full, or it could not be loaded by
        ``deadline_s`` of the loop's time, and `PeerUnavailable` after `aclose`.
        """
        if self._closed:
            raise _stopping()
        if len(self._queue) >= self._max_queued:
            self._make_room(source)
        if not self._can_be_loaded_by(deadline_s, source):
            raise Busy(
                f"{len(self._queue)} keys wait for loader {self._loader.name}: it would be later than the call's deadline"
            )
        self._queue.add(flight, source)
        if not self._start_planned:
            self._start_planned = True
            self._loop.call_soon(self._start_calls)

    def _make_room(self, source: object) -> None:
        full = Busy(f"{len(self._queue)} keys wait for loader {self._loader.name}, limit {self._max_queued}")
        other = self._queue.to_go_for(source)
        if other is None:
            raise full
        self._queue.remove(other)
        self._on_result(other, failure(full))

    def _can_be_loaded_by(self, deadline_s: float, source: object) -> bool:
        if not self._took_s or deadline_s == math.inf:
            return True
        least_s, left_s = min(self._took_s), deadline_s - self._loop.time()
        # The first look is the cheaper one.
        return self._may_end_within(left_s, len(self._queue), least_s) or self._may_end_within(
            left_s, self._queue.ahead_of(source), least_s
        )

    def _may_end_within(self, left_s: float, keys_ahead: int, least_s: float) -> bool:
        calls_ahead = keys_ahead // self._loader.max_batch
        if calls_ahead < self._max_loads - len(self._running):
            return True
        # Those that run now may all end in this moment.
        return (1 + calls_ahead // self._max_loads) * least_s <= left_s

    def abandon(self, flight: Flight) -> list[Flight]:
        """The last waiter of this flight has gone. Returns the flights whose work ends here and that nobody may join any more.

        A key in a call that others still wait for goes on being loaded and can be joined again.
        """
        if flight in self._queue:
            self._queue.remove(flight)
            return [flight]
        call = self._calls.get(flight)
        # One that has ended reports in a moment: that is worth keeping.
        if call is None or call.task.done() or any(len(other) for other in call.flights.values()):
            return []
        given_up = list(call.flights.values())
        self._let_go(call)
        self._cancel(call)
        return given_up

    @property
    def queued(self) -> int:
        """Keys that wait for a slot."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Loader calls under way, those included that were given up and have not ended."""
        return len(self._running)

    async def aclose(self) -> None:
        """Tell everyone who waits, cancel what runs, close the loader. A call that will not end is left behind after a second."""
        # The queue first: a call that ends would start the next one from it.
        self._closed = True
        queue, self._queue = self._queue, FairQueue()
        for flight in queue:
            self._on_result(flight, failure(_stopping()))
        for call in list(self._running.values()):
            self._report(call, dict.fromkeys(call.flights, failure(_stopping())))
        # Twice: a loader that caught the first cancellation and waits for something else is reached by the second.
        for _ in range(2):
            if self._running:
                for task in self._running:
                    task.cancel()
                await asyncio.wait(list(self._running), timeout=_CLOSE_TIMEOUT_S / 2)
        await self._loader.aclose()

    # -- a call, from its start to its end -------------------------------------------------------------------------

    def _start_calls(self) -> None:
        self._start_planned = False
        while self._queue and len(self._running) < self._max_loads:
            flights: dict[str, Flight] = {}
            later: list[tuple[Flight, object]] = []
            for _ in range(min(self._loader.max_batch, len(self._queue))):
                flight, source = self._queue.take()
                # A fenced flight and the one that followed it may both wait here: one call, one key.
                if flight.key in flights:
                    later.append((flight, source))
                else:
                    flights[flight.key] = flight
            for flight, source in later:
                self._queue.add(flight, source)
            # Of keys that are loaded together the first one's trace is as good as any; nobody else's may leak in from where this runs.
            trace = next((flight.trace for flight in flights.values() if flight.trace), None)
            task = self._loop.create_task(
                self._load(list(flights)), name=f"zmcache load {self._loader.name}", context=context_of(trace)
            )
            timer = self._loop.call_later(self._load_timeout_s, self._cut_off, task)
            call = self._running[task] = _Call(flights, task, timer, self._loop.time())
            for flight in flights.values():
                self._calls[flight] = call
            self.loader_calls += 1
            task.add_done_callback(self._ended)

    async def _load(self, keys: list[str]) -> Mapping[str, bytes]:
        # A coroutine of our own, so that a `load` that raises before it returns one fails like any other.
        return await self._loader.load(keys)

    def _cut_off(self, task: asyncio.Task[Mapping[str, bytes]]) -> None:
        if task.done():  # in this very turn of the loop: `_ended` is about to hand out what it brought
            return
        call = self._running[task]
        late = LoadTimeout(f"loader {self._loader.name} took longer than {self._load_timeout_s:g} s")
        self._report(call, dict.fromkeys(call.flights, failure(late)))
        self._cancel(call)

    def _cancel(self, call: _Call) -> None:
        self._took_s.append(self._loop.time() - call.began_s)  # or longer
        if self._can_be_stopped:
            call.task.cancel()
        call.timer.cancel()
        call.timer = self._loop.call_later(_GRACE_S, self._complain)

    def _complain(self) -> None:
        now_s = self._loop.time()
        if now_s - self._logged_s >= _LOG_PAUSE_S:
            self._logged_s = now_s
            _log.warning(
                "loader %s: a call goes on although it was cancelled, and keeps one of its %d slots",
                self._loader.name, self._max_loads,
            )  # fmt: skip

    def _ended(self, task: asyncio.Task[Mapping[str, bytes]]) -> None:
        call = self._running.pop(task)
        call.timer.cancel()
        # Looked at in any case, or asyncio complains about the exception of a call that was given up.
        error = None if task.cancelled() else task.exception()
        if call.flights:
            self._took_s.append(self._loop.time() - call.began_s)
            if task.cancelled():
                # Not by us: whom we cancel has been let go.
                failed = failure(LoaderFailed(f"loader {self._loader.name} was cancelled by something of its own"))
                self._report(call, dict.fromkeys(call.flights, failed))
            elif error is not None:
                self._report(call, dict.fromkeys(call.flights, failure(self._translated(error))))
            else:
                self._report(call, self._outcomes(list(call.flights), task.result()))
        if self._queue and not self._start_planned:
            self._start_calls()

    def _let_go(self, call: _Call) -> dict[str, Flight]:
        flights, call.flights = call.flights, {}
        for flight in flights.values():
            del self._calls[flight]
        return flights

    def _report(self, call: _Call, outcomes: Mapping[str, Outcome]) -> None:
        for key, flight in self._let_go(call).items():
            outcome = outcomes[key]
            if outcome.error is not None:
                self.failed_keys += 1
            else:
                self.loaded_keys += 1
            self._on_result(flight, outcome)

    # -- what came back --------------------------------------------------------------------------------------------

    def _translated(self, error: BaseException) -> BackendError:
        """What callers hear, with what the loader raised as its cause.

        No frame that ``error`` was raised through may hold the result in a variable: the traceback holds the frame, and
        the ring of the two would keep everything that the loader had in hand until the next full collection.
        """
        if isinstance(error, BackendError):
            return error.with_traceback(None)  # our own frames; those of the loader's code are in its cause
        # An error of zmcache itself too: a loader that reads another cluster must not make this one look unreachable.
        failed = LoaderFailed(f"loader {self._loader.name}: {type(error).__name__}: {_text(error)}")
        failed.__cause__ = error
        return failed

    def _outcomes(self, keys: list[str], found: object) -> dict[str, Outcome]:
        try:
            if isinstance(found, Mapping):
                return {key: self._outcome(key, found.get(key)) for key in keys}
        except (
            BaseException
        ) as exc:  # a mapping of the loader's own making may raise anything, and nobody but us would hear
            return dict.fromkeys(keys, failure(self._translated(exc)))
        return dict.fromkeys(
            keys,
            failure(
                LoaderFailed(
                    f"loader {self._loader.name} returned {type(found).__name__}, not a mapping of keys to bytes"
                )
            ),
        )

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


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # an exception of the loader's own making: its callers must hear of it all the same
        return "(its text cannot be had)"


def _stopping() -> PeerUnavailable:
    # Not `Busy`, which is an answer: this sends a caller from another node on to the next one.
    return PeerUnavailable("the node is stopping")
