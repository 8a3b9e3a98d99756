"""The front door: a connection to a cache, be it a cluster or a store in this process, and the groups in it."""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Self, TypeVar, overload

from zmcache.cache.away import Away
from zmcache.cache.group import CacheGroup
from zmcache.cache.raw import CLOSED, Raw
from zmcache.codecs import Codec, make_codec
from zmcache.core.calls import Duration
from zmcache.core.ring import Member, Ring
from zmcache.errors import LifecycleError, UnknownGroup

T = TypeVar("T")


class Topology(NamedTuple):
    """Who is in the cluster. ``revision`` is that of the membership service; 0 with a static list."""

    revision: int
    members: tuple[Member, ...]


class Cache(ABC):
    """What `zmcache.connect` returns. Use it as ``async with``, or call `open` and `aclose`; from one event loop."""

    def __init__(self, on_error: str = "raise", clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is that by which calls wait."""
        self._away = Away(on_error, clock)
        self._raws: dict[str, Raw] = {}
        self._groups: dict[str, CacheGroup[bytes]] = {}
        self._others: list[CacheGroup[Any]] = []
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

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
        self._loop = asyncio.get_running_loop()
        try:
            await self._open()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def aclose(self) -> None:
        """Close it; calls under way fail. Idempotent. Raises `LifecycleError` in another loop or process."""
        if self._loop is not None:
            self._check_place()
        self._closed = True
        groups, self._groups, others, self._others = self._groups, {}, self._others, []
        await asyncio.gather(*(group.aclose() for group in (*groups.values(), *others)))
        await self._close()

    @overload
    def group(
        self, name: str, *, codec: Literal["raw"] | None = None, compress_above: int | str | None = None
    ) -> CacheGroup[bytes]: ...
    @overload
    def group(self, name: str, *, type: type[T], compress_above: int | str | None = None) -> CacheGroup[T]: ...
    @overload
    def group(
        self, name: str, *, codec: Literal["msgpack", "json"], compress_above: int | str | None = None
    ) -> CacheGroup[Any]: ...
    @overload
    def group(
        self, name: str, *, codec: Literal["pickle"], key: bytes, compress_above: int | str | None = None
    ) -> CacheGroup[Any]: ...
    @overload
    def group(self, name: str, *, codec: Codec[T], compress_above: int | str | None = None) -> CacheGroup[T]: ...
    def group(
        self,
        name: str,
        *,
        codec: Any = None,
        type: Any = None,  # noqa: A002  # what it is called everywhere
        compress_above: int | str | None = None,
        key: bytes | None = None,
    ) -> CacheGroup[Any]:
        """The group of that name. That the nodes know it too is found out by the first call.

        codec           what values are: ``"raw"`` (bytes; the default), ``"msgpack"``, ``"json"``, ``"pickle"`` (with a ``key`` that
                        signs it), or a `Codec` of your own.
        type            values of this type, through msgspec, in place of ``codec``; what was stored for another schema is a miss.
        compress_above  values of more bytes than this are compressed (zstd); None: none.

        Raises `UnknownGroup` for what cannot be a name, `ConfigError` for a codec that cannot be made.
        """
        self._check_open()
        plain = self._groups.get(name) if codec is type is compress_above is None else None
        if plain is not None:
            return plain
        raw = self._raws.get(name)
        if raw is None:
            check_group(name)
            raw = self._raws[name] = self._make_raw(name)
        made = make_codec(codec, type=type, compress_above=compress_above, key=key)
        group: CacheGroup[Any] = CacheGroup(raw, made, self._away)
        if codec is type is compress_above is None:
            self._groups[name] = group
        else:
            self._others.append(group)
        return group

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
            raise LifecycleError("it is not open: use it inside `async with zmcache.connect(...) as cache`")
        if self._closed:
            raise LifecycleError(CLOSED)
        self._check_place()

    def _check_place(self) -> None:
        if self._pid != os.getpid():
            raise LifecycleError("it was made before a fork; each process needs a connection of its own")
        if asyncio.get_running_loop() is not self._loop:
            raise LifecycleError("it belongs to another event loop; make one in each loop")


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
