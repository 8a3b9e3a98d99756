"""What is under way for one group of a client: routed by key, batched by turn of the loop, shared among callers of the same key.

What a get costs here: a future, a look-up in the ring, two list appends; encoding, sending and the timer are per batch. A flight
is a list ``[key, future, deadline, future, deadline, ...]`` that stands in the table while its key is being asked for: who wants
the same key meanwhile adds a future of its own, so cancelling one call touches no other. Calls with a timeout of their own travel
in batches of their own, since one timer serves a batch. Many keys of one call are a flight together (`zmcache.client.bulk`).

A batch that fails because its node is gone is asked once more elsewhere: at the key's next owner, or, with ``route="any"``, at
another of the given nodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import ref

from zmcache.client.bulk import LEAST, Bulk, Flight, Row
from zmcache.client.route import Route
from zmcache.core.calls import check_timeout
from zmcache.core.wire import FIRST_ERROR, GET, SET, Answer, check_key
from zmcache.deadlines import RESOLUTION_S
from zmcache.errors import DeadlineExceeded, LifecycleError, PeerUnavailable, ZmcacheError, from_code
from zmcache.peers.batch import Batch
from zmcache.peers.channel import Channel

_DEADLINE: Final = "no answer within the call's deadline"


class Asking:
    """The flights of one group, and the batches they travel in. Consumer of the latter."""

    def __init__(self, name: str, route: Route, timeout_s: float, on_unreachable: Callable[[], None]) -> None:
        """``on_unreachable`` is called when a node could not be reached: the ring may have changed."""
        self.name = name
        self._on_unreachable = on_unreachable
        self._route = route
        self._timeout_s = timeout_s
        self._key_bytes = route.mesh.limits.key_bytes
        self._deadlines = route.mesh.deadlines
        self._clock = route.mesh.clock
        self._loop = asyncio.get_running_loop()
        self._flights: dict[str, Flight | Bulk] = {}
        self._open: dict[tuple[Channel, int, float], Batch] = {}
        self._open_gets: dict[Channel, Batch] = {}

    def ask(self, key: str, timeout: float | None) -> asyncio.Future[Row]:
        """Get one key. Raises `InvalidKey`."""
        if type(key) is not str or not key or len(key) > self._key_bytes or not key.isascii():
            check_key(key, self._key_bytes)
        future: asyncio.Future[Row] = self._loop.create_future()
        flight = self._flights.get(key)
        if flight is not None:
            self._join(key, flight, future, timeout)
            return future
        channel = self._route.channel(key)
        if timeout is None:
            batch = self._open_gets.get(channel)
            if batch is None or not batch.open:
                if batch is None and len(self._open_gets) > 2 * len(self._route.mesh.by_index) + 8:
                    self._open_gets.clear()  # left over from members that are gone
                batch = self._open_gets[channel] = channel.open_batch(self, GET, self.name)
            deadline_s = batch.opened_s + self._timeout_s
        else:
            batch, deadline_s = self._batch(channel, GET, timeout, attempt=0)
        self._flights[key] = flight = [key, future, deadline_s]
        batch.add(key, flight, deadline_s)
        return future

    def ask_many(self, keys: list[str], timeout: float | None) -> tuple[list[Bulk], dict[str, asyncio.Future[Row]]]:
        """Ask for keys that have been checked: in bulk where many go the same way, the others each by itself."""
        timeout_s = self._timeout_s if timeout is None else check_timeout(timeout)
        flights = self._flights
        futures: dict[str, asyncio.Future[Row]] = {}
        if not flights.keys().isdisjoint(keys):
            futures = {key: self.ask(key, timeout) for key in keys if key in flights}
            keys = [key for key in keys if key not in futures]
        bulks: list[Bulk] = []
        for channel, mine in self._route.channels(keys).items() if keys else ():
            if len(mine) < LEAST:
                for key in mine:
                    futures[key] = self.ask(key, timeout)
                continue
            for at in range(0, len(mine), channel.keys_that_fit):
                part = mine[at : at + channel.keys_that_fit]
                bulk = Bulk(part, flights, self, self._loop.create_future())
                batch = channel.open_batch(bulk, GET, self.name)
                bulk.ask(batch, batch.opened_s + timeout_s)
                bulks.append(bulk)
        return bulks, futures

    def _join(self, key: str, flight: Flight | Bulk, future: asyncio.Future[Row], timeout: float | None) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise LifecycleError("the client belongs to another event loop, or to the process before a fork")
        deadline_s = self._clock() + (self._timeout_s if timeout is None else check_timeout(timeout))
        if isinstance(flight, Bulk):
            flight.join(key, future, deadline_s)
        else:
            flight += (future, deadline_s)
        # The batch's timer is the first caller's; a caller that joined has one of its own. It stays until its time comes, but must not
        # keep the future, and with it the value, until then.
        self._deadlines.add(deadline_s, partial(_expire, ref(future)))

    async def write(self, kind: int, key: str, value: bytes, ttl_ms: int, timeout: float | None) -> int:
        """Set or delete one key; the status of the answer. Raises `InvalidKey` or `MeshError`."""
        check_key(key, self._key_bytes)
        future: asyncio.Future[Row] = self._loop.create_future()
        # A get that is under way may bring the old value: nobody who asks from now on may share it.
        self._fence(key)
        batch, deadline_s = self._batch(self._route.channel(key), kind, timeout, attempt=0)
        self._add_write(batch, [key, future, deadline_s, value, ttl_ms])
        try:
            return (await future)[1]
        finally:
            self._fence(key)

    def _fence(self, key: str) -> None:
        flight = self._flights.pop(key, None)
        if isinstance(flight, Bulk):
            flight.whole = False

    def _batch(self, channel: Channel, kind: int, timeout: float | None, *, attempt: int) -> tuple[Batch, float]:
        timeout_s = self._timeout_s if timeout is None else check_timeout(timeout)
        if attempt:
            batch = channel.open_batch(self, kind, self.name, attempt=attempt)
            return batch, batch.opened_s + timeout_s
        batch_or_none = self._open.get((channel, kind, timeout_s))
        if batch_or_none is None or not batch_or_none.open:
            if len(self._open) > 1024:
                self._open.clear()  # left over from channels and timeouts of long ago; an open batch is merely not added to any more
            batch_or_none = self._open[channel, kind, timeout_s] = channel.open_batch(self, kind, self.name)
        return batch_or_none, batch_or_none.opened_s + timeout_s

    def _add_write(self, batch: Batch, errand: Flight) -> None:
        key, _, deadline_s, value, ttl_ms = errand
        if batch.kind == SET:
            batch.add_set(key, value, ttl_ms, errand, deadline_s)
        else:
            batch.add(key, errand, deadline_s)

    # -- from the channel ------------------------------------------------------------------------------------------

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """Some positions of a batch were answered."""
        if batch.kind == GET and batch.is_whole(answer):
            self._on_hits(batch, answer)
            return
        flights = self._flights
        gone: list[Flight] = []
        flight: Flight
        for flight, status, value, life_ms in batch.fill(answer):
            if status >= FIRST_ERROR:
                if status == PeerUnavailable.code:
                    gone.append(flight)
                else:
                    self._failed(batch, [flight], from_code(status, str(value)))
                continue
            if flights.get(flight[0]) is flight:
                del flights[flight[0]]
            row = (value, status, life_ms)
            if not flight[1].done():
                flight[1].set_result(row)
            if batch.kind == GET and len(flight) > 3:
                for future in flight[3::2]:
                    if not future.done():
                        future.set_result(row)
        if gone:
            # What the node says of keys whose loads it has given up because it is stopping.
            self._failed(batch, gone, PeerUnavailable(f"{batch.channel.name} is stopping", peer=batch.channel.name))

    def _on_hits(self, batch: Batch, answer: Answer) -> None:
        """The usual case, a whole batch answered at once and without an error: the same as `on_answer`, in fewer steps a key."""
        flights = self._flights
        flight: Flight
        for flight, row in zip(batch.sinks, zip(answer.values, answer.statuses, answer.lives_ms), strict=True):  # noqa: B905
            key = flight[0]
            if flights.get(key) is flight:
                del flights[key]
            future = flight[1]
            if not future.done():
                future.set_result(row)
            if len(flight) > 3:
                for future in flight[3::2]:
                    if not future.done():
                        future.set_result(row)
        batch.unanswered = 0
        batch.sinks = []

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """The rest of a batch will not be answered."""
        self._failed(batch, batch.unfilled(), error)

    def _failed(self, batch: Batch, flights: list[Flight], error: ZmcacheError) -> None:
        unreachable = isinstance(error, PeerUnavailable)
        if unreachable:
            self._on_unreachable()
        retry = unreachable and batch.attempt == 0
        # A write keeps to the owner if the stand-in can reach it: it may be that only we cannot, and the others still read there.
        flags = self._route.retry_flags if batch.kind == GET else 0
        again: dict[Channel, Batch] = {}
        for flight in flights:
            channel = self._route.other_channel(flight[0], batch.channel) if retry else None
            if channel is not None:
                other = again.get(channel)
                if other is None or not other.open:
                    other = again[channel] = channel.open_batch(self, batch.kind, self.name, flags=flags, attempt=1)
                self._ask_again(other, flight)
            elif isinstance(error, DeadlineExceeded) and batch.kind == GET and len(flight) > 3:
                self._outlive(flight)
            else:
                if self._flights.get(flight[0]) is flight:
                    del self._flights[flight[0]]
                _fail(flight, error)

    def _ask_again(self, batch: Batch, flight: Flight) -> None:
        if batch.kind == GET:
            # Not the latest of its callers' deadlines: the first caller, and its neighbours here, have no timer but the batch's.
            batch.add(flight[0], flight, flight[2])
        else:
            self._add_write(batch, flight)

    def _outlive(self, flight: Flight) -> None:
        """The first caller's time is up; those who joined later and have time left are asked for anew."""
        key = flight[0]
        if self._flights.get(key) is flight:
            del self._flights[key]
        soon_s = self._clock() + RESOLUTION_S
        rest: Flight = [key]
        for future, deadline_s in zip(flight[1::2], flight[2::2], strict=True):
            if deadline_s <= soon_s or future.done():
                _fail([key, future, deadline_s], DeadlineExceeded(_DEADLINE))
            else:
                rest += (future, deadline_s)
        if len(rest) > 1:
            self._flights.setdefault(key, rest)
            self._route.channel(key).open_batch(self, GET, self.name).add(key, rest, max(rest[2::2]))


def _fail(flight: Flight, error: ZmcacheError) -> None:
    for future in flight[1::2]:
        if isinstance(future, asyncio.Future) and not future.done():
            future.set_exception(error)


def _expire(waiting: ref[asyncio.Future[Row]]) -> None:
    future = waiting()
    if future is not None and not future.done():
        future.set_exception(DeadlineExceeded(_DEADLINE))
