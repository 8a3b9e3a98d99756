"""What becomes of keys, pushed to a program as it happens: ``async for update in items.watch("EURUSD")``.

A *feed* is one such loop. It holds the latest value of each of its keys that the program has not taken yet: a slow program gets the newest,
and is told how many it did not see. Keys come in the order in which they changed; of one key no older value ever comes after a newer one.
"""

from __future__ import annotations

import asyncio
from typing import Generic, NamedTuple, TypeVar

from zmcache.errors import ZmcacheError

T = TypeVar("T")


class Update(NamedTuple, Generic[T]):
    """What a key has become."""

    key: str
    value: T | None
    """None where it is gone, or is None."""
    exists: bool
    version: int
    """Grows with each change of the key, whoever makes it; about the microseconds of when. 0: not known."""
    skipped: int
    """Values of this key that came and went since the last update of it that was seen."""
    resumed: bool
    """Whether this is what was found after the connection was lost, or the owner had changed: what happened meanwhile is not known."""


class Told(NamedTuple):
    """An update as it comes, before a codec has read its value."""

    key: str
    value: bytes | None
    exists: bool
    version: int
    skipped: int = 0


class Feed:
    """See the module's docstring. ``keys`` are its own, each once."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self._latest: dict[str, tuple[Told, bool]] = {}  # and whether it was found after a loss
        self._seen: dict[str, int] = {}
        self._lost: set[str] = set()
        self._error: ZmcacheError | None = None
        self._wake = asyncio.Event()

    def hear(self, told: Told) -> None:
        """A key has become this."""
        key = told.key
        # After a loss the owner may know less than before; until then what is not newer is a value that came twice.
        seen = self._seen.get(key, -1)
        resumed = key in self._lost
        if not resumed and (told.version <= seen if told.version else seen == 0):
            return
        self._lost.discard(key)
        self._seen[key] = told.version
        if key in self._latest:
            # What has not been taken yet was before the loss, and must not pass for what was found after it.
            before, was_resumed = self._latest.pop(key)
            told = told._replace(skipped=told.skipped + before.skipped + 1)
            resumed = resumed or was_resumed
        self._latest[key] = told, resumed
        self._wake.set()

    def lose(self, key: str) -> None:
        """What comes next of that key is what is found then."""
        if key in self._seen:
            self._lost.add(key)

    def fail(self, error: ZmcacheError) -> None:
        """Nothing comes any more."""
        self._error = error
        self._wake.set()

    async def next(self) -> tuple[Told, bool]:
        """The next one, and whether it was found after a loss. Raises what `fail` was given."""
        while not self._latest:
            if self._error is not None:
                raise self._error
            self._wake.clear()
            await self._wake.wait()
        key = next(iter(self._latest))
        return self._latest.pop(key)
