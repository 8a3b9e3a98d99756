"""The connections of this process. Django makes a backend object for every thread, and for every context of a loop: all of them share these.

There is one connection for all threads, and one for each event loop that awaits; each is made when it is first needed, so after a server has
forked. A child of a fork begins with none. What a whole process shares can only stand in its module.

The end of an event loop is told to nobody but its asynchronous generators: whoever runs loops (asyncio.run, uvicorn, asgiref) has those end before it
closes one (`loop.shutdown_asyncgens`). So each loop's connection is held open by such a generator.

``mem://`` is one store for threads and loops alike: it lives in the loop of the connection for threads, and awaiting calls go there.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextvars import Context
from typing import Any, Final, NamedTuple, TypeAlias

import zmcache
import zmcache.sync
from zmcache.contrib.django.elsewhere import Elsewhere


class Where(NamedTuple):
    """Who has equal ones shares a connection."""

    address: str
    options: tuple[tuple[str, Any], ...]

    @property
    def is_here(self) -> bool:
        """Whether it is a store in this process."""
        return self.address.startswith("mem:")


class Place(NamedTuple):
    """Where the values of an entry of CACHES are."""

    where: Where
    group: str
    compress_above: int | str | None


Group: TypeAlias = "zmcache.CacheGroup[Any] | Elsewhere"


class Connections:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._making = threading.Lock()
        self._threads: dict[Where, zmcache.sync.SyncCache] = {}
        self._groups: dict[Place, zmcache.sync.SyncGroup[Any]] = {}
        self._loops: dict[tuple[asyncio.AbstractEventLoop, Where], _OfLoop] = {}

    def group(self, place: Place) -> zmcache.sync.SyncGroup[Any]:
        """For threads. Once it has been asked for, a look into a dict. Raises `PeerUnavailable` where no node answers."""
        found = self._groups.get(place)
        if found is not None:
            return found
        with self._making:
            cache = self._threads.get(place.where)
            if cache is None:
                cache = zmcache.sync.connect(place.where.address, **dict(place.where.options)).open()
                self._threads[place.where] = cache
            found = cache.group(place.group, codec="raw", compress_above=place.compress_above)
            self._groups[place] = found
        return found

    async def group_here(self, place: Place) -> Group:
        """For the running loop. Raises `PeerUnavailable` where no node answers."""
        if place.where.is_here:
            return Elsewhere(self.group(place))
        loop = asyncio.get_running_loop()
        held = self._loops.get((loop, place.where))
        if held is None:
            held = self._loops[loop, place.where] = _OfLoop(loop, place.where, self._forget)
        # Not cancelled with who waits: others do, too.
        cache = await asyncio.shield(held.opening)
        return cache.group(place.group, codec="raw", compress_above=place.compress_above)

    async def close_here(self, place: Place) -> None:
        """Close the running loop's connection, if there is one. Who calls next makes another."""
        held = self._loops.get((asyncio.get_running_loop(), place.where))
        if held is not None:
            self._forget(held)
            await held.close()

    def close(self) -> None:
        """Close the connection for threads, if there is one. Who calls next makes another."""
        with self._making:
            caches = list(self._threads.values())
            self._threads.clear()
            self._groups.clear()
        for cache in caches:
            cache.close()

    def forked(self) -> None:
        """In the child: what is inherited belongs to threads that are not there, the lock included."""
        self._begin()

    def _forget(self, held: _OfLoop) -> None:
        if self._loops.get((held.loop, held.where)) is held:
            del self._loops[held.loop, held.where]


class _OfLoop:
    """The connection of one event loop, until it is closed or the loop ends; ``gone`` is called then, or when it cannot be opened."""

    def __init__(self, loop: asyncio.AbstractEventLoop, where: Where, gone: Callable[[_OfLoop], None]) -> None:
        self.loop, self.where, self._gone = loop, where, gone
        self._holder = self._hold()
        # In a context of its own: it outlives the request that happens to come first.
        self.opening: asyncio.Task[zmcache.Cache] = loop.create_task(self._open(), context=Context())
        self.opening.add_done_callback(
            lambda task: task.cancelled() or task.exception()
        )  # told to who waits, if anybody does

    async def close(self) -> None:
        """Close it, when it has been opened. For one caller."""
        await asyncio.wait((self.opening,))
        await self._holder.aclose()

    async def _open(self) -> zmcache.Cache:
        return await anext(self._holder)

    async def _hold(self) -> AsyncGenerator[zmcache.Cache, None]:
        try:
            async with zmcache.connect(self.where.address, **dict(self.where.options)) as cache:
                yield cache
        finally:
            self._gone(self)


connections: Final = Connections()
os.register_at_fork(after_in_child=connections.forked)


def close_connections() -> None:
    """Close what the threads of this process have open; who calls next opens it anew. For tests: a program may end without."""
    connections.close()
