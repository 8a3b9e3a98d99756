"""What comes of a fill: the function that makes a value, and what callers get."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from zmcache.core.calls import Item
from zmcache.core.wire import DUE, FROM_LOADER, IS_NONE, STALE
from zmcache.errors import RequestError

T = TypeVar("T")
Fill: TypeAlias = Callable[[], Awaitable[T]] | Callable[[], T]


class Made(NamedTuple):
    """A value, where it came from (as `Item.source`) and what remains of its life in ms (below zero: for ever).

    ``error``: what making a new one has failed with, where this is the old one, which serves in its place.
    """

    value: Any
    source: str
    life_ms: int = -1
    error: Exception | None = None

    def item(self) -> Item[Any]:
        """As callers are told of it."""
        return Item(self.value, None if self.life_ms < 0 else self.life_ms / 1000, self.source)


def is_value(status: int) -> bool:
    """Whether an answer to who makes what is missing brings a value, fresh or not."""
    return status <= FROM_LOADER or status in (IS_NONE, STALE, DUE)


async def called(fill: Fill[T | None]) -> T | None:
    """What a caller's function gives, be it ``def`` or ``async def``."""
    if not callable(fill):
        raise RequestError(f"expected a function that makes the value, not {type(fill).__name__}")
    value = fill()
    if inspect.isawaitable(value):
        return await value
    return value
