"""Walking over all that a group holds, in slices between which the loop serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

from zmcache.core import wire

_SLICE_KEYS: Final = 200  # about half a millisecond
_PAUSE_S: Final = 0.001


class Handed(Protocol):
    """What a group shows of what it holds."""

    @property
    def copies(self) -> int:
        """How many nodes are to hold each key."""

    def visit_held(self, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
        """The next keys that are held, or known to be deleted, and the cursor for the next call."""

    def version_of(self, key: str) -> int:
        """What is held of ``key``, or known of its delete."""

    def copy_of(self, key: str) -> wire.Change | None:
        """What is to be sent of ``key``."""

    def let_go(self) -> None:
        """Remove, after a while, what is another's then."""


async def walk(group: Handed) -> AsyncIterator[str]:
    """Each key that is held throughout, once; of those that come or go meanwhile some."""
    cursor: int | None = None
    while True:
        keys, cursor = group.visit_held(cursor, _SLICE_KEYS)
        for key in keys:
            yield key
        if cursor is None:
            return
        await asyncio.sleep(_PAUSE_S)
