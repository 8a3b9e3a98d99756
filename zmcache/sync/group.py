"""The calls on one group, for threads: each is the asynchronous one, handed to the connection's loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from functools import partial
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload

from zmcache.cache import CacheGroup
from zmcache.cache.making import DEFAULT_LEASE_S, making
from zmcache.cache.raw import HedgeStatistics, NearStatistics, Row
from zmcache.cache.watching import Update
from zmcache.codecs import Undecodable, serves_threads
from zmcache.core.calls import UNSET, Duration, Item, Ttl, many_keys, ttl_to_ms
from zmcache.core.calltags import CallTags, TagsOf
from zmcache.core.explained import Explanation
from zmcache.core.keys import Keys
from zmcache.core.tags import check_tags, joined_tags
from zmcache.core.wire import FROM_LOADER, IS_NONE, SET
from zmcache.errors import LifecycleError, MeshError, RequestError
from zmcache.sync.bridge import Bridge
from zmcache.sync.cached import SyncCached, lent
from zmcache.sync.call import Call
from zmcache.sync.documenting import documented_as

T = TypeVar("T")
D = TypeVar("D")
P = ParamSpec("P")
R = TypeVar("R")

_MISS: Final = object()


@documented_as(CacheGroup)
class SyncGroup(Generic[T]):
    """A named cache: ``cache.group("items")``. Values are bytes, or what its codec carries. Safe to use from many threads."""

    def __init__(self, group: CacheGroup[T], bridge: Bridge) -> None:
        self.name = group.name
        self._group = group
        self._bridge = bridge
        self._raw = group._raw
        self._finish_get = self._got  # bound once
        # Of a program's own codec nothing is known: the loop's thread alone uses it.
        self._serves_threads = serves_threads(group._codec)

    @property
    def undecodable(self) -> int:
        """How many values the codec could not read so far: they are misses."""
        return self._group.undecodable

    @overload
    def get(self, key: str, *, timeout: Duration | None = None) -> T | None: ...
    @overload
    def get(self, key: str, default: D, *, timeout: Duration | None = None) -> T | D: ...
    def get(self, key: str, default: object = None, *, timeout: Duration | None = None) -> object:
        # Read once: it is there while the connection is open, and no longer.
        get_directly = self._raw.get_directly if self._serves_threads else None
        if get_directly is not None and self._bridge.is_alone():
            try:
                row, timeout = get_directly(key, timeout)
                if row is not None:
                    return self._value(row, default)
            except MeshError as error:
                self._bridge.run_nowait(self._away, error)
                return default
            except Undecodable:
                pass  # the loop is to see it, too: it counts them
        call = Call(self._bridge, partial(self._raw.get, key, timeout), self._finish_get)
        call.on_cancel = partial(self._raw.forgo, key)
        try:
            value = self._bridge.wait(call)
        except MeshError as error:
            value = self._bridge.run_nowait(self._away, error)
        return default if value is _MISS else value

    def _value(self, row: Row, default: object) -> object:
        value, status, _ = row
        if status > FROM_LOADER:
            return None if status == IS_NONE else default
        codec = self._group._codec
        return value if codec is None or value is None else codec.decode(value)

    def _got(self, future: asyncio.Future[Any]) -> object:
        """On the loop: a codec need not be made for threads."""
        value, status, _ = future.result()
        if status > FROM_LOADER:
            return None if status == IS_NONE else _MISS
        group = self._group
        return value if group._codec is None else group._decoded(value, _MISS)

    def _away(self, error: MeshError) -> object:
        self._group._away.note(self.name, error)
        return _MISS

    def fetch(self, key: str, *, timeout: Duration | None = None) -> Item[T | None] | None:
        return self._bridge.run(self._group.fetch, key, timeout=timeout)

    def get_many(self, keys: Iterable[str], *, timeout: Duration | None = None) -> dict[str, T]:
        return self._bridge.run(self._group.get_many, many_keys(keys), timeout=timeout)

    def gets(self, key: str, *, timeout: Duration | None = None) -> tuple[T | None, int] | None:
        return self._bridge.run(self._group.gets, key, timeout=timeout)

    def watch(self, *keys: str) -> Generator[Update[T], None, None]:
        updates = self._group.watch(*keys)
        try:
            while True:
                yield self._bridge.run(updates.__anext__)
        finally:
            # It was closed meanwhile, and with it the watch; or this thread was interrupted, and the watch is ending already.
            with contextlib.suppress(LifecycleError, RuntimeError):
                self._bridge.run(updates.aclose)

    def explain(self, key: str, *, timeout: Duration | None = None) -> Explanation:
        return self._bridge.run(self._group.explain, key, timeout=timeout)

    def near_statistics(self) -> NearStatistics | None:
        return self._group.near_statistics()

    def hedge_statistics(self) -> HedgeStatistics | None:
        return self._group.hedge_statistics()

    def set(
        self, key: str, value: T | None, *, ttl: Ttl = UNSET, tags: Iterable[str] = (), timeout: Duration | None = None
    ) -> None:
        raw, tags = self._raw, check_tags(tags)
        set_directly = raw.set_directly if self._serves_threads and raw.get_directly is not None else None
        if set_directly is not None and self._bridge.is_alone():
            change = self._group._tagged(SET, key, value, ttl_to_ms(ttl), joined_tags(tags))
            try:
                done, timeout = set_directly(change, timeout, self._bridge.run_soon)
            except MeshError as error:
                self._bridge.run_nowait(self._away, error)
                return
            if done:
                return
        self._bridge.run(self._group.set, key, value, ttl=ttl, tags=tags, timeout=timeout)

    def set_many(
        self,
        values: Mapping[str, T | None],
        *,
        ttl: Ttl = UNSET,
        tags: Iterable[str] = (),
        timeout: Duration | None = None,
    ) -> list[str]:
        return self._bridge.run(self._group.set_many, dict(values), ttl=ttl, tags=check_tags(tags), timeout=timeout)

    def add(
        self, key: str, value: T | None, *, ttl: Ttl = UNSET, tags: Iterable[str] = (), timeout: Duration | None = None
    ) -> bool:
        return self._bridge.run(self._group.add, key, value, ttl=ttl, tags=check_tags(tags), timeout=timeout)

    def delete(self, key: str, *, timeout: Duration | None = None) -> bool:
        return self._bridge.run(self._group.delete, key, timeout=timeout)

    def delete_many(self, keys: Iterable[str], *, timeout: Duration | None = None) -> int:
        return self._bridge.run(self._group.delete_many, many_keys(keys), timeout=timeout)

    def touch(self, key: str, *, ttl: Ttl = UNSET, timeout: Duration | None = None) -> bool:
        return self._bridge.run(self._group.touch, key, ttl=ttl, timeout=timeout)

    def incr(
        self,
        key: str,
        delta: int = 1,
        *,
        initial: int | None = None,
        ttl: Ttl = UNSET,
        timeout: Duration | None = None,
    ) -> int | None:
        return self._bridge.run(self._group.incr, key, delta, initial=initial, ttl=ttl, timeout=timeout)

    def cas(
        self, key: str, value: T | None, token: int, *, ttl: Ttl = UNSET, timeout: Duration | None = None
    ) -> bool | None:
        return self._bridge.run(self._group.cas, key, value, token, ttl=ttl, timeout=timeout)

    def invalidate_tags(self, *tags: str, timeout: Duration | None = None) -> None:
        self._bridge.run(self._group.invalidate_tags, *tags, timeout=timeout)

    def clear(self, *, timeout: Duration | None = None) -> None:
        self._bridge.run(self._group.clear, timeout=timeout)

    def get_or_set(
        self,
        key: str,
        fill: Callable[[], T],
        *,
        ttl: Ttl = UNSET,
        tags: Iterable[str] = (),
        stale_ttl: Duration | None = None,
        stale_if_error: Duration | None = None,
        lease: Duration = DEFAULT_LEASE_S,
        timeout: Duration | None = None,
    ) -> T:
        self._check(fill)
        tags = check_tags(tags)
        return self._bridge.run_lending(
            lambda call: self._group.get_or_set(
                key,
                partial(lent, call, fill),
                ttl=ttl,
                tags=tags,
                stale_ttl=stale_ttl,
                stale_if_error=stale_if_error,
                lease=lease,
                timeout=timeout,
            )
        )

    def fetch_or_set(
        self,
        key: str,
        fill: Callable[[], T],
        *,
        ttl: Ttl = UNSET,
        tags: Iterable[str] = (),
        stale_ttl: Duration | None = None,
        stale_if_error: Duration | None = None,
        lease: Duration = DEFAULT_LEASE_S,
        timeout: Duration | None = None,
    ) -> Item[T]:
        self._check(fill)
        tags = check_tags(tags)
        return self._bridge.run_lending(
            lambda call: self._group.fetch_or_set(
                key,
                partial(lent, call, fill),
                ttl=ttl,
                tags=tags,
                stale_ttl=stale_ttl,
                stale_if_error=stale_if_error,
                lease=lease,
                timeout=timeout,
            )
        )

    def _check(self, fill: Callable[[], T]) -> None:
        if not callable(fill):
            raise RequestError(f"expected a function that makes the value, not {type(fill).__name__}")
        if inspect.iscoroutinefunction(fill):
            raise RequestError("the function that makes the value is an async def, which needs the async client")

    def cached(
        self,
        *,
        ttl: Ttl = UNSET,
        key: str | Callable[..., str] | None = None,
        ignore: Collection[str] = (),
        tags: TagsOf = (),
        stale_ttl: Duration | None = None,
        stale_if_error: Duration | None = None,
        negative_ttl: Ttl = UNSET,
        condition: Callable[[Any], object] | None = None,
        lease: Duration = DEFAULT_LEASE_S,
        timeout: Duration | None = None,
    ) -> Callable[[Callable[P, R]], SyncCached[P, R]]:
        how = making(
            ttl=ttl,
            stale_ttl=stale_ttl,
            stale_if_error=stale_if_error,
            negative_ttl=negative_ttl,
            condition=condition,
            lease=lease,
            timeout=timeout,
        )

        def decorate(function: Callable[P, R]) -> SyncCached[P, R]:
            call_tags = CallTags(function, tags)
            keys = Keys(function, key, ignore, limit=self._group._raw.limits.key_bytes)
            return SyncCached(function, self._bridge, self._group._filling, keys, call_tags, how, self.delete)

        return decorate
