"""Calls of one event loop on a group that lives in another, that of a connection for threads: for ``mem://``, which is one store for both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import zmcache.sync


class Elsewhere:
    """A group's calls, each awaited there. What makes a value runs here."""

    def __init__(self, group: zmcache.sync.SyncGroup[Any]) -> None:
        self._group = group._group
        loop = group._bridge.loop
        assert loop is not None
        self._loop = loop

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._group, name)
        return lambda *args, **kwargs: _run(call(*args, **kwargs), self._loop)

    async def get_or_set(self, key: str, fill: Callable[[], Coroutine[Any, Any, Any]], **how: Any) -> Any:
        """See `zmcache.CacheGroup.get_or_set`."""
        here = asyncio.get_running_loop()
        return await _run(self._group.get_or_set(key, lambda: _run(fill(), here), **how), self._loop)


async def _run(call: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, loop))
