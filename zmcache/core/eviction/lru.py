"""Least recently used: the entry that was not used for the longest time goes first.

Choose it when what was asked for lately is what will be asked for again, and no scan sweeps through the keys. The
yardstick of all the others; P. J. Denning, "The working set model for program behavior", CACM 11 (1968), says why it
works where it does.
"""

from __future__ import annotations

from typing import ClassVar

from zmcache.core.eviction.uselog import Marks, UseLog


class Lru:
    """See `zmcache.core.eviction.base.EvictionPolicy`. 8 to 16 bytes an entry."""

    ENTRY_BYTES: ClassVar = 16

    __slots__ = ("_log", "_marks", "touched")

    def __init__(self, budget_bytes: int) -> None:
        self._marks = Marks()
        self._log = UseLog(self._marks)
        self.touched = self._log.use

    def resize(self, budget_bytes: int) -> None:
        """The order does not depend on it."""

    def arriving(self, identity: int, cost: int) -> None:
        """Nothing is remembered of what has gone."""

    def inserted(self, slot: int, cost: int) -> None:
        """A new entry, the newest of all."""
        self._marks.cover(slot)
        self._log.append(slot)

    def resized(self, slot: int, cost: int) -> None:
        """A use like any other."""
        self._log.use([slot])

    def removed(self, slot: int) -> None:
        """It has no place any more."""
        self._log.remove(slot)

    def victim(self) -> int:
        """The slot whose last use is the oldest."""
        return self._log.oldest()

    def evicted(self, slot: int, identity: int) -> None:
        """As `removed`."""
        self._log.remove(slot)
