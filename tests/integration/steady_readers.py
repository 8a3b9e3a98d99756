"""Callers that get Zipf-like keys without a pause while a test does something to the cluster, and remember what they noticed of it."""

from __future__ import annotations

import asyncio
import random
import time

from counting_node import value_of

import zmcache


class Readers:
    """They read for as long as the context lasts. ``failures`` are gets that raised or gave a wrong value."""

    def __init__(self, client: zmcache.Cache, *, callers: int = 16, keys: int = 20_000) -> None:
        self._items, self._callers, self._keys = client.group("items"), callers, keys
        self._rng = random.Random(callers)
        self._going = True
        self.gets = 0
        self.failures: list[str] = []
        self.slowest_s = 0.0

    async def __aenter__(self) -> Readers:
        self._tasks = [asyncio.create_task(self._read()) for _ in range(self._callers)]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)

    async def _read(self) -> None:
        while self._going:
            key = str(min(int(self._rng.paretovariate(0.6)), self._keys))
            began_s = time.monotonic()
            try:
                value = await self._items.get(key)
                if value != value_of(key):
                    self.failures.append(f"{key}: {value!r}")
            except zmcache.ZmcacheError as error:
                self.failures.append(f"{key}: {error!r} after {time.monotonic() - began_s:.2f} s")
            self.gets += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    async def wait_gets(self, more: int, limit_s: float = 30.0) -> None:
        """Return when so many more gets have ended, one way or the other."""
        until, deadline_s = self.gets + more, time.monotonic() + limit_s
        while self.gets < until:
            assert time.monotonic() < deadline_s, f"only {self.gets} of {until} gets: {self.failures[:3]}"
            await asyncio.sleep(0.02)
