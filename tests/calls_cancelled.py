"""Calls of every kind by the thousand, many of them cancelled somewhere on their way; each value that arrives is held against its key."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from zmcache.cache import CacheGroup
from zmcache.errors import DeadlineExceeded, OutcomeUnknown, PartialResult

_KEYS = 300
_SHORT_S = 0.002


def value_of(key: str) -> bytes:
    """What there is, or may ever be made, of a key. Of very different lengths."""
    return f"<{key}>".encode() * (1 + len(key) * int(key.rpartition("-")[2]) % 40)


@dataclass
class Fuzz:
    """One run of it. Afterwards ``compared`` says how many values of each kind of call were right, ``cancelled`` how many calls were."""

    groups: list[CacheGroup[bytes]]
    seed: int
    cancelled: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    _sums: Counter[tuple[str, int]] = field(default_factory=Counter)
    _tokens: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._source = random.Random(self.seed)

    async def run(self, calls: int) -> None:
        """Raises what any of the calls raised but being cancelled or, with next to no time, being late; `AssertionError` for a wrong value."""
        keys = [f"kept-{n}" for n in range(_KEYS)]
        assert await self.groups[0].set_many({key: value_of(key) for key in keys}, ttl=None) == []
        source, tasks = self._source, []
        kinds = [
            self._get,
            self._get,
            self._get,
            self._get_many,
            self._set,
            self._made,
            self._incr,
            self._gets,
            self._others,
        ]
        for n in range(calls):
            tasks.append(
                asyncio.ensure_future(
                    source.choice(kinds)(source.choice(self.groups), source.choice([None, None, 5.0, _SHORT_S]))
                )
            )
            if source.random() < 0.55:
                source.choice(tasks[-60:]).cancel()
            if n % 20 == 0:
                await asyncio.sleep(source.choice([0, 0, 0.001, 0.003]))
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, asyncio.CancelledError):
                self.cancelled += 1
            elif ended is not None:
                raise ended
        twice = [counted for counted, times in self._sums.items() if times > 1]
        assert not twice, f"sums that two increments returned: {twice[:5]}"

    def _key(self, kind: str) -> str:
        return f"{kind}-{self._source.randrange(_KEYS)}"

    def _right(self, call: str, key: str, value: object) -> None:
        assert value == value_of(key), f"{call} of {key}: {value!r:.80}"
        self.compared[call] += 1

    async def _get(self, group: CacheGroup[bytes], timeout: float | None) -> None:
        key = self._key("kept")
        with late(timeout):
            self._right("get", key, await group.get(key, timeout=timeout))

    async def _get_many(self, group: CacheGroup[bytes], timeout: float | None) -> None:
        keys = {self._key("kept") for _ in range(self._source.choice([2, 40]))}
        with late(timeout):
            found = await group.get_many(keys, timeout=timeout)
            assert found.keys() == keys
            for key, value in found.items():
                self._right("get_many", key, value)

    async def _set(self, group: CacheGroup[bytes], timeout: float | None) -> None:
        key = self._key("kept")
        with late(timeout):
            await group.set(key, value_of(key), ttl=None, timeout=timeout)

    async def _made(self, group: CacheGroup[bytes], timeout: float | None) -> None:
        key, pause_s = self._key("made"), self._source.choice([0, 0, 0.001, 0.004])

        async def fill() -> bytes:
            await asyncio.sleep(pause_s)
            return value_of(key)

        with late(timeout):
            self._right("get_or_set", key, await group.get_or_set(key, fill, ttl=0.02, timeout=timeout))

    async def _incr(self, group: CacheGroup[bytes], timeout: float | None) -> None:
        key = self._key("sum")
        with late(timeout):
            total = await group.incr(key, initial=1, timeout=timeout)
            assert total is not None
            self._sums[key, total] += 1
            self.compared["incr"] += 1

    async def _gets(self, group: CacheGroup[bytes], timeout: float | None) -> None:
        key = self._key("kept")
        with late(timeout):
            found = await group.gets(key, timeout=timeout)
            assert found is not None
            self._right("gets", key, found[0])
            assert self._tokens.setdefault(key, found[1]) == found[1]

    async def _others(self, group: CacheGroup[bytes], timeout: float | None) -> None:
        key = self._key("brief")
        with late(timeout):
            told: Any = await self._source.choice(
                [group.delete, group.touch, lambda k, **o: group.add(k, value_of(k), **o)]
            )(key, timeout=timeout)
            assert type(told) is bool
            value = await group.get(key, timeout=timeout)
            if value is not None:
                self._right("add", key, value)


class late:  # reads as a word
    """A call that was given next to no time may end for that."""

    def __init__(self, timeout: float | None) -> None:
        self._errors = (DeadlineExceeded, PartialResult, OutcomeUnknown) if timeout == _SHORT_S else ()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self._errors)
