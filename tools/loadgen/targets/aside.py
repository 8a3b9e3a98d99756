"""What applications do by hand with a cache that does not fill itself: cache-aside.

1. Read the cache. A hit ends here.
2. Load from the backend.
3. Write what was found to the cache; a key that the backend does not know is not written, so it is loaded each time.

It is what most applications have, and no more: callers of one key at one moment each load it, and an error of the cache
fails the request. So a cache that fills itself is compared with what it replaces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from .base import ABSENT, Answer, NodeCounters, Target

Load = Callable[[str], Awaitable[bytes | None]]
"""The backend's value of a key; None: it knows no such key."""

LoadMany = Callable[[list[str]], Awaitable[Mapping[str, bytes]]]
"""The backend's values of those keys that it knows."""

APPLICATION: Final = "application"
"""The node id under which the loads are counted."""


class CacheAside:
    """``target``, filled by whoever asks.

    ``load_many`` loads the missing keys of a `read_many` in one call; without it each is loaded by itself, all at once.
    ``ttl_s`` is the life of what was loaded, in seconds; 0.0: the target's own. ``loads``: the keys that the backend was
    asked for.
    """

    def __init__(self, target: Target, load: Load, *, load_many: LoadMany | None = None, ttl_s: float = 0.0) -> None:
        self.loads = 0
        self._requests = 0
        self._target = target
        self._read = target.read
        self._load = load
        self._load_many = load_many
        self._ttl_s = ttl_s

    @property
    def description(self) -> Mapping[str, str]:
        """That of the target, and who fills it."""
        return {**self._target.description, "filled_by": APPLICATION}

    async def read(self, key: str) -> Answer:
        """As numbered in the module's docstring. Raises what the target or the backend raises."""
        self._requests += 1
        answer = await self._read(key)
        if answer[1] is not None:
            return answer
        self.loads += 1
        value = await self._load(key)
        if value is None:
            return ABSENT
        await self._target.write(key, value, self._ttl_s)
        return "load", value

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        """The same for many keys; what was loaded is written all at once."""
        self._requests += len(keys)
        values = await self._target.read_many(keys)
        missing = list(dict.fromkeys(key for key, value in zip(keys, values, strict=True) if value is None))
        if not missing:
            return values
        self.loads += len(missing)
        loaded = await self._load_all(missing)
        await asyncio.gather(*(self._target.write(key, value, self._ttl_s) for key, value in loaded.items()))
        return [loaded.get(key) if value is None else value for key, value in zip(keys, values, strict=True)]

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        """To the target alone: the backend is not part of the workload."""
        self._requests += 1
        await self._target.write(key, value, ttl_s)

    async def delete(self, key: str) -> None:
        """From the target alone."""
        self._requests += 1
        await self._target.delete(key)

    async def counters(self) -> Mapping[str, NodeCounters]:
        """Those of the target's nodes, and the application's own."""
        return {**await self._target.counters(), APPLICATION: NodeCounters(self._requests, self.loads)}

    async def _load_all(self, keys: list[str]) -> Mapping[str, bytes]:
        if self._load_many is not None:
            return await self._load_many(keys)
        values = await asyncio.gather(*map(self._load, keys))
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}
