"""Values that the caller's own code makes: one fill in the whole cluster.

The way of `get_or_set`:

1. Look (`Raw.peek`). What is there and fresh ends it: no task, no lock. What is past its life but may still be given ends it too; when
   nobody makes it anew yet, and doing so has not just failed, a task in the background sees to that.
2. Join the key's flight in this process if there is one, else start it; what it does stands in `zmcache.cache.filler`.
3. A flight that takes longer than its lease has lapsed, here as at the owner: look again, and if there is still nothing, join the next flight, or
   start it, in which this caller's own function runs; whichever of them brings a value first, wins. Who has started one that still runs starts
   no other. So a fill that hangs holds nobody but, where there is no other way to have the value, its own caller.

A refresh is a flight, too, in a table of its own: who merely wants the value takes the one that is there.

What is asked for inside its own fill, by whatever way, would wait for itself: it raises (`zmcache.cache.underway`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, TypeVar

from zmcache.cache.away import Away
from zmcache.cache.complaints import Complaints
from zmcache.cache.filler import AWAY, Filler
from zmcache.cache.flights import Flight, Flights
from zmcache.cache.made import Fill, Made, is_value
from zmcache.cache.making import Making
from zmcache.cache.pauses import Pauses
from zmcache.cache.raw import CLOSED, Raw
from zmcache.cache.underway import check_not_in
from zmcache.cache.waiting import Waiting
from zmcache.codecs import Codec, Undecodable
from zmcache.core.calls import check_timeout
from zmcache.core.tokens import ANEW, token_of
from zmcache.core.wire import DUE, check_key
from zmcache.errors import DeadlineExceeded, LifecycleError, ZmcacheError

T = TypeVar("T")

NOTHING: Final = object()
_BACKGROUND_MAX: Final = 1000
# For a look beside a fill that takes long: what it made must not wait for a node that hangs.
_LOOK_S: Final = 0.2
_CLOSE_S: Final = 1.0


class Filling(Generic[T]):
    """The fills of one group of calls in this process."""

    def __init__(self, raw: Raw, codec: Codec[T] | None, away: Away) -> None:
        self._raw = raw
        self._codec = codec
        self._away = away
        self._clock = away.clock
        self._pauses = Pauses(away.clock)
        self._filler = Filler(raw, codec, away, self._pauses, Complaints(raw.name, away.clock))
        self._flights = Flights[Made](away.clock)
        self._refreshes = Flights[Made](away.clock)
        raw.fences.add(self._fence)

    def near(self, key: str) -> Any:
        """The value of the copy that this process keeps of ``key``; `NOTHING` where there is none."""
        near = self._raw.near
        if near is None or (copy := near(key)) is None:
            return NOTHING
        if self._codec is None:
            return copy
        try:
            return self._codec.decode(copy)
        except Undecodable:
            return NOTHING

    async def get(self, key: str, fill: Fill[T | None], how: Making) -> Made:
        """The value of ``key``, made by ``fill`` where it is missing."""
        check_not_in(self._raw, key)
        if self._flights.closed:
            raise LifecycleError(CLOSED)
        make = self._filler.fill
        if key in self._flights:
            return await self._joined(key, fill, how, make)
        try:
            value, status, life_ms = await self._raw.peek(key, how.timeout)
        except asyncio.CancelledError:
            self._raw.forgo(key)
            raise
        except AWAY as error:
            self._away.note(self._raw.name, error)
            # Together all the same: a cache that is away is no reason for a stampede.
            return await self._joined(key, fill, how, self._filler.alone)
        if is_value(status):
            try:
                made = self._filler.made(value, status, life_ms)
            except Undecodable:
                # Of an older schema, or another codec: to be made anew, unless another has come in its place meanwhile.
                return await self._joined(key, fill, how, partial(make, anew=token_of(value)))
            if status == DUE:
                self.refresh_soon(key, fill, how)
            return made
        return await self._joined(key, fill, how, make)

    async def make_anew(self, key: str, fill: Fill[T | None], how: Making) -> Made:
        """The value of ``key``, made by ``fill`` now, or by who is making it already. Raises what that raises, whatever old value there is."""
        check_key(key, self._raw.limits.key_bytes)
        check_not_in(self._raw, key)
        if self._flights.closed:
            raise LifecycleError(CLOSED)
        made = await self._wait(
            key,
            how,
            lambda: self._being_made(key),
            lambda how: self._refreshes.start(key, partial(self._filler.fill, key, fill, how, anew=ANEW), anew=True),
            look=False,
        )
        if made.error is not None:
            raise made.error
        return made

    def _being_made(self, key: str) -> Flight[Made] | None:
        for flights in (self._refreshes, self._flights):
            flight = flights.get(key)
            # Who only asks yet may find, and take, what is there.
            if flight is not None and (flight.anew or flight.run is not None):
                return flight
        return None

    # -- steps 2 and 3 ---------------------------------------------------------------------------------------------

    async def _joined(self, key: str, fill: Fill[T | None], how: Making, make: Callable[..., Any]) -> Made:
        return await self._wait(
            key,
            how,
            lambda: self._flights.get(key),
            lambda how: self._flights.start(key, partial(make, key, fill, how)),
            look=True,
        )

    async def _wait(
        self,
        key: str,
        how: Making,
        find: Callable[[], Flight[Made] | None],
        start: Callable[[Making], Flight[Made]],
        *,
        look: bool,
    ) -> Made:
        began_s = self._clock()
        timeout_s = self._raw.timeout_s if how.timeout is None else check_timeout(how.timeout)
        mine: Flight[Made] | None = None
        with Waiting[Made]() as waiting:
            while True:
                flight = find()
                if flight is None and mine is None:
                    flight = mine = start(how)
                if flight is not None:
                    waiting.join(flight)
                landed = await waiting.first(how.lease_ms / 1000)
                if landed is None:
                    found = await self._look(key, timeout_s) if look else None
                    if found is not None:
                        return found
                    continue
                if landed is not mine and landed.failed and len(waiting) > 1:
                    # It was slow, and failed in the end: the next one is under way.
                    waiting.leave(landed)
                    continue
                try:
                    return landed.result()
                except DeadlineExceeded:
                    # The cache did not answer the one who asked for all. Whoever has time left asks again; what came before that
                    # question, in the functions of callers, is outside every timeout.
                    if landed is mine or landed.unanswered_s is None:
                        raise
                    left_s = max(began_s, landed.unanswered_s) + timeout_s - self._clock()
                    if left_s <= 0:
                        raise
                    how = how._replace(timeout=left_s)
                    waiting.leave(landed)

    async def _look(self, key: str, timeout_s: float) -> Made | None:
        try:
            value, status, life_ms = await self._raw.peek(key, min(timeout_s, _LOOK_S))
            return self._filler.made(value, status, life_ms) if is_value(status) else None
        except asyncio.CancelledError:
            self._raw.forgo(key)
            raise
        except (ZmcacheError, Undecodable):
            return None

    # -- in the background -----------------------------------------------------------------------------------------

    def refresh_soon(self, key: str, fill: Fill[T | None], how: Making) -> None:
        """Make the value anew if nobody else does, while everyone is given the old one."""
        if (
            key in self._refreshes
            or key in self._flights
            or key in self._pauses
            or self._refreshes.closed
            or len(self._refreshes) >= _BACKGROUND_MAX
        ):
            return
        self._refreshes.start(key, partial(self._filler.refresh, key, fill, how), background=True)

    def _fence(self, key: str | None) -> None:
        self._flights.fence(key)
        self._refreshes.fence(key)
        if key is None:
            self._pauses.clear()
        else:
            self._pauses.end(key)

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it has ended; leases are given back, and what was made is sent."""
        self._raw.fences.remove(self._fence)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _CLOSE_S
        tasks = [*self._flights.close(), *self._refreshes.close()]
        if tasks:
            await asyncio.wait(tasks, timeout=_CLOSE_S)
        await self._filler.keeping.aclose(lambda: until_s - loop.time())
