"""A queue that serves those who fill it in turn: who asks for much waits for what it asked for, and not the others with it. Pure.

Each source (a connection; None: this process) has a line of its own, first in first out; one is taken from each line in turn. When all together are
as many as there may be, the newest of the longest line makes room for one of a line that is shorter by two or more.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[T]):
    """Each item is in it once. Adding, removing and taking are a few dictionary operations each."""

    __slots__ = ("_lines", "_sources")

    def __init__(self) -> None:
        self._sources: dict[T, object] = {}
        self._lines: dict[object, dict[T, None]] = {}  # never an empty one; the first is the next to be served

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, item: T) -> bool:
        return item in self._sources

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._sources))

    def add(self, item: T, source: object = None) -> None:
        """At the end of its source's line."""
        self._sources[item] = source
        line = self._lines.get(source)
        if line is None:
            self._lines[source] = {item: None}
        else:
            line[item] = None

    def remove(self, item: T) -> object:
        """It waits no more; its source."""
        source = self._sources.pop(item)
        line = self._lines[source]
        del line[item]
        if not line:
            del self._lines[source]
        return source

    def take(self) -> tuple[T, object]:
        """The next one, and its source, whose turn is over then."""
        source = next(iter(self._lines))
        line = self._lines.pop(source)
        item = next(iter(line))
        del line[item], self._sources[item]
        if line:
            self._lines[source] = line
        return item, source

    def ahead_of(self, source: object) -> int:
        """So many at least are taken before one that ``source`` adds now. A few operations for each line."""
        own = len(self._lines.get(source, ()))
        return sum(min(len(line), own) for line in self._lines.values())

    def to_go_for(self, source: object) -> T | None:
        """Who makes room for one more of ``source``; None: nobody."""
        line = max(self._lines.values(), key=len, default={})
        if len(line) < len(self._lines.get(source, ())) + 2:
            return None
        return next(reversed(line))
