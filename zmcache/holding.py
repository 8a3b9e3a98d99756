"""What a node holds of a group: the store, the hot copies, the versions and leases beside them, and what ends what. Knows nothing of loads but that
they have to be fenced: the way of a request is `zmcache.group`, which is made of this.

Whoever changes, clears, moves or hands over what is held does it here; nothing here asks another node, but for the copies that it is sent.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from zmcache.changing import Changing
from zmcache.copying import Copying
from zmcache.core.audience import Audience
from zmcache.core.clearing import clear
from zmcache.core.flight import Flights, Outcome
from zmcache.core.hot import HotCache
from zmcache.core.lives import Lives
from zmcache.core.marks import Held, Marked
from zmcache.core.moving import moves
from zmcache.core.relying import Teller
from zmcache.core.settings import GroupSettings
from zmcache.core.store import Store
from zmcache.core.sweep import Sweep
from zmcache.core.tagging import Tagging
from zmcache.core.tidying import tidy
from zmcache.core.versions import Versions
from zmcache.core.wire import (
    COPY,
    DELETE,
    DONE,
    KEPT,
    OFFER,
    PUT,
    RELEASE,
    Change,
    Limits,
)
from zmcache.explaining import Explaining
from zmcache.invalidating import Invalidating
from zmcache.leasing import Leasing
from zmcache.peering import Peers

# After a standstill. What lay in the sockets meanwhile is read within a fraction of it.
_BACKLOG_S: Final = 1.0

# All nodes have the latest ring by then.
_RINGS_AGREE_S: Final = 1.0
_STRAYS_MOST: Final = 10_000
# Of those beyond it, it is forgotten that they are another's: they are given as if they were this node's own.
_LENT_MOST: Final = 100_000


class HeldGroup:
    """See the module's docstring."""

    def __init__(
        self,
        name: str,
        settings: GroupSettings,
        limits: Limits,
        peers: Peers,
        *,
        random: Callable[[], float],
        clock: Callable[[], float],
        versions: Versions | None,
    ) -> None:
        """``versions``: the node's, one for all its groups; None: of its own."""
        self.name = name
        self.settings = settings
        self.limits = limits
        self._peers = peers
        self.clock = self._clock = clock
        self._loop = asyncio.get_running_loop()
        hot_bytes = int(settings.budget_bytes * settings.hot_share)
        self._store = Store(settings.budget_bytes - hot_bytes, settings.policy, settings.item_share)
        self._hot = HotCache(hot_bytes, settings.hot_ttl_s)
        self._lives = Lives(settings, random)
        self._loads = Flights()
        self._asks = Flights()
        self._sweep = Sweep(self._store, self._stays, self._loop.call_later, clock, self._sweep_again)
        self._versions = versions or Versions(name, time.time(), time.monotonic)
        self._tagging = tagging = Tagging(self._store)
        self.tags = Invalidating(self, tagging, self._versions)
        self._changing = Changing(name, self._store, self._lives, self._versions, tagging, clock)
        self._audience: Audience | None = None
        self._copying = Copying(
            name,
            peers,
            settings.copies,
            settings.acks,
            self._changing.renewed,
            self._changing.remember,
            self._loop.time,
        )
        self._copied = settings.copies > 1
        if self._copied:
            self._changing.remember_ended()
        self._leasing = Leasing(
            self,
            self._versions.next,
            beta=settings.refresh_beta,
            max_leases=settings.max_queued,
            random=random,
            clock=clock,
            loop_time=self._loop.time,
            call_later=self._loop.call_later,
        )
        self.explaining = Explaining(
            name, peers, self._store, tagging, self._hot, self._changing, self._leasing, self._versions, self._loads, self._asks, clock
        )  # fmt: skip
        """Tells what is known here of a key, and is told what to remember for that."""
        self._doubts = self._sets = self._deletes = self._taken = self._refused = 0
        self._backlog_until_s = -math.inf
        self._sweeps_again = False
        self._strays: dict[str, float] = {}  # when they came
        self._lent: dict[str, float] = {}  # the same, of what is held in the place of others

    # -- reading and changing ------------------------------------------------------------------------------------

    def get_local(self, keys: list[str], now_s: float) -> tuple[list[Held | None], list[float], list[int]]:
        """What is held here (None: nothing), expiries on the monotonic clock, and the positions that hot copies filled.

        About 0.3 us a key. What is no plain value (`zmcache.core.marks`) is for `found`.
        """
        values, expiries = self._store.get_many(keys, now_s)
        if self._lent:
            for at, key in enumerate(keys):
                if values[at] is not None and self._is_behind(key, now_s):
                    values[at] = None
        return values, expiries, self._hot.fill(keys, values, expiries, now_s)

    def _is_behind(self, key: str, now_s: float) -> bool:
        """Whether what is held of ``key`` was written here in the place of another, and for so long ago that those who are to hold it are asked first
        (others may have been using them since, and what these write does not come here).
        """
        came_s = self._lent.get(key)
        if came_s is None:
            return False
        if self._peers.holds(key, self.settings.copies):
            del self._lent[key]
            return False
        # Where none of them can be reached it is better than nothing.
        return now_s - came_s > self.settings.moved_ttl_s and self._peers.reaches_holder(key, self.settings.copies)

    def change_local(self, change: Change) -> Outcome:
        """Carry it out here."""
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
        self._sets += kind != DELETE
        self._deletes += kind == DELETE
        outcome = self._changing.apply(change)
        # A cas that came too late, say, is no reason for a fill to be lost.
        if moves(kind, outcome.status):
            self.fence(change.key)
        return outcome

    def clock_moved(self) -> None:
        """For tests: the clock jumped ahead, and what waits by the loop's own time is to notice."""
        self._leasing.look_all()

    def lookup(self, key: str) -> tuple[Held, float] | None:
        """For leases: what is held here of ``key`` now, and until when."""
        return self._store.lookup(key, self._clock())

    def hides(self, key: str, mark: Marked) -> bool:
        """For leases: whether what is held is to be taken for nothing, by its tags."""
        return self._tagging.hides(key, mark)

    def is_old(self, change: Change) -> bool:
        """For leases: whether what a caller has made is old, by its tags, before it is stored."""
        # Made of what was there when the lease was granted, and a lease's token is the version of that moment.
        return self._tagging.is_old(change.tags, change.token)

    def keep(self, change: Change) -> Outcome:
        """For leases: store what a caller has made."""
        # No load that began before may store its result over it, and no hot copy stays; its own lease has ended.
        self.fence(change.key)
        return self._changing.keep(change._replace(stamp=change.token))

    def _take_copy(self, copy: Change) -> Outcome:
        outcome = self._changing.take_copy(copy)
        if outcome.status == DONE:
            # No load that began before may store its result over it, no fill is to end with an older value, no hot copy stays.
            self.fence(copy.key)
            self._taken += 1
            self._note_written(copy.key)
        else:
            self._refused += 1
        return outcome

    def _is_kept(self, key: str) -> bool:
        """Whether this node is to hold ``key``, for itself or in the place of one who is away."""
        copies = self.settings.copies
        return self._peers.holds(key, copies) or self._peers.is_in_charge(key, copies)

    def _note_written(self, key: str) -> None:
        """It was written here."""
        copies = self.settings.copies
        if self._peers.holds(key, copies):
            self._lent.pop(key, None)
            return
        _note(self._lent, key, self._clock(), _LENT_MOST)
        if not self._peers.is_in_charge(key, copies):
            self._note_stray(key)

    def _note_stray(self, key: str) -> None:
        """It was written here, and is another's. This node's ring may be the older one, or the sender's: if it is not to hold the key after a while
        either, it lets go.
        """
        _note(self._strays, key, self._clock(), _STRAYS_MOST)
        self.let_go()

    def _stays(self, key: str) -> bool:
        """Whether a sweep leaves ``key``: it is to be held here, or came so lately that this node's ring may be the one that is behind."""
        if self._is_kept(key):
            return True
        # Not told by its version: the clock of who wrote it may be ahead by any time.
        is_new = self._clock() - self._strays.get(key, -math.inf) < _RINGS_AGREE_S
        self._sweeps_again = self._sweeps_again or is_new
        return is_new

    def _sweep_again(self) -> None:
        since_s = self._clock() - _RINGS_AGREE_S
        self._strays = {key: came_s for key, came_s in self._strays.items() if came_s > since_s}
        if self._sweeps_again:
            self._sweeps_again = False
            self._sweep.begin(_RINGS_AGREE_S, self._peers.holder(self.settings.copies))

    @property
    def audience(self) -> Audience:
        """Who wants to hear what becomes of keys here. A group that nobody has asked this of pays nothing for it."""
        if self._audience is None:
            self._audience = Audience(self.name)
            self._changing.on_change = self._audience.changed
        return self._audience

    def fence(self, key: str) -> None:
        """No flight or fill that began before this moment stores its result, and no copy of the key stays."""
        self._loads.fence(key)
        self._asks.fence(key)
        if len(self._leasing):
            self._leasing.overtake(key)
        if len(self._hot):
            self._hot.delete(key, self._clock())

    # -- from those who own what is copied here -----------------------------------------------------------------------

    def copies_are_old(self, keys: list[str]) -> None:
        """These have other values, or none, at their owner."""
        for key in keys:
            # Its answer may be of before, and come after this.
            self._asks.fence(key)
        self._hot.hear(keys, self._clock())

    def all_copies_are_old(self, teller: Teller) -> None:
        """The group was emptied there."""
        self._asks.fence_all()
        self._hot.lose(teller, self._clock())

    def copies_are_lost(self, teller: Teller) -> None:
        """Something may not have been told by this one."""
        self._hot.lose(teller, self._clock())

    def owners_changed(self) -> None:
        """Keys have other owners than those who were asked to tell of them."""
        self._hot.lose_all(self._clock())

    def copies_are_good(self) -> None:
        """Some who tell have been heard of."""
        self._hot.relying.heard()

    def clear(self, done: Callable[[], None], version: int) -> None:
        """Forget all that is here and no newer than ``version``, in slices; then call ``done``. What is being loaded or filled meanwhile is not
        stored.
        """
        self._loads.fence_all()
        self._asks.fence_all()
        self._leasing.clear()
        self._changing.clear(version)
        self._lent.clear()
        if self._audience is not None:
            done = partial(_both, self._audience.cleared, done)
        clear(self._hot, self._clock, self._loop.call_later, lambda: None)
        clear(self._store, self._clock, self._loop.call_later, done, version)

    def on_tag_old(self, tag: str) -> None:
        """All with this tag that was set before now is old."""
        if self._audience is not None:
            self._audience.tag_old(tag)

    def on_tags_old(self) -> None:
        """So is some that has any tag."""
        if self._audience is not None:
            self._audience.tag_old(None)

    # -- the ring moves, and what is regular ------------------------------------------------------------------------

    def ring_changed(self, *, lease_lost: bool = False) -> None:
        """Who waits for a fill of what is another's now asks there. ``lease_lost``: others may have been written to in this node's place.

        What is being loaded meanwhile is kept briefly: it may have been read before the set that this node did not hear of. What is not to
        be held here any more stays until it has been handed over: whoever does that calls `let_go`.
        """
        self._doubts += lease_lost
        if not lease_lost:
            self._sweep.stop()  # until what moves now has been handed over
        self._leasing.ring_changed(self._peers.is_ours)

    def let_go(self) -> None:
        """In ``moved_ttl`` remove, in slices, what this node is not to hold then. Its life is not touched: if the ring gives it back it is whole."""
        # What the ring gives to others from now on stays until then, even if a sweep for an earlier ring comes before that.
        self._sweep.begin(self.settings.moved_ttl_s, self._peers.holder(self.settings.copies))

    def stood_still(self) -> None:
        """The node did not run for so long that others may have acknowledged writes in its place."""
        self._backlog_until_s = self._clock() + _BACKLOG_S
        self.ring_changed(lease_lost=True)

    def take_used(self) -> list[str]:
        """Some of the keys that were read here since the last time it was asked."""
        return self._store.take_used()

    def note_used(self, keys: list[str]) -> None:
        """These keys are in use at their owner: what is held of them here is not to be evicted as if nobody wanted it."""
        self._store.get_many(keys, self._clock())

    # -- for handing over -------------------------------------------------------------------------------------------

    @property
    def copies(self) -> int:
        """How many nodes are to hold each key."""
        return self.settings.copies

    def visit_held(self, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
        """The next keys that are held here, then those that are known to be deleted, and the cursor for the next call (None: that was all)."""
        if cursor is None or cursor >= 0:
            keys, after = self._store.visit(cursor, limit)
            return keys, -1 if after is None else after
        keys = self._changing.gone(-1 - cursor, limit)
        after = cursor - len(keys) if keys else None
        # What is held has been visited: a key that comes twice would cancel itself out in a digest.
        now_s = self._clock()
        return [key for key in keys if not self._store.contains(key, now_s)], after

    def version_of(self, key: str) -> int:
        """What is held here of ``key``, or known of its delete; 0: nothing."""
        return self._changing.version_of(key)

    def has_ended(self, key: str) -> bool:
        """Whether what was held of ``key`` is not, and was not deleted."""
        return not self._store.contains(key, self._clock()) and not self._changing.tombstones.version_of(key)

    def copy_of(self, key: str) -> Change | None:
        """What is to be sent of ``key``; None: nothing."""
        copy = self._changing.copy_of(key)
        if copy is not None and copy.tags and self._audience is not None:
            self._audience.note_tags(key, copy.tags)
        return copy

    def resize(self, budget_bytes: int) -> None:
        """Another budget from now on. To a smaller one the group comes down as it is tidied."""
        self.settings = msgspec.structs.replace(self.settings, budget_bytes=budget_bytes)
        hot_bytes = int(budget_bytes * self.settings.hot_share)
        self._store.resize(budget_bytes - hot_bytes)
        self._hot.resize(hot_bytes)

    def tidy(self, until_s: float) -> bool:
        """Free what has expired, and evict what a smaller budget has no room for, until about that time of the monotonic clock;
        True when there is more.
        """
        return tidy((self._store, self._hot), self._clock, until_s)


def _note(notes: dict[str, float], key: str, now_s: float, most: int) -> None:
    notes.pop(key, None)
    notes[key] = now_s
    while len(notes) > most:
        del notes[next(iter(notes))]


def _both(first: Callable[[], None], then: Callable[[], None]) -> None:
    first()
    then()
