"""What is held here of keys that are others' to hold: written here in their place, or left when the ring moved.

- What was written here in the place of others is *lent*. Once they may have been written to themselves, they are asked first, and what is here is
  given where they have nothing or cannot be reached.
- What the ring has moved away stays until who holds it now has been given it; whoever sees to that calls `let_go`, and after ``moved_ttl`` it is
  removed, in slices (`zmcache.core.sweep`). If the ring gives it back before, it is whole.
- What has just come stays for a moment whatever the ring says: it may be this node's ring that is behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from zmcache.core.settings import GroupSettings
from zmcache.core.store import Store
from zmcache.core.sweep import Sweep
from zmcache.core.timers import CallLater
from zmcache.peering import Peers

# All nodes have the latest ring by then.
_RINGS_AGREE_S: Final = 1.0
_NEW_MOST: Final = 10_000
# Of those beyond it, it is forgotten that they are another's: they are given as if they were this node's own.
_LENT_MOST: Final = 100_000


class Strays:
    """Those of one group, whose ``store`` they are in."""

    def __init__(
        self, store: Store, peers: Peers, settings: GroupSettings, clock: Callable[[], float], call_later: CallLater
    ) -> None:
        self._peers = peers
        self._copies = settings.copies
        self._moved_ttl_s = settings.moved_ttl_s
        self._clock = clock
        self._sweep = Sweep(store, self._stays, call_later, clock, self._sweep_again)
        self._sweeps_again = False
        self._new: dict[str, float] = {}  # when they came
        self.lent: dict[str, float] = {}
        """The same, of what is held in the place of others. While it is empty nothing `is_behind`."""

    @property
    def removed(self) -> int:
        """How many have been."""
        return self._sweep.removed

    def is_kept(self, key: str) -> bool:
        """Whether this node is to hold ``key``, for itself or in the place of one who is away."""
        return self._peers.holds(key, self._copies) or self._peers.is_in_charge(key, self._copies)

    def is_behind(self, key: str, now_s: float) -> bool:
        """Whether what is held of ``key`` was written here in the place of another, and for so long ago that those who are to hold it are asked first
        (others may have been using them since, and what these write does not come here).
        """
        came_s = self.lent.get(key)
        if came_s is None:
            return False
        if self._peers.holds(key, self._copies):
            del self.lent[key]
            return False
        # Where none of them can be reached it is better than nothing.
        return now_s - came_s > self._moved_ttl_s and self._peers.reaches_holder(key, self._copies)

    def note_written(self, key: str) -> None:
        """It was written here."""
        if self._peers.holds(key, self._copies):
            self.lent.pop(key, None)
            return
        now_s = self._clock()
        _note(self.lent, key, now_s, _LENT_MOST)
        if not self._peers.is_in_charge(key, self._copies):
            # This node's ring may be the older one, or the sender's: if it is not to hold the key after a while either, it lets go.
            _note(self._new, key, now_s, _NEW_MOST)
            self.let_go()

    def stop(self) -> None:
        """Remove nothing until `let_go`: what moves now has not been handed over."""
        self._sweep.stop()

    def let_go(self) -> None:
        """In ``moved_ttl`` remove, in slices, what this node is not to hold then. Its life is not touched: if the ring gives it back it is whole."""
        # What the ring gives to others from now on stays until then, even if a sweep for an earlier ring comes before that.
        self._sweep.begin(self._moved_ttl_s, self._peers.holder(self._copies))

    def clear(self) -> None:
        """All that was written is forgotten."""
        self.lent.clear()

    def _stays(self, key: str) -> bool:
        """Whether a sweep leaves ``key``: it is to be held here, or came so lately that this node's ring may be the one that is behind."""
        if self.is_kept(key):
            return True
        # Not told by its version: the clock of who wrote it may be ahead by any time.
        is_new = self._clock() - self._new.get(key, -math.inf) < _RINGS_AGREE_S
        self._sweeps_again = self._sweeps_again or is_new
        return is_new

    def _sweep_again(self) -> None:
        since_s = self._clock() - _RINGS_AGREE_S
        self._new = {key: came_s for key, came_s in self._new.items() if came_s > since_s}
        if self._sweeps_again:
            self._sweeps_again = False
            self._sweep.begin(_RINGS_AGREE_S, self._peers.holder(self._copies))


def _note(notes: dict[str, float], key: str, now_s: float, most: int) -> None:
    notes.pop(key, None)
    notes[key] = now_s
    while len(notes) > most:
        del notes[next(iter(notes))]
