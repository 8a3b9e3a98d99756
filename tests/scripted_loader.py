"""A loader that does what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

Answer = Callable[[list[str]], Any]


def value_of(key: str) -> bytes:
    """What a `ScriptedLoader` has for ``key``, unless it is told otherwise."""
    return f"value of {key}".encode()


class ScriptedLoader:
    """Answers with `value_of` each key, once ``gate`` is open. ``answer`` replaces the values, or raises; ``known`` limits the keys."""

    def __init__(
        self, *, max_batch: int = 100, answer: Answer | None = None, known: Callable[[str], bool] | None = None
    ) -> None:
        self.name = "tests:scripted"
        self.max_batch = max_batch
        self.answer = answer
        self.known = known or (lambda key: True)
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: list[list[str]] = []
        self.running = 0
        self.most_running = 0
        self.cancelled = 0
        self.closed = False

    @property
    def loaded(self) -> Counter[str]:
        """How often each key was asked for."""
        return Counter(key for call in self.calls for key in call)

    async def load(self, keys: list[str]) -> Mapping[str, bytes]:
        """See `zmcache.loading.Loader`."""
        assert not self.closed
        self.calls.append(list(keys))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            if self.answer is not None:
                found: Any = self.answer(keys)
                found = await found if asyncio.iscoroutine(found) else found
                return cast("Mapping[str, bytes]", found)
            return {key: value_of(key) for key in keys if self.known(key)}
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        """See `zmcache.loading.Loader`."""
        self.closed = True
