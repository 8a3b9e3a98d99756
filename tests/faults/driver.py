"""Calls that write themselves down, and a look at the loop that they are made on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import zmcache
from faults.marks import Marker, read_mark
from faults.record import CANCELLED, DELETE, FAILED, GET, OK, SET, Op, Stream

KEPT: Final = [f"kept.{number}" for number in range(100)]
"""Set, got and deleted again and again; nothing loads them."""
STILL: Final = [f"still.{number}" for number in range(400)]
"""Set once, in the beginning, in the group of the former, and got from then on: what is lost of them is not made good by a later set."""
ITEMS: Final = [f"items.{number}" for number in range(300)]
"""Got, and loaded when they are missing; nobody writes them."""
MIXED: Final = [f"mixed.{number}" for number in range(40)]
"""All of it."""

_TICK_S: Final = 0.005
_STALL_S: Final = 0.012  # what a loop that has a few calls to make takes at most, else it was held up
_MOST_OPS: Final = 400_000
_MOST_STALLS: Final = 100_000


class Driver:
    """The calls of one worker on one connection. Its loop is watched for as long as the context lasts."""

    def __init__(self, cache: zmcache.Cache, worker: int, folder: Path, timeout_s: float) -> None:
        self._groups = {name: cache.group(name) for name in ("kept", "items", "mixed")}
        self._worker, self._timeout_s = worker, timeout_s
        self._marker = Marker(worker)
        self._ops = Stream(folder / f"ops-{worker}", _MOST_OPS)
        self._stalls = Stream(folder / f"stalls-{worker}", _MOST_STALLS)

    async def __aenter__(self) -> Driver:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._watching.cancel()
        await asyncio.wait([self._watching])
        self._ops.close()
        self._stalls.close()

    @property
    def full(self) -> bool:
        """It has written down as much as it takes."""
        return self._ops.full or self._stalls.full

    async def get(self, group: str, key: str, timeout_s: float | None = None) -> str:
        timeout_s = timeout_s or self._timeout_s
        return await self._do(GET, key, 0, self._groups[group].get(key, timeout=timeout_s), timeout_s)

    async def set(self, group: str, key: str, size: int = 128) -> str:
        version = self._marker.next_version()
        value = self._marker.value(key, version, size)
        call = self._groups[group].set(key, value, timeout=self._timeout_s)
        return await self._do(SET, key, version, call, self._timeout_s)

    async def delete(self, group: str, key: str) -> str:
        version = self._marker.next_version()
        call = self._groups[group].delete(key, timeout=self._timeout_s)
        return await self._do(DELETE, key, version, call, self._timeout_s)

    async def _do(self, kind: str, key: str, version: int, call: Awaitable[Any], timeout_s: float) -> str:
        began_s = time.monotonic()
        note = ""
        try:
            answer = await call
            outcome = OK
        except asyncio.CancelledError:
            outcome = CANCELLED
            raise
        except zmcache.ZmcacheError as error:
            outcome, note = FAILED, f"{type(error).__name__}: {error}"
        finally:
            ended_s = time.monotonic()
            if kind == GET and outcome == OK:
                outcome, version, note = read_mark(key, answer)
            self._ops.add(Op(self._worker, kind, key, began_s, ended_s, timeout_s, outcome, version, note))
        return outcome

    async def _watch(self) -> None:
        last_s = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = time.monotonic()
            if now_s - last_s > _STALL_S:
                self._stalls.add((self._worker, last_s, now_s))
            last_s = now_s
