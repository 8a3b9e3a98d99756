"""Who makes values in this process hears of what this process changes: what began before a set, a delete or a clear is nobody's to join any more.

The owner of a key fences it for the whole cluster, so that no late result is stored; but whoever asks in this process joins what is under way
here, without asking the owner, and would be given a value that was read before its own program's set. All groups of one name share one of
these, whatever their codecs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from zmcache.core.moving import moves
from zmcache.core.wire import Change

Hear: TypeAlias = Callable[[str | None], None]
"""Told a key, or None for all of them."""


class Fences:
    """Those who hear of it."""

    __slots__ = ("_hear",)

    def __init__(self) -> None:
        self._hear: list[Hear] = []

    def add(self, hear: Hear) -> None:
        """One more."""
        self._hear.append(hear)

    def remove(self, hear: Hear) -> None:
        """It makes nothing any more."""
        self._hear.remove(hear)

    def changed(self, change: Change, status: int | None = None) -> None:
        """A change has ended so. None: it failed, and may have been done all the same.

        After it, not before: who begins to make a value while the change is under way may still read what was there before.
        """
        if moves(change.kind, status):
            for hear in self._hear:
                hear(change.key)

    def cleared(self) -> None:
        """All keys were."""
        for hear in self._hear:
            hear(None)
