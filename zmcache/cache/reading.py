"""Gets: one key, many keys, with what is known of the value, with a token for `cas`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final, Generic, TypeVar, overload

from zmcache.cache.away import Away
from zmcache.cache.raw import HedgeStatistics, NearStatistics, Raw
from zmcache.cache.watching import Feed, Update
from zmcache.codecs import Codec, Undecodable, reader_of
from zmcache.core.calls import SOURCES, Duration, Item
from zmcache.core.explained import Explanation
from zmcache.core.wire import FROM_LOADER, GETS, IS_NONE, Change, check_key
from zmcache.errors import InvalidKey, MeshError, PartialResult, ValueTooLarge, ZmcacheError

T = TypeVar("T")
D = TypeVar("D")
_new: Final = tuple.__new__


class Reading(Generic[T]):
    """The reads of a group. ``undecodable`` counts values that the codec could not read: they are misses."""

    def __init__(self, raw: Raw, codec: Codec[T] | None, away: Away) -> None:
        self.name = raw.name
        self.undecodable = 0
        self._raw = raw
        self._codec = codec
        self._away = away

    @overload
    async def get(self, key: str, *, timeout: Duration | None = None) -> T | None: ...
    @overload
    async def get(self, key: str, default: D, *, timeout: Duration | None = None) -> T | D: ...
    async def get(self, key: str, default: object = None, *, timeout: Duration | None = None) -> object:
        """The value of ``key``, loaded by its owner if need be; ``default`` when there is none. A value may itself be None.

        ``timeout`` (seconds; None: the connection's) covers the whole call. Raises `InvalidKey`, `BackendError` or `MeshError`.
        """
        near = self._raw.near
        if near is not None and (copy := near(key)) is not None:
            return copy if self._codec is None else self._decoded(copy, default)
        try:
            value, status, _ = await self._raw.get_far(key, timeout)
        except asyncio.CancelledError:
            self._raw.forgo(key)
            raise
        except MeshError as error:
            self._away.note(self.name, error)
            return default
        if status > FROM_LOADER:
            return None if status == IS_NONE else default
        return value if self._codec is None else self._decoded(value, default)

    async def fetch(self, key: str, *, timeout: Duration | None = None) -> Item[T | None] | None:
        """As `get`, with the remaining life and the source of the value; None when there is none."""
        try:
            value, status, life_ms = await self._raw.get(key, timeout)
        except asyncio.CancelledError:
            self._raw.forgo(key)
            raise
        except MeshError as error:
            self._away.note(self.name, error)
            return None
        return self._item(value, status, life_ms)

    async def get_many(self, keys: Iterable[str], *, timeout: Duration | None = None) -> dict[str, T]:
        """The values of those keys that exist, in the order asked. Any number of keys: they travel in as many messages as it takes.

        Raises `PartialResult`, with what was found, when some keys failed, and `InvalidKey` before anything is asked.
        """
        try:
            found, errors = await self._raw.get_many(keys, timeout)
        except MeshError as error:
            self._away.note(self.name, error)
            return {}
        values: dict[str, Any] = found if self._codec is None else self._decoded_all(found, errors)
        if errors:
            self._failed(values, errors)
        return values

    async def gets(self, key: str, *, timeout: Duration | None = None) -> tuple[T | None, int] | None:
        """The value of ``key`` and its token, for `cas`; None when there is none."""
        check_key(key, self._raw.limits.key_bytes)
        try:
            value, status, _, token = await self._raw.change(Change(GETS, key), timeout)
        except MeshError as error:
            self._away.note(self.name, error)
            return None
        item = self._item(value, status, 0)
        return None if item is None else (item.value, token)

    async def watch(self, *keys: str) -> AsyncGenerator[Update[T], None]:
        """What becomes of these keys, from now on: first what is there, then each new value as it is set, wherever in the cluster.

        A program that is slower than the changes gets the latest of each key, and how many it skipped. Of one key no older value comes after a
        newer one. When the connection was lost, or the key has another owner, it goes on with what is there then, ``resumed``. That a value's
        time is over, or that it was evicted, is not told.

        Ends with the loop over it: ``async for update in items.watch("EURUSD"): ...``. Raises `InvalidKey`; `UnknownGroup`;
        `ConfigError` where the connection goes through any node, and not to owners.
        """
        if not keys:
            raise InvalidKey("watch needs a key, or several")
        for key in keys:
            check_key(key, self._raw.limits.key_bytes)
        feed = Feed(list(dict.fromkeys(keys)))
        stop = self._raw.watch(feed)
        try:
            while True:
                told, resumed = await feed.next()
                value: Any = told.value
                exists = told.exists
                if value is not None and self._codec is not None:
                    value = self._decoded(value, _MISS)
                    if value is _MISS:  # of another schema: for a reader as good as gone
                        value, exists = None, False
                yield Update(told.key, value, exists, told.version, told.skipped, resumed)
        finally:
            stop()

    async def explain(self, key: str, *, timeout: Duration | None = None) -> Explanation:
        """What is known of ``key``: its owners, what each of them and the node that a get would go to holds of it, how old that is, how long it
        still lives, and why the last get found nothing. For people who wonder; nothing is loaded, and nothing counts as used.

        A node that has not answered within ``timeout`` (None: the connection's) is named, with the reason. Raises `InvalidKey`, `UnknownGroup`,
        and `PeerUnavailable` where not even the owners are known yet.
        """
        check_key(key, self._raw.limits.key_bytes)
        return await self._raw.explain(key, timeout)

    def near_statistics(self) -> NearStatistics | None:
        """What the copies in this process did; None where none are kept."""
        return self._raw.near_statistics()

    def hedge_statistics(self) -> HedgeStatistics | None:
        """How many gets were asked for at a second node, and how many of these it answered first; None where `hedge` was not asked for."""
        return self._raw.hedge_statistics()

    def _item(self, value: bytes | None, status: int, life_ms: int) -> Item[T | None] | None:
        if status > FROM_LOADER and status != IS_NONE:
            return None
        decoded = value if self._codec is None else self._decoded(value, _MISS)
        if decoded is _MISS:
            return None
        # The named tuple's own __new__ is a Python function, and takes as long as everything else here.
        return _new(Item, (decoded, None if life_ms < 0 else life_ms / 1000, SOURCES[status]))

    def _decoded(self, value: bytes | None, default: object) -> object:
        if value is None:
            return None
        assert self._codec is not None
        try:
            return self._codec.decode(value)
        except Undecodable:
            self.undecodable += 1
            return default

    def _decoded_all(self, found: dict[str, bytes | None], errors: dict[str, ZmcacheError]) -> dict[str, Any]:
        assert self._codec is not None
        decode = reader_of(self._codec)
        values: dict[str, Any] = {}
        for key, value in found.items():
            try:
                values[key] = None if value is None else decode(value)
            except Undecodable:
                self.undecodable += 1
            except ValueTooLarge as error:
                errors[key] = error
        return values

    def _failed(self, values: dict[str, Any], errors: dict[str, ZmcacheError]) -> None:
        away = [error for error in errors.values() if isinstance(error, MeshError)]
        if self._away.is_miss and len(away) == len(errors):
            self._away.note(self.name, away[0])
            return
        self._away.failures += bool(away)
        raise PartialResult(values, errors)


_MISS: Final = object()
