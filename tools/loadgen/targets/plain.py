"""The two yardsticks that need no server: a dict in this process, and nothing at all.

A run against nothing shows what the generator itself can do. A run against a dict shows what any cache is measured by:
nothing is evicted, so it has every hit there can be, and its memory is whatever it takes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from .base import ABSENT, Answer, NodeCounters


class DictTarget:
    """A plain dict. Lives are kept; what has ended is freed when it is asked for, or written again."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._ends_s: dict[str, float] = {}  # of those keys only that have an end

    @property
    def description(self) -> Mapping[str, str]:
        """Its kind is all."""
        return {"kind": "dict"}

    async def read(self, key: str) -> Answer:
        """One look-up."""
        value = self._values.get(key)
        if value is None or (self._ends_s and self._ended(key)):
            return ABSENT
        return "found", value

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        """One look-up each."""
        return [(await self.read(key))[1] for key in keys]

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        """One assignment."""
        self._values[key] = value
        if ttl_s:
            self._ends_s[key] = time.monotonic() + ttl_s
        elif self._ends_s:
            self._ends_s.pop(key, None)

    async def delete(self, key: str) -> None:
        """One removal."""
        self._values.pop(key, None)
        self._ends_s.pop(key, None)

    async def counters(self) -> Mapping[str, NodeCounters]:
        """None: it loads nothing."""
        return {}

    def _ended(self, key: str) -> bool:
        end_s = self._ends_s.get(key)
        if end_s is None or end_s > time.monotonic():
            return False
        del self._values[key], self._ends_s[key]
        return True


class NoopTarget:
    """Answers at once, and holds nothing."""

    @property
    def description(self) -> Mapping[str, str]:
        """Its kind is all."""
        return {"kind": "noop"}

    async def read(self, key: str) -> Answer:
        """Absent."""
        return ABSENT

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        """All absent."""
        return [None] * len(keys)

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        """Forgotten."""

    async def delete(self, key: str) -> None:
        """Nothing to delete."""

    async def counters(self) -> Mapping[str, NodeCounters]:
        """None: it loads nothing."""
        return {}
