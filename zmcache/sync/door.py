"""The front door for threads: a connection, its loop in a thread of its own, and the groups in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Literal, Self, TypeVar, overload

from zmcache.cache import Cache, CacheGroup, Topology
from zmcache.cache.door import what_group
from zmcache.codecs import Codec
from zmcache.core.calls import Duration
from zmcache.core.ring import Ring
from zmcache.sync.bridge import Bridge
from zmcache.sync.documenting import documented_as
from zmcache.sync.group import SyncGroup

T = TypeVar("T")


@documented_as(Cache)
class SyncCache:
    """What `zmcache.sync.connect` returns. Use it as ``with``, or call `open` and `close`; from any number of threads."""

    def __init__(self, cache: Cache) -> None:
        """``cache``: not opened yet."""
        self._cache = cache
        self._bridge = Bridge()
        self._groups: dict[Hashable, SyncGroup[Any]] = {}
        self._opening = threading.Lock()

    def __enter__(self) -> Self:
        """Open it; see `open`."""
        return self.open()

    def __exit__(self, *exc_info: object) -> None:
        """Close."""
        self.close()

    def open(self) -> Self:
        """Connect; see `zmcache.connect` for what is raised."""
        with self._opening:
            self._bridge.start()
        try:
            self._bridge.run(self._cache.open)
        except BaseException:
            self._bridge.stop()
            raise
        return self

    def close(self) -> None:
        """Close it; calls under way fail. Idempotent. Raises `LifecycleError` in another process."""
        self._groups.clear()
        self._bridge.stop(self._cache.aclose)

    @overload
    def group(
        self,
        name: str,
        *,
        codec: Literal["raw"] | None = None,
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> SyncGroup[bytes]: ...
    @overload
    def group(
        self,
        name: str,
        *,
        type: type[T],
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> SyncGroup[T]: ...
    @overload
    def group(
        self,
        name: str,
        *,
        codec: Literal["msgpack", "json"],
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> SyncGroup[Any]: ...
    @overload
    def group(
        self,
        name: str,
        *,
        codec: Literal["pickle"],
        key: bytes,
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> SyncGroup[Any]: ...
    @overload
    def group(
        self,
        name: str,
        *,
        codec: Codec[T],
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
    ) -> SyncGroup[T]: ...
    def group(
        self,
        name: str,
        *,
        codec: Any = None,
        type: Any = None,  # noqa: A002  # what it is called everywhere
        compress_above: int | str | None = None,
        max_decompressed: int | str | None = None,
        key: bytes | None = None,
    ) -> SyncGroup[Any]:
        what = what_group(name, codec, type, compress_above, max_decompressed, key)
        found = self._groups.get(what)
        if found is not None:
            if self._bridge.is_started:
                self._bridge.check()
            return found
        make: Callable[[], CacheGroup[Any]] = partial(
            self._cache.group, name, codec=codec, type=type, compress_above=compress_above,
            max_decompressed=max_decompressed, key=key,
        )  # fmt: skip
        with self._opening:
            # No loop runs yet, and none begins meanwhile.
            group = None if self._bridge.is_started else make()
        if group is None:
            group = self._bridge.run_nowait(make)
        return self._groups.setdefault(what, SyncGroup(group, self._bridge))

    @property
    def failures(self) -> int:
        """How many calls the cache was away for, so far."""
        return self._cache.failures

    def ring(self) -> Ring:
        return self._bridge.run_nowait(self._cache.ring)

    def topology(self, *, timeout: Duration | None = None) -> Topology:
        return self._bridge.run(self._cache.topology, timeout=timeout)

    def statistics(self, *, timeout: Duration | None = None) -> dict[str, dict[str, float]]:
        return self._bridge.run(self._cache.statistics, timeout=timeout)
