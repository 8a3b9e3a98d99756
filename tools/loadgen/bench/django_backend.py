"""The backend for Django beside Django's own for redis, as one thread of a program calls them: get and set, 128 bytes, pickled by both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from typing import Any, Final

from zmcache.examples import value_of

from . import clients, servers
from .drive import Effort, in_turns
from .goals import NotMeasurable, Row, judge
from .threads import p50_us

_GROUP: Final = {"budget": "256MiB"}
_CHUNK: Final = 1_000


async def calls(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Both rows by the same two backends."""
    keys = clients.make_keys(effort.keys)
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(servers.node({"django": _GROUP}))
        redis = await stack.enter_async_context(servers.redis())
        sides = {"zmcache": await _zmcache(stack, node.address), "redis": _redis(f"redis://{redis.address}")}
        for cache in sides.values():
            await asyncio.to_thread(_fill, cache, keys)
        for name in wanted:
            asked: dict[str, Callable[[str], object]] = {
                side: cache.get if name == "django-get" else partial(_set, cache) for side, cache in sides.items()
            }
            samples = await in_turns(
                effort.runs,
                {
                    side: partial(asyncio.to_thread, p50_us, ask, keys, effort.lone_requests)
                    for side, ask in asked.items()
                },
            )
            yield judge(name, samples["zmcache"], samples["redis"])


async def _zmcache(stack: AsyncExitStack, address: str) -> Any:
    adapter = _imported("zmcache.contrib.django")
    stack.push_async_callback(asyncio.to_thread, adapter.close_connections)
    return adapter.ZmcacheCache(address, {"OPTIONS": {"key": b"of the benchmark"}})


def _redis(url: str) -> Any:
    _imported("redis")
    _imported("hiredis")  # redis takes its parser from there, if it is there
    return _imported("django.core.cache.backends.redis").RedisCache(url, {})


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as exc:
        raise NotMeasurable(f"the package {exc.name} is not installed: pip install 'zmcache[bench,django]'") from exc


def _fill(cache: Any, keys: Sequence[str]) -> None:
    for at in range(0, len(keys), _CHUNK):
        cache.set_many({key: value_of(key) for key in keys[at : at + _CHUNK]}, None)


def _set(cache: Any, key: str) -> bool:
    cache.set(key, value_of(key))
    return True
