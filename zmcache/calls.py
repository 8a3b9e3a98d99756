"""The calls of an embedded node's group: what a program awaits, over the algorithm of `zmcache.group`.

A hit returns without suspending. Only a miss makes a future, and its deadline is an entry in the node's one coarse timer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import TypeVar, overload

from zmcache.core.calls import DEFAULT_TIMEOUT_S, SOURCES, UNSET, Item, Ttl, check_timeout, ttl_to_ms
from zmcache.core.flight import Flight, Outcome, Waiter, failure
from zmcache.core.settings import GroupSettings
from zmcache.core.store import Reader
from zmcache.core.wire import DELETE, DONE, SET, Limits, check_key, check_value
from zmcache.deadlines import Deadlines
from zmcache.errors import DeadlineExceeded, LifecycleError, PartialResult, ZmcacheError
from zmcache.group import ABSENT, LocalGroup, Peers, hit
from zmcache.loading import Loader

T = TypeVar("T")


class Group(LocalGroup):
    """A named cache in this process: ``node.group("items")``. Its calls are those of a client's group, plus `get_nowait`."""

    def __init__(
        self,
        name: str,
        settings: GroupSettings,
        limits: Limits,
        peers: Peers,
        deadlines: Deadlines,
        *,
        loader: Loader | None,
        random: Callable[[], float],
    ) -> None:
        super().__init__(name, settings, limits, peers, loader=loader, random=random)
        self._deadlines = deadlines
        self.get_nowait: Reader = self._store.reader(self._clock, ABSENT, self._copy_of)
        """``get_nowait(key, default=None)``: what this node holds of ``key`` now, a hot copy included; ``default``
        otherwise. Asks nobody and loads nothing. Raises `InvalidKey`."""

    def _copy_of(self, key: str) -> bytes | None:
        check_key(key, self.limits.key_bytes)
        return self._hot.read(key, self._clock())

    @overload
    async def get(self, key: str, *, timeout: float | None = None) -> bytes | None: ...
    @overload
    async def get(self, key: str, default: T, *, timeout: float | None = None) -> bytes | T: ...
    async def get(self, key: str, default: object = None, *, timeout: float | None = None) -> object:
        """The value of ``key``: from memory, from its owner, or loaded. ``default`` when the loader does not know it.

        ``timeout`` (seconds; None: 3) covers the whole call, the load included. Raises `InvalidKey`, `BackendError`,
        `Busy` or `DeadlineExceeded`.
        """
        value = self._store.get(key, self._clock())
        if value is not None:
            return default if value is ABSENT else value
        outcome = (await self._outcomes([key], timeout))[0]
        if outcome.error is not None:
            raise _fresh(outcome.error)
        return default if outcome.value is None else outcome.value

    async def fetch(self, key: str, *, timeout: float | None = None) -> Item | None:
        """As `get`, with the remaining life and the source of the value; None when the loader does not know the key."""
        outcome = (await self._outcomes([key], timeout))[0]
        if outcome.error is not None:
            raise _fresh(outcome.error)
        if outcome.value is None:
            return None
        ttl_s = None if outcome.expires_at_s == math.inf else max(0.0, outcome.expires_at_s - self._clock())
        return Item(outcome.value, ttl_s, SOURCES[outcome.status])

    async def get_many(self, keys: Iterable[str], *, timeout: float | None = None) -> dict[str, bytes]:
        """The values of those keys that exist. Raises `PartialResult`, with what was found, when some keys failed."""
        wanted = list(dict.fromkeys(keys))
        values: dict[str, bytes] = {}
        errors: dict[str, ZmcacheError] = {}
        for key, outcome in zip(wanted, await self._outcomes(wanted, timeout), strict=True):
            if outcome.error is not None:
                errors[key] = outcome.error
            elif outcome.value is not None:
                values[key] = outcome.value
        if errors:
            raise PartialResult(values, errors)
        return values

    async def set(self, key: str, value: bytes, *, ttl: Ttl = UNSET, timeout: float | None = None) -> None:
        """Store ``value`` at the owner of ``key``. ``ttl``: seconds or a timedelta; None: for ever; left out: the group's.

        Raises `InvalidKey`, `ValueTooLarge`, `InvalidTtl` or a `MeshError`.
        """
        check_key(key, self.limits.key_bytes)
        check_value(value, self.limits.value_bytes)
        await self._written(SET, key, value, ttl_to_ms(ttl), timeout)

    async def delete(self, key: str, *, timeout: float | None = None) -> bool:
        """Delete ``key`` at its owner; whether it was there. Raises `InvalidKey` or a `MeshError`."""
        check_key(key, self.limits.key_bytes)
        return (await self._written(DELETE, key, b"", 0, timeout)).status == DONE

    def _check_loop(self) -> None:
        # A hit is given anywhere; what needs the node's sockets and timers would hang in a loop that does not serve them.
        if asyncio.get_running_loop() is not self._loop:
            raise LifecycleError("the node belongs to another event loop, or to the process before the fork")

    async def _written(self, kind: int, key: str, value: bytes, ttl_ms: int, timeout: float | None) -> Outcome:
        self._check_loop()
        deadline_s = self._clock() + (DEFAULT_TIMEOUT_S if timeout is None else check_timeout(timeout))
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self.write(kind, key, value, ttl_ms, deadline_s, _once(future), forwarded=False)
        outcome = future.result() if future.done() else await self._until(future, deadline_s)
        if outcome.error is not None:
            raise _fresh(outcome.error)
        return outcome

    async def _outcomes(self, keys: list[str], timeout: float | None) -> list[Outcome]:
        """The outcome of each key, in order; never raises for a single key that failed, `DeadlineExceeded` among them."""
        for key in keys:
            check_key(key, self.limits.key_bytes)
        now_s = self._clock()
        deadline_s = now_s + (DEFAULT_TIMEOUT_S if timeout is None else check_timeout(timeout))
        values, expiries, from_hot = self.get_local(keys, now_s)
        outcomes: list[Outcome | None] = [
            None if value is None else hit(value, expires_at_s, hot=False)
            for value, expires_at_s in zip(values, expiries, strict=True)
        ]
        for at in from_hot:
            outcomes[at] = hit(values[at], expiries[at], hot=True)  # type: ignore[arg-type]  # it was filled
        missing = [at for at, outcome in enumerate(outcomes) if outcome is None]
        if missing:
            await self._fill(keys, outcomes, missing, deadline_s)
        return outcomes  # type: ignore[return-value]  # every None was filled

    async def _fill(
        self, keys: list[str], outcomes: list[Outcome | None], missing: list[int], deadline_s: float
    ) -> None:
        self._check_loop()
        future: asyncio.Future[Outcome] = self._loop.create_future()
        left = len(missing)

        def waiter_at(at: int) -> Waiter:
            def waiter(outcome: Outcome) -> None:
                nonlocal left
                outcomes[at] = outcome
                left -= 1
                if not left and not future.done():
                    future.set_result(outcome)

            return waiter

        flights: list[tuple[Flight, Waiter]] = []
        for at in missing:
            waiter = waiter_at(at)
            flights.append((self.begin(keys[at], waiter, deadline_s, forwarded=False), waiter))
        try:
            late = await self._until(future, deadline_s)
        finally:
            for flight, waiter in flights:
                flight.leave(waiter)
        for at in missing:
            if outcomes[at] is None:
                outcomes[at] = late

    async def _until(self, future: asyncio.Future[Outcome], deadline_s: float) -> Outcome:
        expire = _expiry(future)
        bucket = self._deadlines.add(deadline_s, expire)
        try:
            return await future
        finally:
            self._deadlines.discard(bucket, expire)


def _fresh(error: ZmcacheError) -> ZmcacheError:
    # One error serves every caller of a flight, and each raise would add its frames to what the ones before it left on it.
    return error.with_traceback(None)


def _once(future: asyncio.Future[Outcome]) -> Waiter:
    def waiter(outcome: Outcome) -> None:
        if not future.done():
            future.set_result(outcome)

    return waiter


def _expiry(future: asyncio.Future[Outcome]) -> Callable[[], None]:
    def expire() -> None:
        if not future.done():
            future.set_result(failure(DeadlineExceeded("the call's deadline has passed")))

    return expire
