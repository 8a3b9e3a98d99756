"""A write on this node, all of it: where it may not be done, what it changes (`zmcache.changing`), what it ends, and who is sent a copy before the
caller is told (`zmcache.copying`). Whose the key is has been seen to before.
"""

from __future__ import annotations

import math
from typing import Final

from zmcache.core.flight import Outcome, Waiter, failure
from zmcache.core.moving import moves
from zmcache.core.wire import ADD, CAS, COPY, DELETE, DONE, INCR, KEPT, OFFER, PUT, RELEASE, SET, TOUCH, Change
from zmcache.errors import PeerUnavailable
from zmcache.shard import Shard

# What a node does to its own store only when it is sure that no other was written to in its place.
_WRITES: Final = frozenset({SET, ADD, CAS, TOUCH, INCR, DELETE})

# After a standstill. What lay in the sockets meanwhile is read within a fraction of it.
_BACKLOG_S: Final = 1.0


class Writing:
    """The writes of one group to its ``shard``."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._peers = shard.peers
        self._changing = shard.changing
        self._leasing = shard.leasing
        self._copying = shard.copying
        self._strays = shard.strays
        self._clock = shard.clock
        self._is_copied = shard.is_copied
        self._backlog_until_s = -math.inf
        self.sets = self.deletes = self.copies_taken = self.copies_refused = 0

    def stood_still(self) -> None:
        """The node did not run for so long that others may have acknowledged writes in its place."""
        self._backlog_until_s = self._clock() + _BACKLOG_S

    def write(self, change: Change, waiter: Waiter, deadline_s: float, *, ours: bool) -> None:
        """Carry out a change here, and send copies to who is to have one, before the waiter is told. ``ours``: the key is known to be."""
        kind, key = change.kind, change.key
        if kind in _WRITES and self._clock() < self._backlog_until_s:
            # What waited in the sockets while the node stood still may be older than what a stand-in acknowledged meanwhile, and would win
            # over it. Nobody can tell it from what came just now, so both are sent on, to the stand-in.
            waiter(failure(PeerUnavailable("the node stood still until a moment ago")))
            return
        outcome = self.change_local(change)
        done = outcome.error is None and (kind in _WRITES or kind == PUT)
        alone = not self._is_copied and self._peers.is_settled and (ours or self._peers.is_ours(key))
        if not done or alone:
            waiter(outcome)
            return
        # A delete of what is not here is one all the same: another holder may have it.
        copy = self._changing.copy_of(key) if outcome.status == DONE or kind in (INCR, DELETE) else None
        if copy is None:
            waiter(outcome)
        elif kind == PUT:
            self._copying.spread(copy)
            waiter(outcome)
        else:
            self._copying.write(copy, outcome, waiter, deadline_s)
        self._strays.note_written(key)

    def change_local(self, change: Change) -> Outcome:
        """Carry it out here, and send nothing."""
        kind = change.kind
        if kind == PUT:
            return self._leasing.put(change)
        if kind == RELEASE:
            return self._leasing.release(change)
        if kind == COPY:
            return self._take_copy(change)
        if kind == OFFER:
            wanted = self._changing.wants(change.key, change.token)
            return Outcome(None, DONE if wanted else KEPT, 0.0)
        self.sets += kind != DELETE
        self.deletes += kind == DELETE
        outcome = self._changing.apply(change)
        # A cas that came too late, say, is no reason for a fill to be lost.
        if moves(kind, outcome.status):
            self._shard.fence(change.key)
        return outcome

    def _take_copy(self, copy: Change) -> Outcome:
        outcome = self._changing.take_copy(copy)
        if outcome.status == DONE:
            # No load that began before may store its result over it, no fill is to end with an older value, no hot copy stays.
            self._shard.fence(copy.key)
            self.copies_taken += 1
            self._strays.note_written(copy.key)
        else:
            self.copies_refused += 1
        return outcome
