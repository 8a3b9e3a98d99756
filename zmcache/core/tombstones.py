"""What was deleted, and at which version: so that an older value which arrives later, from a node that did not hear, stays out. The same of
what was written while somebody who is to hold it could not be told: when it has ended, what that node has is older all the same.

They lie beside the store, not in it: nothing that reads has to look past them, and eviction, which takes what nobody asks for, would take
these first. Each lasts for one to two of ``life_s``; where more come than there is room for, the oldest go sooner, which is counted: then
a value that was deleted so long ago, and comes back from a node that was away since, is there again until it expires.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import Final

# Longer than any hand-over may take, and than a node may be away and still be believed.
LIFE_S: Final = 600.0
MOST: Final = 100_000


class Tombstones:
    """Versions of deletes by key, in two generations: the young one becomes the old one, and the old one goes, every ``life_s``."""

    __slots__ = ("_life_s", "_most", "_old", "_turned_s", "_young", "dropped")

    def __init__(self, now_s: float, life_s: float = LIFE_S, most: int = MOST) -> None:
        self._life_s = life_s
        self._most = max(1, most // 2)
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._turned_s = now_s
        self.dropped = 0
        """Those that had to go before their time."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, key: str, version: int, now_s: float) -> None:
        """``key`` was deleted at ``version``, or before that."""
        self.turn(now_s)
        if len(self._young) >= self._most and key not in self._young:
            self.dropped += len(self._old)
            self._old, self._young = self._young, {}
        self._old.pop(key, None)  # each stands in one of them only
        self._young[key] = version

    def version_of(self, key: str) -> int:
        """The version of its delete; 0 where none is known."""
        if not self._young and not self._old:
            return 0
        return self._young.get(key) or self._old.get(key, 0)

    def discard(self, key: str) -> None:
        """Something newer is there."""
        if self._young or self._old:
            self._young.pop(key, None)
            self._old.pop(key, None)

    def turn(self, now_s: float) -> None:
        """Let go of those whose time is over."""
        if now_s - self._turned_s >= self._life_s:
            twice = now_s - self._turned_s >= 2 * self._life_s
            self._old = {} if twice else self._young
            self._young = {}
            self._turned_s = now_s

    def part(self, start: int, limit: int) -> list[str]:
        """The next ``limit`` keys from that one on. Some may be missed, or come twice, while others are added."""
        return list(islice(chain(self._old, self._young), start, start + limit))

    def clear(self, version: int) -> None:
        """Forget all that is no newer than ``version``."""
        self._young, self._old = (
            {key: at for key, at in deleted.items() if at > version} for deleted in (self._young, self._old)
        )
