"""Whether what a group holds is old by its tags. Pure; for whoever has read a mark that has some.

An entry that turns out to be old is ended where it lies, as an expiry is: so nothing is ever searched for. While this node may have missed that a
tag was invalidated (*doubt*), nothing is given that has tags and was there when the doubt began; but it is not ended either, since most of it will
turn out to be good.
"""

from __future__ import annotations

from collections.abc import Callable

from zmcache.core.marks import Marked
from zmcache.core.recall import TAGGED
from zmcache.core.store import Store
from zmcache.core.tags import Generations


class Tagging:
    """Of one group."""

    __slots__ = ("_store", "doubted", "generations", "look_back")

    def __init__(self, store: Store) -> None:
        self._store = store
        self.generations = Generations()
        self.doubted = 0
        """Of what is no newer than this it is not known whether it is old."""
        self.look_back: Callable[[], None] = _nothing
        """Called before a judgement: who stood still until now has cause to doubt, and may not have noticed."""

    def hides(self, key: str, mark: Marked) -> bool:
        """Whether what was read of ``key`` is to be taken for nothing; what is old has ended then. About 0.5 us where it has one tag."""
        if not mark.tags:
            return False
        self.look_back()
        return self.ends(key, mark) or mark.stamp <= self.doubted

    def would_hide(self, mark: Marked) -> bool:
        """The same, and nothing ends by the question."""
        return bool(mark.tags) and (self.is_old(mark.tags, mark.stamp) or mark.stamp <= self.doubted)

    def ends(self, key: str, mark: Marked) -> bool:
        """Whether it is old, and has ended."""
        if not self.is_old(mark.tags, mark.stamp):
            return False
        self._store.end(key, TAGGED)
        return True

    def is_old(self, tags: str, stamp: int) -> bool:
        """Of what carries ``tags`` and holds since ``stamp``."""
        return bool(tags) and self.generations.newest(tags) >= stamp


def _nothing() -> None:
    """There is nobody to stand still for."""
