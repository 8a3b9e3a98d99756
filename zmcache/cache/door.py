"""The front door: a connection to a cache, be it a cluster or a store in this process, and the groups in it."""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any, Literal, NamedTuple, Self, TypeVar, overload

from zmcache.cache.away import Away
from zmcache.cache.entrance import Entrance
from zmcache.cache.group import CacheGroup
from zmcache.cache.raw import CLOSED, NOT_OPEN, Raw
from zmcache.codecs import Codec, make_codec
from zmcache.core.calls import Duration
from zmcache.core.ring import Member, Ring
from zmcache.core.wire import Limits
from zmcache.errors import LifecycleError, UnknownGroup

T = TypeVar("T")


class Topology(NamedTuple):
    """Who is in the cluster. ``revision`` is that of the membership service; 0 with a static list."""

    revision: int
    members: tuple[Member, ...]


class Cache(ABC):
    """What `zmcache.connect` returns. Use it as ``async with``, or call `open` and `aclose`; from one event loop."""

    def __init__(
        self, on_error: str, limits: Limits, timeout_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``clock`` is that by which calls wait."""
        self._away = Away(on_error, clock)
        self._limits = limits
        self._timeout_s = timeout_s
        self._entrances: dict[str, Entrance] = {}
        self._groups: dict[Hashable, CacheGroup[Any]] = {}
        self._pid = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened = self._closed = False

    async def __aenter__(self) -> Self:
        """Open it; see `open`."""
        return await self.open()

    async def __aexit__(self, *exc_info: object) -> None:
        """Close."""
        await self.aclose()

    async def open(self) -> Self:
        """Connect; see `zmcache.connect` for what is raised."""
        if self._loop is not None:
            raise LifecycleError("a connection is opened once; make another")
        # Now, and not when it was made: a module's connection is made before a server forks, and opened in each of its processes.
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        try:
            if self._closed:
                raise LifecycleError(CLOSED)
            await self._open()
            for entrance in self._entrances.values():
                entrance.open(self._make_raw(entrance.name))
            self._opened = True
        except BaseException:
            await self.aclose()
            raise
        return self

    async def aclose(self) -> None:
        """Close it; calls under way fail. Idempotent. Raises `LifecycleError` in another loop or process."""
        if self._loop is not None:
            self._check_place()
        self._closed = True
        groups, self._groups = self._groups, {}
        for entrance in self._entrances.values():
            entrance.close()
        await asyncio.gather(*(group.aclose() for group in groups.values()))
        await self._close()

    @overload
    def group(
        self,
        name: str,
        *,
        codec: Literal["raw"] | None = None,
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> CacheGroup[bytes]: ...
    @overload
    def group(
        self,
        name: str,
        *,
        type: type[T],
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> CacheGroup[T]: ...
    @overload
    def group(
        self,
        name: str,
        *,
        codec: Literal["msgpack", "json"],
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> CacheGroup[Any]: ...
    @overload
    def group(
        self,
        name: str,
        *,
        codec: Literal["pickle"],
        key: bytes,
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> CacheGroup[Any]: ...
    @overload
    def group(
        self,
        name: str,
        *,
        codec: Codec[T],
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> CacheGroup[T]: ...
    def group(
        self,
        name: str,
        *,
        codec: Any = None,
        type: Any = None,  # noqa: A002  # what it is called everywhere
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
        key: bytes | None = None,
    ) -> CacheGroup[Any]:
        """The group of that name; the same object for the same arguments. That the nodes know it too is found out by the first call.

        It may be asked for before the connection is open, to decorate functions where a module is imported: its calls raise `LifecycleError` until
        then.

        codec           what values are: ``"raw"`` (bytes; the default), ``"msgpack"``, ``"json"``, ``"pickle"`` (with a ``key`` that
                        signs it), or a `Codec` of your own.
        type            values of this type, through msgspec, in place of ``codec``; what was stored for another schema is a miss.
        compress_above  values of more bytes than this are compressed (zstd); None: none.
        max_decompressed  how long a value may be when it is decompressed (None: 64 MiB): a longer one is not written, and is a miss when it is
                        read. All values of one `get_many` may come to four times that; the others are among its errors.

        Raises `UnknownGroup` for what cannot be a name, `ConfigError` for a codec that cannot be made, `LifecycleError` once it is closed.
        """
        if self._loop is not None or self._closed:
            self._check_open()
        what = what_group(name, codec, type, compress_above, max_decompressed, key)
        group = self._groups.get(what)
        if group is None:
            made = make_codec(
                codec, type=type, compress_above=compress_above, max_decompressed=max_decompressed, key=key
            )
            group = self._groups[what] = CacheGroup(self._entrance(name), made, self._away)
        return group

    def _entrance(self, name: str) -> Entrance:
        """One for all groups of that name: a fill that asks for its own key is known by it."""
        entrance = self._entrances.get(name)
        if entrance is None:
            check_group(name)
            entrance = self._entrances[name] = Entrance(name, self._limits, self._timeout_s)
            if self._opened:
                entrance.open(self._make_raw(name))
        return entrance

    @property
    def failures(self) -> int:
        """How many calls the cache was away for, so far."""
        return self._away.failures

    @abstractmethod
    def ring(self) -> Ring:
        """The ring as this connection has it."""

    @abstractmethod
    async def topology(self, *, timeout: Duration | None = None) -> Topology:
        """Who is in the cluster, asked now. Raises `PeerUnavailable` when no node answers."""

    @abstractmethod
    async def statistics(self, *, timeout: Duration | None = None) -> dict[str, dict[str, float]]:
        """The counters of every node that answers, by node id; see `zmcache stats` for their names."""

    @abstractmethod
    async def _open(self) -> None: ...

    @abstractmethod
    async def _close(self) -> None: ...

    @abstractmethod
    def _make_raw(self, name: str) -> Raw: ...

    def _check_open(self) -> None:
        if self._loop is None:
            raise LifecycleError(CLOSED if self._closed else NOT_OPEN)
        if self._closed:
            raise LifecycleError(CLOSED)
        self._check_place()

    def _check_place(self) -> None:
        if self._pid != os.getpid():
            raise LifecycleError("it was made before a fork; each process needs a connection of its own")
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:  # a thread without one
            here = False
        if not here:
            raise LifecycleError("it belongs to another event loop; make one in each loop")


class _Itself:
    """An object that cannot be hashed, as a part of what a group is known by."""

    __slots__ = ("_is",)

    def __init__(self, it: object) -> None:
        self._is = it

    def __hash__(self) -> int:
        return id(self._is)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self._is is other._is


def what_group(name: object, codec: object, kind: object, *others: object) -> Hashable:
    """What a group is known by: the arguments that it was asked for with."""
    # The type as it is written, too: two unions of the same types are equal in any order, and their entries are not.
    return tuple(map(_hashable, (name, codec, kind, repr(kind), *others)))


def _hashable(argument: object) -> Hashable:
    try:
        hash(argument)
    except TypeError:
        return _Itself(argument)
    return argument


def check_group(name: object) -> None:
    """Raises `UnknownGroup` for what no frame can hold: it would be found out only when others' requests stand beside it."""
    if not isinstance(name, str) or not name:
        raise UnknownGroup(
            f"a group's name is text, not {type(name).__name__}" if name != "" else "a group's name is empty"
        )
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UnknownGroup("a group's name is not valid Unicode text") from None
