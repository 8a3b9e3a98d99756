"""The gets that are under way for one group of a client: routed by key, batched by turn of the loop, shared among callers of the same key.

What a get costs here: a future, a look-up in the ring, two list appends; encoding, sending and the timer are per batch. A flight
is a list ``[key, batch, future, deadline, future, deadline, ...]`` that stands in the table while its key is being asked for: who wants
the same key meanwhile adds a future of its own, so cancelling one call touches no other; when all are cancelled, the node is told. Calls with a
timeout or a trace of their own travel in batches of their own (`zmcache.client.batches`). Many keys of one call are a flight together
(`zmcache.client.bulk`). What is no get is shared by nobody (`zmcache.client.errands`).

A batch that fails because its node is gone is asked again elsewhere (`zmcache.client.elsewhere`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from functools import partial
from typing import Protocol
from weakref import ref

from zmcache.cache.raw import Row
from zmcache.client.batches import LATE, OpenBatches, expire
from zmcache.client.bulk import LEAST, UNLISTED_MOST, Bulk, Flight
from zmcache.client.elsewhere import Elsewhere, sent_on
from zmcache.client.route import Route
from zmcache.core.calls import Duration, check_timeout
from zmcache.core.wire import FILLS, FIRST_ERROR, GET, Answer, check_key
from zmcache.deadlines import RESOLUTION_S
from zmcache.errors import DeadlineExceeded, LifecycleError, PeerUnavailable, ZmcacheError, from_code
from zmcache.peers.batch import Batch
from zmcache.peers.channel import Channel
from zmcache.tracing import traceparent


class Keeper(Protocol):
    """Who keeps copies of answers, of the positions `Batch.kept`."""

    def asked(self, key: str, batch: Batch) -> None:
        """It is asked for in this batch, and no other's answer is to be kept."""

    def offer(self, batch: Batch, answer: Answer) -> None:
        """What came of it."""

    def give_up(self, batch: Batch) -> None:
        """Nothing more comes of it."""


class Asking:
    """The flights of one group, and the batches they travel in. Consumer of the latter."""

    def __init__(
        self,
        name: str,
        route: Route,
        timeout_s: float,
        on_unreachable: Callable[[], None],
        *,
        fills: bool = False,
    ) -> None:
        """``on_unreachable`` is called when a node could not be reached: the ring may have changed. ``fills``: who asks makes what is
        missing, so that nothing is loaded.
        """
        self.name = name
        self.keeper: Keeper | None = None
        """Who keeps copies of answers."""
        self.on_gets: Callable[[Batch], None] | None = None
        """Told of each batch of gets that is opened for single keys."""
        self._flags = FILLS * fills
        self._on_unreachable = on_unreachable
        self._route = route
        self._timeout_s = timeout_s
        self._key_bytes = route.mesh.limits.key_bytes
        self._deadlines = route.mesh.deadlines
        self._clock = route.mesh.clock
        self._loop = asyncio.get_running_loop()
        self._flights: dict[str, Flight | Bulk] = {}
        self._unlisted: dict[Bulk, None] = {}  # under way, and not in the table of flights yet
        self._open: dict[Channel, Batch] = {}
        self._open_apart = OpenBatches(name, timeout_s, self, self._flags)

    def ask(self, key: str, timeout: Duration | None, *, keep: bool = False) -> asyncio.Future[Row]:
        """Get one key. Raises `InvalidKey`. ``keep``: the answer is to be kept, unless it is being asked for already."""
        if type(key) is not str or not key or len(key) > self._key_bytes or not key.isascii():
            check_key(key, self._key_bytes)
        future: asyncio.Future[Row] = self._loop.create_future()
        if self._unlisted:
            self._enter_bulks()
        flight = self._flights.get(key)
        if flight is not None:
            self._join(key, flight, future, timeout)
            return future
        channel = self._channel(key)
        if timeout is None and traceparent() is None:
            batch = self._open.get(channel)
            if batch is None or not batch.open:
                if batch is None and len(self._open) > 2 * len(self._route.mesh.by_index) + 8:
                    self._open.clear()  # left over from members that are gone
                batch = self._open[channel] = channel.open_batch(self, GET, self.name, flags=self._flags)
                if self.on_gets is not None:
                    self.on_gets(batch)
            deadline_s = batch.opened_s + self._timeout_s
        else:
            batch, deadline_s = self._open_apart.batch(channel, GET, timeout)
            if self.on_gets is not None and not batch.keys:
                self.on_gets(batch)
        self._flights[key] = flight = [key, batch, future, deadline_s]
        if keep and self.keeper is not None:
            batch.keep_next()
            self.keeper.asked(key, batch)
        batch.add(key, flight, deadline_s)
        return future

    def ask_many(
        self, keys: list[str], timeout: Duration | None, keep: Set[str] = frozenset()
    ) -> tuple[list[Bulk], dict[str, asyncio.Future[Row]]]:
        """Ask for keys that have been checked: in bulk where many go the same way, the others each by itself. ``keep``: see `ask`."""
        timeout_s = self._timeout_s if timeout is None else check_timeout(timeout)
        flights = self._flights
        if len(self._unlisted) >= UNLISTED_MOST:
            self._enter_bulks()
        futures: dict[str, asyncio.Future[Row]] = {}
        if flights and not flights.keys().isdisjoint(keys):
            futures = {key: self.ask(key, timeout) for key in keys if key in flights}
            keys = [key for key in keys if key not in futures]
        bulks: list[Bulk] = []
        trace = traceparent()
        for channel, mine in self._channels(keys).items() if keys else ():
            if len(mine) < LEAST:
                for key in mine:
                    futures[key] = self.ask(key, timeout, keep=key in keep)
                continue
            for at in range(0, len(mine), channel.keys_that_fit):
                part = mine[at : at + channel.keys_that_fit]
                bulk = Bulk(part, flights, self._unlisted, self, self._loop.create_future())
                batch = channel.open_batch(bulk, GET, self.name, flags=self._flags)
                batch.trace = trace
                if self.keeper is not None and not keep.isdisjoint(part):
                    batch.kept = {at: None for at, key in enumerate(part) if key in keep}
                    for at in batch.kept:
                        self.keeper.asked(part[at], batch)
                bulk.ask(batch, batch.opened_s + timeout_s)
                bulks.append(bulk)
        return bulks, futures

    def _enter_bulks(self) -> None:
        for bulk in list(self._unlisted):
            bulk.enter_table()

    def _channel(self, key: str) -> Channel:
        try:
            return self._route.channel(key)
        except LookupError:
            raise PeerUnavailable("no node has answered yet") from None

    def _channels(self, keys: list[str]) -> dict[Channel, list[str]]:
        try:
            return self._route.channels(keys)
        except LookupError:
            raise PeerUnavailable("no node has answered yet") from None

    def forgo(self, key: str) -> None:
        """One of those who wait for ``key`` was cancelled. When all were, the node is told: it need not load for nobody."""
        flight = self._flights.get(key)
        if type(flight) is list and all(future.done() for future in flight[2::2]):
            del self._flights[key]
            batch: Batch = flight[1]
            batch.channel.forgo(batch, flight)

    def _join(self, key: str, flight: Flight | Bulk, future: asyncio.Future[Row], timeout: Duration | None) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise LifecycleError("the client belongs to another event loop, or to the process before a fork")
        deadline_s = self._clock() + (self._timeout_s if timeout is None else check_timeout(timeout))
        if isinstance(flight, Bulk):
            flight.join(key, future, deadline_s)
        else:
            flight += (future, deadline_s)
        # The batch's timer is the first caller's; a caller that joined has one of its own.
        self._deadlines.add(deadline_s, partial(expire, ref(future)))

    def fence(self, key: str) -> None:
        """Nobody who asks for ``key`` from now on shares what is under way."""
        if self._unlisted:
            self._enter_bulks()
        self._flights.pop(key, None)

    def fence_all(self) -> None:
        """The same for every key."""
        if self._unlisted:
            self._enter_bulks()
        self._flights.clear()

    # -- from the channel ------------------------------------------------------------------------------------------

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """Some positions of a batch were answered."""
        if batch.kept and self.keeper is not None:
            # Before who asked goes on, and may change it.
            self.keeper.offer(batch, answer)
        if batch.is_whole(answer):
            self._on_hits(batch, answer)
            return
        flights = self._flights
        gone: dict[str, list[Flight]] = {}
        flight: Flight
        for flight, status, value, life_ms, _ in batch.fill(answer):
            if status == PeerUnavailable.code:
                gone.setdefault(str(value), []).append(flight)
                continue
            if status >= FIRST_ERROR:
                self._failed(batch, [flight], from_code(status, str(value)))
                continue
            if flights.get(flight[0]) is flight:
                del flights[flight[0]]
            row = value, status, life_ms
            for future in flight[2::2]:
                if not future.done():
                    future.set_result(row)
        for why, flights_gone in gone.items():
            self._failed(batch, flights_gone, sent_on(batch.channel, why))

    def _on_hits(self, batch: Batch, answer: Answer) -> None:
        """The usual case, a whole batch answered at once and without an error: the same as `on_answer`, in fewer steps a key."""
        flights = self._flights
        flight: Flight
        for flight, row in zip(batch.sinks, zip(answer.values, answer.statuses, answer.lives_ms), strict=True):  # noqa: B905
            key = flight[0]
            if flights.get(key) is flight:
                del flights[key]
            future = flight[2]
            if not future.done():
                future.set_result(row)
            if len(flight) > 4:
                for future in flight[4::2]:
                    if not future.done():
                        future.set_result(row)
        batch.unanswered = 0
        batch.sinks = []

    def on_whole(self, batch: Batch, answer: Answer) -> None:
        """All of a bulk's batch was answered. The bulk itself tells those who wait."""
        if batch.kept and self.keeper is not None:
            self.keeper.offer(batch, answer)

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """The rest of a batch will not be answered."""
        if batch.kept and self.keeper is not None:
            # It may be asked again, elsewhere, and of another's answer nothing is kept.
            self.keeper.give_up(batch)
        self._failed(batch, batch.unfilled(), error)

    def _failed(self, batch: Batch, flights: list[Flight], error: ZmcacheError) -> None:
        if isinstance(error, PeerUnavailable):
            self._on_unreachable()
        elsewhere = Elsewhere(batch, error, self._route, self._route.retry_flags | self._flags)
        for flight in flights:
            other = elsewhere.batch(flight[0])
            if other is not None:
                flight[1] = other
                # Not the latest of its callers' deadlines: the first caller, and its neighbours here, have no timer but the batch's.
                other.add(flight[0], flight, flight[3])
            elif isinstance(error, DeadlineExceeded) and len(flight) > 4:
                self._outlive(flight)
            else:
                if self._flights.get(flight[0]) is flight:
                    del self._flights[flight[0]]
                _fail(flight, error)

    def _outlive(self, flight: Flight) -> None:
        """The first caller's time is up; those who joined later and have time left are asked for anew."""
        key = flight[0]
        if self._flights.get(key) is flight:
            del self._flights[key]
        soon_s = self._clock() + RESOLUTION_S
        rest: Flight = [key, None]
        for future, deadline_s in zip(flight[2::2], flight[3::2], strict=True):
            if deadline_s <= soon_s or future.done():
                _fail([key, None, future, deadline_s], DeadlineExceeded(LATE))
            else:
                rest += (future, deadline_s)
        if len(rest) > 2:
            self._flights.setdefault(key, rest)
            batch = rest[1] = self._route.channel(key).open_batch(self, GET, self.name, flags=self._flags)
            batch.add(key, rest, max(rest[3::2]))


def _fail(flight: Flight, error: ZmcacheError) -> None:
    for future in flight[2::2]:
        if not future.done():
            future.set_exception(error)
