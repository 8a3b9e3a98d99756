"""Values that the caller's own code makes: one fill in the whole cluster.

The way of `get_or_set`:

1. Look (`Raw.peek`). What is there and fresh ends it: no task, no lock. What is past its life but may still be given ends it too; when
   nobody makes it anew yet, a task in the background sees to that.
2. Join the key's fill in this process if there is one, else start it.
3. In it, ask the owner (`FILL`): for the value, or for the lease to make it, or for a wait until somebody else has made it. The wait is cut into
   pieces that the call's timeout covers, since making takes as long as it takes.
4. With the lease: run the caller's function, outside every timeout, and send what it made (`PUT`). The owner keeps it unless a set or a
   delete came between. When the function raises, the lease is given back, so that the next in line tries; who waits here gets
   what was raised, or the old value, where the group still had one for that case.

What is asked for inside its own fill, by the same key, would wait for itself: it raises.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

from zmcache.cache.away import LOG_PAUSE_S, Away
from zmcache.cache.flights import Flight, Flights
from zmcache.cache.making import Making
from zmcache.cache.raw import CLOSED, Raw
from zmcache.codecs import Codec, Undecodable
from zmcache.core.calls import SOURCES, Item, check_timeout
from zmcache.core.wire import (
    DELETE,
    DUE,
    FILL,
    FILLING,
    FROM_LOADER,
    IS_NONE,
    LEASED,
    LEASED_NONE,
    PUT,
    RELEASE,
    STALE,
    Change,
    check_value,
)
from zmcache.errors import DeadlineExceeded, LifecycleError, MeshError, RecursiveFill, RequestError, ZmcacheError

T = TypeVar("T")
Fill = Callable[[], Awaitable[T]] | Callable[[], T]

# How many leases' time a caller waits for others to make a value, before it is told that nobody does.
_PATIENCE_LEASES: Final = 3
_BACKGROUND_MAX: Final = 1000

_log = logging.getLogger("zmcache.cache")
_under_way: ContextVar[frozenset[tuple[int, str]]] = ContextVar("zmcache_fills", default=frozenset())


class Made(NamedTuple):
    """A value, where it came from (as `Item.source`) and what remains of its life in ms (below zero: for ever)."""

    value: Any
    source: str
    life_ms: int = -1

    def item(self) -> Item[Any]:
        """As callers are told of it."""
        return Item(self.value, None if self.life_ms < 0 else self.life_ms / 1000, self.source)


class Filling(Generic[T]):
    """The fills of one group of calls in this process."""

    def __init__(self, raw: Raw, codec: Codec[T] | None, away: Away) -> None:
        self._raw = raw
        self._codec = codec
        self._away = away
        self._clock = away.clock
        self._flights = Flights[Made]()
        self._background: dict[str, asyncio.Task[None]] = {}
        self._logged_s = -math.inf
        self.fills = self.failures = self.refreshes = 0

    async def get(self, key: str, fill: Fill[T | None], how: Making) -> Made:
        """The value of ``key``, made by ``fill`` where it is missing."""
        if (id(self._raw), key) in _under_way.get():
            raise RecursiveFill(f"the fill of {key!r} asks for {key!r} itself")
        if self._flights.closed:
            raise LifecycleError(CLOSED)
        if key in self._flights:
            return await self._joined(key, fill, how)
        try:
            value, status, life_ms = await self._raw.peek(key, how.timeout)
        except asyncio.CancelledError:
            self._raw.forgo(key)
            raise
        except MeshError as error:
            self._away.note(self._raw.name, error)
            return Made(await called(fill), "fill")
        if status <= FROM_LOADER or status in (IS_NONE, STALE, DUE):
            try:
                made = self._made(value, status, life_ms)
            except Undecodable:
                # Of an older schema, or another codec: to be made anew, and whoever brings it is not to find this one fresh.
                await self._forget(key, how)
            else:
                if status == DUE:
                    self.refresh_soon(key, fill, how)
                return made
        return await self._joined(key, fill, how)

    def _made(self, value: bytes | None, status: int, life_ms: int) -> Made:
        decoded = value if self._codec is None or value is None else self._codec.decode(value)
        source = SOURCES.get(status, "owner")
        # What is due may still be fresh, and be made anew only because it is popular.
        return Made(decoded, "owner" if status == DUE and life_ms != 0 else source, life_ms)

    async def _joined(self, key: str, fill: Fill[T | None], how: Making) -> Made:
        """In the flight of the key in this process. Whoever has time left when the cache did not answer the one who asked for all asks again."""
        began_s = self._clock()
        timeout_s = self._raw.timeout_s if how.timeout is None else check_timeout(how.timeout)
        while True:
            flight = self._flights.get(key)
            mine = flight is None
            if flight is None:
                flight = self._flights.start(key, partial(self._fill, key, fill, how))
            try:
                return await self._flights.wait(key, flight)
            except DeadlineExceeded:
                if mine or flight.unanswered_s is None:
                    raise
                # What came before that question, in the functions of callers, is outside every timeout.
                left_s = max(began_s, flight.unanswered_s) + timeout_s - self._clock()
                if left_s <= 0:
                    raise
                how = how._replace(timeout=left_s)

    # -- a fill, from the question to the answer -------------------------------------------------------------------

    async def make_anew(self, key: str, fill: Fill[T | None], how: Making) -> Made:
        """The value of ``key``, made by ``fill`` now, or by who is making it already."""
        if self._flights.closed:
            raise LifecycleError(CLOSED)
        return await self._fill(key, fill, how, anew=1)

    async def _fill(
        self, key: str, fill: Fill[T | None], how: Making, flight: Flight[Made] | None = None, *, anew: int = 0
    ) -> Made:
        give_up_s = self._clock() + _PATIENCE_LEASES * how.lease_ms / 1000 + 1.0
        while True:
            asked_s = self._clock()
            try:
                value, status, life_ms, token = await self._raw.change(
                    Change(FILL, key, b"", how.lease_ms, anew), how.timeout
                )
            except MeshError as error:
                if flight is not None:
                    flight.unanswered_s = asked_s
                self._away.note(self._raw.name, error)
                if flight is not None:
                    flight.unanswered_s = None
                return Made(await self._run(key, fill), "fill")
            if status in (LEASED, LEASED_NONE):
                old = Made(value, "stale", 0) if value is not None or status == LEASED_NONE else None
                return await self._make(key, fill, how, token, old)
            if status == FILLING:
                if self._clock() > give_up_s:
                    raise DeadlineExceeded(f"{_PATIENCE_LEASES} leases for {key!r} ended, and nobody has brought it")
                continue
            try:
                return self._made(value, status, life_ms)
            except Undecodable:
                return Made(await self._run(key, fill), "fill")

    async def _make(self, key: str, fill: Fill[T | None], how: Making, token: int, old: Made | None) -> Made:
        began_s = self._clock()
        try:
            value = await self._run(key, fill)
            change = self._to_put(key, value, how, token, self._clock() - began_s)
        except BaseException as error:
            # Not awaited: this may be a cancellation.
            self._raw.post(Change(RELEASE, key, token=token))
            if isinstance(error, Exception) and old is not None and how.error_ms:
                self._log("the fill of %r failed, its old value serves: %s: %s", key, type(error).__name__, error)
                try:
                    return Made(self._decode(old.value), "stale", 0)
                except Undecodable:
                    pass
            raise
        if change is None:
            self._raw.post(Change(RELEASE, key, token=token))
            return Made(value, "fill")
        try:
            _, _, life_ms, _ = await self._raw.change(change, how.timeout)
        except ZmcacheError as error:
            # The value is there; that it could not be kept is nothing that its caller can do anything about.
            self._away.failures += 1
            self._log("what was made for %r could not be stored: %s: %s", key, type(error).__name__, error)
            self._raw.post(Change(RELEASE, key, token=token))
            life_ms = -1
        except asyncio.CancelledError:
            # Behind the value, which is on its way, and may come too late to be taken.
            self._raw.post(Change(RELEASE, key, token=token))
            raise
        return Made(value, "fill", life_ms)

    def _to_put(self, key: str, value: T | None, how: Making, token: int, took_s: float) -> Change | None:
        """None: it is not to be kept."""
        ttl_ms = how.ttl_ms
        if value is None and how.none_ttl_ms is not None:
            ttl_ms = how.none_ttl_ms
            if not ttl_ms:
                return None
        if how.condition is not None and not how.condition(value):
            return None
        data: Any = None
        if value is not None:
            data = value if self._codec is None else self._codec.encode(value)
            check_value(data, self._raw.limits.value_bytes)
        return Change(PUT, key, data, ttl_ms, token, how.stale_ms, how.error_ms, max(1, int(took_s * 1000)))

    async def _run(self, key: str, fill: Fill[T | None]) -> T | None:
        self.fills += 1
        try:
            with self.under_way(key):
                return await called(fill)
        except Exception:
            self.failures += 1
            raise

    @contextmanager
    def under_way(self, key: str) -> Iterator[None]:
        """Whoever asks for ``key`` inside the block, and where its context goes, asks in its own fill."""
        reset = _under_way.set(_under_way.get() | {(id(self._raw), key)})
        try:
            yield
        finally:
            _under_way.reset(reset)

    def _decode(self, value: bytes | None) -> Any:
        return value if self._codec is None or value is None else self._codec.decode(value)

    async def _forget(self, key: str, how: Making) -> None:
        try:
            await self._raw.change(Change(DELETE, key), how.timeout)
        except MeshError as error:
            self._away.note(self._raw.name, error)

    # -- in the background -----------------------------------------------------------------------------------------

    def refresh_soon(self, key: str, fill: Fill[T | None], how: Making) -> None:
        """Make the value anew if nobody else does, while everyone is given the old one."""
        if (
            key in self._background
            or key in self._flights
            or self._flights.closed
            or len(self._background) >= _BACKGROUND_MAX
        ):
            return
        task = asyncio.create_task(self._refresh(key, fill, how), name=f"zmcache refresh {key[:40]}")
        self._background[key] = task
        task.add_done_callback(lambda _: self._background.pop(key, None))

    async def _refresh(self, key: str, fill: Fill[T | None], how: Making) -> None:
        try:
            _, status, _, token = await self._raw.change(Change(FILL, key, b"", how.lease_ms), how.timeout)
            if status in (LEASED, LEASED_NONE):
                self.refreshes += 1
                await self._make(key, fill, how, token, None)
        except Exception as error:
            self._log("the refresh of %r failed, its old value serves on: %s: %s", key, type(error).__name__, error)

    async def aclose(self) -> None:
        """Cancel what is under way, and wait until it has ended; leases are given back."""
        tasks = [*self._flights.close(), *self._background.values()]
        for task in self._background.values():
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    def _log(self, text: str, *details: object) -> None:
        now_s = self._clock()
        if now_s - self._logged_s >= LOG_PAUSE_S:
            self._logged_s = now_s
            _log.warning("group %s: " + text, self._raw.name, *details)


async def called(fill: Fill[T | None]) -> T | None:
    """What a caller's function gives, be it ``def`` or ``async def``."""
    if not callable(fill):
        raise RequestError(f"expected a function that makes the value, not {type(fill).__name__}")
    value = fill()
    if inspect.isawaitable(value):
        return await value
    return value
