"""Which entries of a store rely on whom to tell when they are old, and until when nobody's silence means that they are not.

Pure: who tells is known by nothing but until when it may be believed. An entry that nobody told of is as good as those who tell of all the others:
so what is asked here on the hot path is one number, the earliest of them (`Relying.good_until_s`), and only when that is over each is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Protocol

from zmcache.core.store import Store

_LEAST_PRUNED: Final = 1000


class Teller(Protocol):
    """One who tells; a session with an owner (`zmcache.peers.following`)."""

    @property
    def good_until_s(self) -> float:
        """Until then what it has not told has not happened."""


class Relying:
    """Of one store. All times are of one clock."""

    __slots__ = ("_keys", "_store", "good_until_s")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: dict[Teller, set[str]] = {}
        self.good_until_s = [math.inf]
        """One number, in a list that is always the same: from then on what relies on anybody is to be looked at before it is given."""

    def __iter__(self) -> Iterator[Teller]:
        return iter(list(self._keys))

    def __contains__(self, teller: Teller) -> bool:
        return teller in self._keys

    def rely(self, teller: Teller, key: str, now_s: float) -> None:
        """``key``, which is in the store, is as good as this one's word."""
        keys = self._keys.get(teller)
        if keys is None:
            keys = self._keys[teller] = set()
            self.heard()
        keys.add(key)
        if len(keys) > 2 * len(self._store) + _LEAST_PRUNED:
            # Of those that were evicted or have ended nobody told us.
            self._keys[teller] = {each for each in keys if self._store.contains(each, now_s)}

    def heard(self) -> None:
        """Some of them are good for longer."""
        self.good_until_s[0] = min((teller.good_until_s for teller in self._keys), default=math.inf)

    def drop(self, teller: Teller, now_s: float) -> int:
        """What relies on this one is not there any more; how much that was."""
        dropped = sum(self._store.delete(key, now_s) for key in self._keys.pop(teller, ()))
        self.heard()
        return dropped

    def drop_silent(self, now_s: float) -> int:
        """The same for all who are not good any more."""
        return sum(self.drop(teller, now_s) for teller in self if now_s >= teller.good_until_s)
