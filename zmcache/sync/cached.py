"""``@items.cached(...)`` for a ``def``: as `zmcache.cache.cached`, for threads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from zmcache.cache.cached import BoundCached, Cached, CachedStatistics, looks_of
from zmcache.cache.filling import Filling
from zmcache.cache.made import Made
from zmcache.cache.making import Making
from zmcache.cache.underway import Runs, stand_in, standing_in
from zmcache.core.calls import Item
from zmcache.core.calltags import CallTags
from zmcache.core.keys import Keys
from zmcache.errors import ConfigError, RequestError
from zmcache.sync.bridge import Bridge
from zmcache.sync.call import Call
from zmcache.sync.documenting import documented_as

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


@documented_as(Cached)
class SyncCached(Generic[P, R]):
    """A decorated ``def``; it is called like the function itself, and raises what that raises, `RecursiveFill`, or a `MeshError`."""

    __wrapped__: Callable[P, R]
    __name__: str

    def __init__(
        self,
        function: Callable[P, R],
        bridge: Bridge,
        filling: Filling[Any],
        keys: Keys,
        tags: CallTags,
        how: Making,
        delete: Callable[[str], bool],
    ) -> None:
        """Raises `ConfigError` for an ``async def``."""
        if inspect.iscoroutinefunction(function):
            name = getattr(function, "__qualname__", repr(function))
            raise ConfigError(f"{name} is an async def, which needs the async client, zmcache.connect")
        update_wrapper(self, function)
        self.looks = looks_of(self)
        self._function = function
        self._bridge = bridge
        self._filling = filling
        self._keys = keys
        self._tags = tags
        self._how = how
        self._delete = delete
        self._calls = self._fills = 0

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The kept result of these arguments, or a new one."""
        return self._get(args, kwargs).value  # type: ignore[no-any-return]  # the codec's, which is the function's

    def fetch(self, *args: P.args, **kwargs: P.kwargs) -> Item[R]:
        return self._get(args, kwargs).item()

    def key_for(self, *args: P.args, **kwargs: P.kwargs) -> str:
        return self._keys.key_for(args, kwargs)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        return self._delete(self._keys.key_for(args, kwargs))

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        key = self._keys.key_for(args, kwargs)
        run = partial(self._function, *args, **kwargs)
        how = self._how_for(args, kwargs)
        made = self._bridge.run_lending(lambda call: self._filling.make_anew(key, self._counted(call, run), how))
        return made.value  # type: ignore[no-any-return]

    def statistics(self) -> CachedStatistics:
        return CachedStatistics(calls=self._calls, fills=self._fills)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: SyncCached[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> BoundSyncCached[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> object:
        """As a method, whose object is the first argument."""
        return self if instance is None else BoundSyncCached(self, instance)

    def _get(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Made:
        key = self._keys.key_for(args, kwargs)
        run = partial(self._function, *args, **kwargs)
        how = self._how_for(args, kwargs)
        return self._bridge.run_lending(lambda call: self._got(call, key, run, how))

    def _how_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Making:
        return self._how._replace(tags=self._tags.tags_for(args, kwargs)) if self._tags else self._how

    # Counted on the loop, where nobody counts at the same time.

    async def _got(self, call: Call, key: str, run: Callable[[], Any], how: Making) -> Made:
        self._calls += 1
        return await self._filling.get(key, self._counted(call, run), how)

    def _counted(self, call: Call, run: Callable[[], Any]) -> Callable[[], Any]:
        async def fill() -> Any:
            self._fills += 1
            return await lent(call, run)

        return fill


@documented_as(BoundCached)
class BoundSyncCached(Generic[P, R]):
    """A decorated method of one object: the calls of `SyncCached` without the first argument."""

    __name__: str

    def __init__(self, cached: SyncCached[Any, R], instance: object) -> None:
        self.__dict__.update(cached.looks)
        self._cached, self._instance = cached, instance

    @property
    def __wrapped__(self) -> Callable[P, R]:
        """The function, as a method of the object."""
        return self._cached.__wrapped__.__get__(self._instance)  # type: ignore[no-any-return]  # as functions have

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """See `SyncCached`."""
        return self._cached(self._instance, *args, **kwargs)

    def fetch(self, *args: P.args, **kwargs: P.kwargs) -> Item[R]:
        return self._cached.fetch(self._instance, *args, **kwargs)

    def key_for(self, *args: P.args, **kwargs: P.kwargs) -> str:
        return self._cached.key_for(self._instance, *args, **kwargs)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        return self._cached.invalidate(self._instance, *args, **kwargs)

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._cached.refresh(self._instance, *args, **kwargs)

    def statistics(self) -> CachedStatistics:
        return self._cached.statistics()


async def lent(call: Call, fill: Callable[[], Any]) -> Any:
    """What ``fill`` gives, run by a thread. It stands in the same fills there as here, since each call takes its thread's context to the loop."""
    return await call.lend(partial(_work, standing_in(), fill))


def _work(runs: Runs, fill: Callable[[], Any]) -> Any:
    with stand_in(runs):
        value = fill()
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise RequestError("a function that makes a value gave something to await: that needs the async client")
    return value
