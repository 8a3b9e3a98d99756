"""The connection, for the life of the application: where requests find it is their state, ``request.state.zmcache``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from starlette.types import Scope

import zmcache

STATE: Final = "zmcache"


def lifespan(
    cache: str | zmcache.Cache, **options: Any
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, zmcache.Cache]]]:
    """For ``Starlette(lifespan=...)`` and ``FastAPI(lifespan=...)``: open the connection at the start and close it at the end.

    ``cache`` is an address, with the options of `zmcache.connect`, connected to anew at each start; or a connection that is not open yet, for one
    start. In a lifespan of your own: ``async with lifespan(address)(app) as state: yield {**state, ...}``.
    """

    @asynccontextmanager
    async def opened(app: Any) -> AsyncIterator[dict[str, zmcache.Cache]]:
        async with zmcache.connect(cache, **options) if isinstance(cache, str) else cache as connection:
            yield {STATE: connection}

    return opened


def cache_of(scope: Scope) -> zmcache.Cache:
    """The connection. Raises `LifecycleError` where nothing has opened one."""
    found: zmcache.Cache | None = scope.get("state", {}).get(STATE)
    if found is None:
        raise zmcache.LifecycleError(
            "no cache is open: make the application with lifespan=zmcache.contrib.starlette.lifespan(address); tests have to run it, too"
        )
    return found
