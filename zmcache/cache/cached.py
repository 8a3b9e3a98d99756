"""``@items.cached(...)``: a function whose results are kept in the group, and made once in the whole cluster."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable
from functools import WRAPPER_ASSIGNMENTS, partial, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import msgspec

from zmcache.cache.filling import NOTHING, Filling
from zmcache.cache.made import Made
from zmcache.cache.making import Making
from zmcache.core.calls import Item
from zmcache.core.calltags import CallTags
from zmcache.core.keys import Keys
from zmcache.errors import ConfigError

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


class CachedStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of one decorated function in this process."""

    calls: int
    """In all."""
    fills: int
    """How often its body ran, in the background too."""


class Cached(Generic[P, R]):
    """A decorated ``async def``; it is called like the function itself, and raises what that raises, `RecursiveFill`, or a `MeshError`."""

    __wrapped__: Callable[P, Awaitable[R]]
    __name__: str

    def __init__(
        self,
        function: Callable[P, Awaitable[R]],
        filling: Filling[Any],
        keys: Keys,
        tags: CallTags,
        how: Making,
        delete: Callable[[str], Awaitable[bool]],
    ) -> None:
        """Raises `ConfigError` for a ``def``."""
        if not inspect.iscoroutinefunction(function):
            name = getattr(function, "__qualname__", repr(function))
            raise ConfigError(f"{name} is not an async def; a def needs the sync client, zmcache.sync.connect")
        update_wrapper(self, function)
        self._function = function
        self._filling = filling
        self._keys = keys
        self._tags = tags
        self._how = how
        self._delete = delete
        self._calls = self._fills = 0
        # Frameworks ask whether what they are given is to be awaited.
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(self)
        else:
            self._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
        self.looks = looks_of(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The kept result of these arguments, or a new one."""
        self._calls += 1
        key = self._keys.key_for(args, kwargs)
        near = self._filling.near(key)
        if near is not NOTHING:
            return near  # type: ignore[no-any-return]  # the codec's, which is the function's
        return (await self._filling.get(key, self._filler(args, kwargs), self._how_for(args, kwargs))).value  # type: ignore[no-any-return]

    async def fetch(self, *args: P.args, **kwargs: P.kwargs) -> Item[R]:
        """As calling it, with what remains of the result's life and where it came from."""
        return (await self._get(args, kwargs)).item()

    def key_for(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key of a call. Raises `InvalidKey` for arguments that no key can be made of."""
        return self._keys.key_for(args, kwargs)

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result of a call; whether there was one."""
        return await self._delete(self._keys.key_for(args, kwargs))

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make the result of a call anew, now, and keep it. Raises what the function raises, whatever old result there is."""
        made = await self._filling.make_anew(
            self._keys.key_for(args, kwargs), self._filler(args, kwargs), self._how_for(args, kwargs)
        )
        return made.value  # type: ignore[no-any-return]

    def statistics(self) -> CachedStatistics:
        """A frozen snapshot."""
        return CachedStatistics(calls=self._calls, fills=self._fills)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self: Cached[Concatenate[S, Q], R], instance: S, owner: type | None = None) -> BoundCached[Q, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> object:
        """As a method, whose object is the first argument."""
        return self if instance is None else BoundCached(self, instance)

    async def _get(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Made:
        self._calls += 1
        return await self._filling.get(
            self._keys.key_for(args, kwargs), self._filler(args, kwargs), self._how_for(args, kwargs)
        )

    def _how_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Making:
        return self._how._replace(tags=self._tags.tags_for(args, kwargs)) if self._tags else self._how

    def _filler(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Awaitable[R]]:
        return partial(self._run, args, kwargs)

    async def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        self._fills += 1
        return await self._function(*args, **kwargs)


def looks_of(cached: object) -> dict[str, object]:
    """What a bound method has of its function: its names and its docstring, and the mark that it is to be awaited. Once for all objects."""
    names = (*WRAPPER_ASSIGNMENTS, "_is_coroutine", "_is_coroutine_mark")
    return {name: value for name, value in vars(cached).items() if name in names}


class BoundCached(Generic[P, R]):
    """A decorated method of one object: the calls of `Cached` without the first argument."""

    __name__: str

    def __init__(self, cached: Cached[Any, R], instance: object) -> None:
        self.__dict__.update(cached.looks)
        self._cached, self._instance = cached, instance

    @property
    def __wrapped__(self) -> Callable[P, Awaitable[R]]:
        """The function, as a method of the object."""
        return self._cached.__wrapped__.__get__(self._instance)  # type: ignore[no-any-return]  # as functions have

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Cached`."""
        return await self._cached(self._instance, *args, **kwargs)

    async def fetch(self, *args: P.args, **kwargs: P.kwargs) -> Item[R]:
        """See `Cached`."""
        return await self._cached.fetch(self._instance, *args, **kwargs)

    def key_for(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """See `Cached`."""
        return self._cached.key_for(self._instance, *args, **kwargs)

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """See `Cached`."""
        return await self._cached.invalidate(self._instance, *args, **kwargs)

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Cached`."""
        return await self._cached.refresh(self._instance, *args, **kwargs)

    def statistics(self) -> CachedStatistics:
        """See `Cached`; of all objects together."""
        return self._cached.statistics()
