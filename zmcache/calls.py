"""The calls of an embedded node's group: what a program awaits, over the algorithm of `zmcache.group`.

A hit returns without suspending. Only a miss makes a future, and its deadline is an entry in the node's one coarse timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar, overload

from zmcache.core.calls import (
    DEFAULT_TIMEOUT_S,
    SOURCES,
    UNSET,
    Duration,
    Item,
    Ttl,
    check_timeout,
    many_keys,
    ttl_to_ms,
)
from zmcache.core.explained import Explanation
from zmcache.core.flight import Flight, Outcome, Waiter, failure
from zmcache.core.marks import ABSENT, Held
from zmcache.core.settings import GroupSettings
from zmcache.core.store import Reader
from zmcache.core.tags import WHOLE_GROUP, check_tag, joined_tags
from zmcache.core.versions import Versions
from zmcache.core.wire import (
    DELETE,
    DONE,
    FOREVER,
    FROM_LOADER,
    IS_NONE,
    LEASED,
    LEASED_NONE,
    RELEASE,
    SET,
    Change,
    Limits,
    check_key,
    check_value,
    room_for_value,
)
from zmcache.deadlines import Deadlines
from zmcache.errors import DeadlineExceeded, LifecycleError, PartialResult, ZmcacheError
from zmcache.group import LocalGroup
from zmcache.loading import Loader
from zmcache.peering import Peers
from zmcache.tracing import traceparent

T = TypeVar("T")

Tell: TypeAlias = Callable[[str, Sequence[str], float, int, Callable[[int], None]], Awaitable[object]]
"""Tells all other nodes; see `zmcache.peers.telling.invalidate` for the arguments from the second on. The first is the group's name."""


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
        clock: Callable[[], float] = time.monotonic,
        versions: Versions | None = None,
        tell: Tell | None = None,
    ) -> None:
        """``tell``: how the other nodes are told of tags that are invalidated; None: there are none."""
        super().__init__(name, settings, limits, peers, loader=loader, random=random, clock=clock, versions=versions)
        self._deadlines = deadlines
        self._tell = tell
        self.get_nowait: Reader = self._shard.store.reader(self.clock, self._meaning, self._copy_of)
        """``get_nowait(key, default=None)``: what this node holds of ``key`` now, a hot copy included; ``default``
        otherwise. Asks nobody and loads nothing. Raises `InvalidKey`."""

    def _copy_of(self, key: str) -> Held | None:
        check_key(key, self.limits.key_bytes)
        return self._shard.hot.read(key, self.clock())

    def _meaning(self, mark: str, default: object) -> object:
        outcome = self.found("", mark, math.inf, self.clock(), hot=True)
        return outcome.value if outcome is not None and _has_value(outcome) else default

    @overload
    async def get(self, key: str, *, timeout: Duration | None = None) -> bytes | None: ...
    @overload
    async def get(self, key: str, default: T, *, timeout: Duration | None = None) -> bytes | T: ...
    async def get(self, key: str, default: object = None, *, timeout: Duration | None = None) -> object:
        """The value of ``key``: from memory, from its owner, or loaded. ``default`` when the loader does not know it.

        ``timeout`` (seconds; None: 3) covers the whole call, the load included. Raises `InvalidKey`, `BackendError`,
        `Busy` or `DeadlineExceeded`.
        """
        value, strays = self._shard.store.get(key, self.clock()), self._shard.strays
        if not strays.lent or not strays.is_behind(key, self.clock()):
            if type(value) is bytes:
                return value
            if value is ABSENT:
                return default
        outcome = (await self.outcomes([key], timeout))[0]
        if outcome.error is not None:
            raise fresh(outcome.error)
        return outcome.value if _has_value(outcome) else default

    async def fetch(self, key: str, *, timeout: Duration | None = None) -> Item[bytes | None] | None:
        """As `get`, with the remaining life and the source of the value; None when the loader does not know the key."""
        outcome = (await self.outcomes([key], timeout))[0]
        if outcome.error is not None:
            raise fresh(outcome.error)
        if not _has_value(outcome):
            return None
        ttl_s = None if outcome.expires_at_s == math.inf else max(0.0, outcome.expires_at_s - self.clock())
        return Item(outcome.value, ttl_s, SOURCES[outcome.status])

    async def get_many(self, keys: Iterable[str], *, timeout: Duration | None = None) -> dict[str, bytes | None]:
        """The values of those keys that exist. Raises `PartialResult`, with what was found, when some keys failed, and `InvalidKey`."""
        wanted = many_keys(keys)
        with contextlib.suppress(TypeError):  # not even hashable; below it is told what it is instead of text
            wanted = list(dict.fromkeys(wanted))
        values: dict[str, bytes | None] = {}
        errors: dict[str, ZmcacheError] = {}
        for key, outcome in zip(wanted, await self.outcomes(wanted, timeout), strict=True):
            if outcome.error is not None:
                errors[key] = outcome.error
            elif _has_value(outcome):
                values[key] = outcome.value
        if errors:
            raise PartialResult(values, errors)
        return values

    async def set(
        self,
        key: str,
        value: bytes | None,
        *,
        ttl: Ttl = UNSET,
        tags: Iterable[str] = (),
        timeout: Duration | None = None,
    ) -> None:
        """Store ``value`` at the owner of ``key``. ``ttl``: seconds, a timedelta or "1h30m"; None: for ever; left out: the
        group's. ``tags``: names by which it can be invalidated together with others.

        Raises `InvalidKey`, `ValueTooLarge`, `InvalidTtl`, `InvalidTag` or a `MeshError`.
        """
        check_key(key, self.limits.key_bytes)
        joined = joined_tags(tags)
        if value is not None:
            check_value(value, room_for_value(self.limits, joined))
        await self.changed(Change(SET, key, value, ttl_to_ms(ttl), tags=joined), timeout)

    async def delete(self, key: str, *, timeout: Duration | None = None) -> bool:
        """Delete ``key`` at its owner; whether it was there. Raises `InvalidKey` or a `MeshError`."""
        check_key(key, self.limits.key_bytes)
        return (await self.changed(Change(DELETE, key), timeout)).status == DONE

    async def explain(self, key: str, *, timeout: Duration | None = None) -> Explanation:
        """What this node and those who are to hold ``key`` know of it: see `zmcache.cache.reading.Reading.explain`."""
        check_key(key, self.limits.key_bytes)
        self.check_loop()
        deadline_s = self._loop.time() + (DEFAULT_TIMEOUT_S if timeout is None else check_timeout(timeout))
        return await self.explaining.ask(key, deadline_s)

    async def invalidate_tags(self, *tags: str, timeout: Duration | None = None) -> None:
        """Forget every entry that has one of these tags, on all nodes; see `zmcache.CacheGroup.invalidate_tags`.

        Raises `InvalidTag`; `NotAllTold` where some nodes could not be reached, who hear of it later.
        """
        self.check_loop()
        for tag in tags:
            check_tag(tag)
        until_s = self._loop.time() + (DEFAULT_TIMEOUT_S if timeout is None else check_timeout(timeout))

        def heard(version: int) -> None:
            self.tags.hear(tags, [version] * len(tags))

        if self._tell is None:
            heard(self.tags.moment())
        elif tags:
            await self._tell(self.name, tags, until_s, self.tags.moment(), heard)

    def check_loop(self) -> None:
        """Raises `LifecycleError` anywhere but in its own event loop."""
        # A hit is given anywhere; what needs the node's sockets and timers would hang in a loop that does not serve them.
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:  # in a child forked inside the loop
            here = False
        if not here:
            raise LifecycleError("it belongs to another event loop, or to the process before a fork; make one in each")

    async def changed(self, change: Change, timeout: Duration | None) -> Outcome:
        """Carry out a change whose arguments have been checked. Raises what it failed with."""
        self.check_loop()
        deadline_s = self._loop.time() + (DEFAULT_TIMEOUT_S if timeout is None else check_timeout(timeout))
        future: asyncio.Future[Outcome] = self._loop.create_future()
        waiter = _once(future)
        joined = self.change(change, deadline_s, waiter, forwarded=False, trace=traceparent())
        try:
            outcome = future.result() if future.done() else await self._until(future, deadline_s)
        except asyncio.CancelledError:
            # The lease may have been granted in the same turn of the loop as the cancellation.
            if future.done() and not future.cancelled() and future.result().status in (LEASED, LEASED_NONE):
                self.post(Change(RELEASE, change.key, token=future.result().token))
            raise
        finally:
            if joined is not None:
                joined.leave(waiter)
        if outcome.error is not None:
            raise fresh(outcome.error)
        return outcome

    async def peeked(self, key: str, timeout: float) -> Outcome:
        """What is held of ``key``, for an asker who fills. Raises `InvalidKey`; what failed is in the outcome."""
        check_key(key, self.limits.key_bytes)
        now_s = self.clock()
        (held,), (expires_at_s,), from_hot = self.get_local([key], now_s)
        known = None
        if held is not None:
            known = self.found(key, held, expires_at_s, now_s, hot=bool(from_hot), fills=True)
        if known is not None:
            return known
        self.check_loop()
        deadline_s = self._loop.time() + timeout
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self.peek(key, _once(future), deadline_s, forwarded=False)
        return future.result() if future.done() else await self._until(future, deadline_s)

    def post(self, change: Change) -> None:
        """Carry out a change, and let nobody wait for it."""
        self.change(change, self._loop.time() + DEFAULT_TIMEOUT_S, lambda _: None, forwarded=False)

    def life_ms(self, expires_at_s: float) -> int:
        """What remains until then, as an answer says it."""
        return FOREVER if expires_at_s == math.inf else max(0, int((expires_at_s - self.clock()) * 1000))

    async def cleared(self, timeout: float) -> None:
        """Empty what is here of the group. Raises `DeadlineExceeded`."""
        self.check_loop()
        future: asyncio.Future[Outcome] = self._loop.create_future()
        waiter = _once(future)
        self.tags.hear([WHOLE_GROUP], [self.tags.moment()], done=lambda: waiter(Outcome(None, DONE, 0.0)))
        if not future.done():
            error = (await self._until(future, self._loop.time() + timeout)).error
            if error is not None:
                raise error

    async def outcomes(self, keys: list[str], timeout: Duration | None) -> list[Outcome]:
        """The outcome of each key, in order; never raises for a single key that failed, `DeadlineExceeded` among them."""
        for key in keys:
            check_key(key, self.limits.key_bytes)
        now_s = self.clock()
        deadline_s = self._loop.time() + (DEFAULT_TIMEOUT_S if timeout is None else check_timeout(timeout))
        values, expiries, from_hot = self.get_local(keys, now_s)
        hot = set(from_hot)
        outcomes: list[Outcome | None] = [
            None if held is None else self.found(keys[at], held, expiries[at], now_s, hot=at in hot)
            for at, held in enumerate(values)
        ]
        missing = [at for at, outcome in enumerate(outcomes) if outcome is None]
        if missing:
            await self._fill(keys, outcomes, missing, deadline_s)
        return outcomes  # type: ignore[return-value]  # every None was filled

    async def _fill(
        self, keys: list[str], outcomes: list[Outcome | None], missing: list[int], deadline_s: float
    ) -> None:
        self.check_loop()
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
            flights.append((self.begin(keys[at], waiter, deadline_s, forwarded=False, trace=traceparent()), waiter))
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


def _has_value(outcome: Outcome) -> bool:
    return outcome.status <= FROM_LOADER or outcome.status == IS_NONE


def fresh(error: ZmcacheError) -> ZmcacheError:
    """An error of a flight, for one of its callers to raise."""
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
