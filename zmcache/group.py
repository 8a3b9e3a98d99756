"""A group: a named cache with its own budget, expiry, policy and loader; and the way of a request, which stands here once.

1. Look in the store, then among the hot copies. A hit ends here: no task, no lock, no allocation beyond the answer.
2. Join the key's flight if there is one; else start it. Waiters are shielded from one another; work is given up only when its last waiter has gone.
3. In the flight, look in the store again: another flight may have ended a moment ago.
4. Not ours: ask the owner (`Asking`: one hop, then its stand-in). An answer is passed on, an error among them; only when nobody could be
   asked, load here: at once where this node is the stand-in, else paced (`Fallback`), so that a dead node does not become a storm on the backend.
   Of a key of which there are copies, none of them in reach, who can ask another node is told so instead.
   The hot copies take in what is popular (`HotCache`), unless a set or a delete has fenced the flight.
5. Ours: load (`ReadThrough`); store the result unless a set or a delete has fenced the flight, and for a short time only where the ring has moved
   or the lease was lost (`Lives`). The others that are to hold it get a copy (`Copying`). Where the ring has given us the key a moment ago, its
   former owner is asked before the loader: it may have it, or be loading it.
6. What a peer forwarded is never forwarded again: it is answered from the store, from a load under way here, or loaded here.
   It joins only flights that *load*; a flight that *asks* another node is none of its business, so two nodes that
   disagree cannot wait for each other.
7. When the ring has moved a key away, and who holds it now has been given it (`zmcache.node.handover`), what is held of it here is still
   there for a short time, and then removed (`Strays`).

Where the asker makes the value itself, steps 4 and 5 are the owner's lease in place of its loader: `zmcache.leasing`. What a change does at the
owner stands in `zmcache.writing`.

A group knows no socket and no node: who owns what, and how to ask, is the `Peers` it was given. Everything here runs on one event loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from zmcache.asking import Asking
from zmcache.core.fallback import Fallback
from zmcache.core.flight import Flight, Joined, Outcome, Waiter, failure
from zmcache.core.marks import ABSENT, Held, read_mark
from zmcache.core.moving import moves
from zmcache.core.settings import GroupSettings, GroupStatistics
from zmcache.core.tokens import token_of
from zmcache.core.versions import Versions
from zmcache.core.wire import (
    COPY,
    DELETE,
    FILL,
    FROM_HOT,
    FROM_LOADER,
    FROM_OWNER,
    GET,
    GETS,
    IS_NONE,
    NO_SUCH_KEY,
    NOT_THERE,
    OFFER,
    PUT,
    RELEASE,
    SET,
    Change,
    Limits,
)
from zmcache.errors import PeerUnavailable
from zmcache.holding import HeldGroup
from zmcache.loading import Loader
from zmcache.peering import Asked, Leavable, Peers, is_ours_now
from zmcache.readthrough import ReadThrough
from zmcache.shard import Shard
from zmcache.writing import Writing

# What moves no value: who waits for one goes on waiting.
_NO_CHANGE: Final = frozenset({GETS, FILL, PUT, RELEASE})


class LocalGroup(HeldGroup):
    """The algorithm. `zmcache.calls.Group` adds the awaitable calls; nodes serve the wire from here."""

    def __init__(
        self,
        name: str,
        settings: GroupSettings,
        limits: Limits,
        peers: Peers,
        *,
        loader: Loader | None,
        random: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        versions: Versions | None = None,
    ) -> None:
        """``versions``: the node's, one for all its groups; None: of its own."""
        shard = Shard(name, settings, peers, random=random, clock=clock, versions=versions)
        super().__init__(shard)
        self.limits = limits
        self._loop = shard.loop
        self._peers = peers
        self._read_through = ReadThrough(shard, loader, limits)
        self._fallback = Fallback(
            shard.asks, self._load_instead,
            max_loads=settings.max_loads, clock=clock, call_later=self._loop.call_later,
        )  # fmt: skip
        self._asking = Asking(shard, self._fallback, has_loader=loader is not None)
        self._writing = Writing(shard)

    # -- steps 1 and 2 ---------------------------------------------------------------------------------------------

    def get_local(self, keys: list[str], now_s: float) -> tuple[list[Held | None], list[float], list[int]]:
        """What is held here (None: nothing), expiries on the monotonic clock, and the positions that hot copies filled.

        About 0.3 us a key. What is no plain value (`zmcache.core.marks`) is for `found`.
        """
        shard = self._shard
        values, expiries = shard.store.get_many(keys, now_s)
        if shard.strays.lent:
            for at, key in enumerate(keys):
                if values[at] is not None and shard.strays.is_behind(key, now_s):
                    values[at] = None
        return values, expiries, shard.hot.fill(keys, values, expiries, now_s)

    def found(
        self, key: str, held: Held, expires_at_s: float, now_s: float, *, hot: bool, fills: bool = False
    ) -> Outcome | None:
        """What is told to who finds this; None: it is as if nothing were here. ``fills``: the asker makes what is missing."""
        if isinstance(held, bytes):
            return Outcome(held, FROM_HOT if hot else FROM_OWNER, expires_at_s)
        if held is ABSENT:
            return None if fills else Outcome(None, NO_SUCH_KEY, expires_at_s)
        mark = read_mark(held, expires_at_s)
        if mark.tags:
            if self._shard.audience is not None:
                self._shard.audience.note_tags(key, mark.tags)
            if self._shard.tagging.hides(key, mark):
                return None
        # No load brings tags: to load it anew early would lose them.
        elif not fills and not hot and self._read_through.loading is not None:
            self._read_through.refresh_early(key, mark, now_s)
        return self._shard.leasing.of_mark(key, mark, now_s, hot=hot, fills=fills)

    def begin(
        self,
        key: str,
        waiter: Waiter,
        deadline_s: float,
        *,
        forwarded: bool,
        trace: str | None = None,
        source: object = None,
        last: bool = True,
    ) -> Flight:
        """Join the flight of a key that is not here, or start it. The waiter may be called before this returns. ``source``: whose turn
        it is where many wait to be loaded. ``last``: who asks has nobody else to ask.
        """
        flight = self._shard.loads.get(key)
        if flight is None and not forwarded:
            flight = self._shard.asks.get(key)
        if flight is not None:
            flight.last = flight.last or last
            flight.join(waiter)
            return flight
        is_ours = forwarded or self._peers.is_ours(key)
        self.explaining.missed(key, is_ours=is_ours)
        if not is_ours:
            return self._asking.begin(key, waiter, deadline_s, trace=trace, last=last)
        flight = self._read_through.begin(key, waiter, trace=trace, last=last)
        # Step 3.
        entry = self._shard.store.lookup(key, flight.began_s)
        known = None if entry is None else self.found(key, *entry, flight.began_s, hot=False)
        self._read_through.load(flight, known, deadline_s, source)
        return flight

    def peek(self, key: str, waiter: Waiter, deadline_s: float, *, forwarded: bool) -> None:
        """For an asker who fills, of what `get_local` has not found: nothing is loaded, but the owner is asked."""
        is_ours = forwarded or self._peers.is_ours(key)
        self.explaining.missed(key, is_ours=is_ours)
        if is_ours:
            waiter(Outcome(None, NO_SUCH_KEY, 0.0))
        else:
            self._peers.change(self.name, Change(GET, key), deadline_s, waiter, None)

    def peek_here(self, key: str, waiter: Waiter) -> Flight | None:
        """For a node that has been given the key a moment ago: what is held here, with its version, or the load that is under way. None is begun.

        A flight that asks elsewhere itself is not joined: two nodes that take each other for the former owner would wait for each other.
        """
        entry = self._shard.store.peek(key, now_s := self.clock())
        if entry is not None and entry[0] is not ABSENT:
            held, expires_at_s, version = entry
            known = self.found(key, held, expires_at_s, now_s, hot=True)
            if known is not None:
                status = IS_NONE if known.value is None else FROM_OWNER
                waiter(
                    Outcome(known.value, status, min(known.expires_at_s, expires_at_s), None, version, known.has_tags)
                )
                return None
        flight = self._shard.loads.get(key)
        if flight is not None and flight.loads:
            flight.join(waiter)
            return flight
        waiter(Outcome(None, NO_SUCH_KEY, 0.0))
        return None

    def _load_instead(self, flight: Flight, waiter: Waiter) -> Flight:
        # The ring still says that the key is another's. A forwarded request is the one that never asks.
        return self.begin(flight.key, waiter, math.inf, forwarded=True, last=flight.last)

    # -- changes ---------------------------------------------------------------------------------------------------

    def change(
        self, change: Change, deadline_s: float, waiter: Waiter, *, forwarded: bool, trace: str | None = None
    ) -> Leavable | None:
        """Carry out any request but a GET, here or at the key's owner. The waiter may be called before this returns; if it is not, it
        can leave what is returned, unless that is None.
        """
        kind, key = change.kind, change.key
        if forwarded or kind in (COPY, OFFER) or self._peers.is_ours(key):
            if kind == FILL:
                return self._shard.leasing.fill(change, deadline_s, waiter)
            if kind == GETS:
                return self._gets(key, waiter, deadline_s, forwarded=forwarded, trace=trace)
            self._writing.write(change, waiter, deadline_s, ours=not forwarded)
            return None
        if kind in _NO_CHANGE:
            asked = self._peers.change(self.name, change, deadline_s, waiter, trace)
            return Asked(self._peers, asked)

        def answered(outcome: Outcome) -> None:
            # Again: a fetch that began while the change was under way may have met the old value at the owner.
            if moves(kind, outcome.status):
                self._shard.fence(key)
            if isinstance(outcome.error, PeerUnavailable):
                if is_ours_now(self._peers, key):
                    self._writing.write(change, waiter, deadline_s, ours=False)
                    return
            elif outcome.error is None:
                if self._peers.is_ours(key) and (kind in (SET, DELETE)):
                    # The ring gave us the key meanwhile, and where it was written nobody will ask for it any more.
                    self._writing.write(change, waiter, deadline_s, ours=True)
                    return
                if not self._shard.strays.is_kept(key):
                    # Held of a key of another node, loaded in its place or left from an older ring: it is older than this.
                    self._shard.store.delete(key, self.clock())
            waiter(outcome)

        if moves(kind, NOT_THERE):
            self._shard.fence(key)
        self._peers.change(self.name, change, deadline_s, answered, trace)
        return None

    def _gets(
        self, key: str, waiter: Waiter, deadline_s: float, *, forwarded: bool, trace: str | None
    ) -> Leavable | None:
        entry = self._shard.lookup(key)
        known = None if entry is None else self.found(key, *entry, self.clock(), hot=False)

        def told(outcome: Outcome) -> None:
            if outcome.status <= FROM_LOADER or outcome.status == IS_NONE:
                outcome = outcome._replace(token=token_of(outcome.value))
            waiter(outcome)

        if known is not None:
            told(known)
            return None
        return Joined(self.begin(key, told, deadline_s, forwarded=True, trace=trace), told)

    # -- all together -----------------------------------------------------------------------------------------------

    def ring_changed(self, *, lease_lost: bool = False) -> None:
        """Who waits for a fill of what is another's now asks there. ``lease_lost``: others may have been written to in this node's place.

        What is being loaded meanwhile is kept briefly: it may have been read before the set that this node did not hear of. What is not to
        be held here any more stays until it has been handed over: whoever does that calls `let_go`.
        """
        if lease_lost:
            self._read_through.doubt()
        else:
            self._shard.strays.stop()
        self._shard.leasing.ring_changed(self._peers.is_ours)

    def stood_still(self) -> None:
        """The node did not run for so long that others may have acknowledged writes in its place."""
        self._writing.stood_still()
        self.ring_changed(lease_lost=True)

    def statistics(self) -> GroupStatistics:
        """A frozen snapshot."""
        shard, writing, loading, fallback = self._shard, self._writing, self._read_through.loading, self._fallback
        store, hot = shard.store.statistics(), shard.hot.statistics()
        leasing, copying, tombstones = shard.leasing, shard.copying, shard.changing.tombstones
        return GroupStatistics(
            hits=store.hits, hot_hits=hot.hits, misses=shard.loads.started + shard.asks.started,
            loads=loading.loaded_keys if loading else 0, loader_calls=loading.loader_calls if loading else 0,
            load_failures=loading.failed_keys if loading else 0, loading=len(shard.loads),
            queued=loading.queued if loading else 0, asked=shard.asks.started, fallback_loads=fallback.loads if loading else 0,
            sets=writing.sets, deletes=writing.deletes, entries=store.entries, used_bytes=store.used_bytes,
            budget_bytes=self.settings.budget_bytes, hot_entries=hot.entries, hot_bytes=hot.used_bytes,
            hot_told_old=shard.hot.told_old, hot_lost=shard.hot.lost,
            evictions=store.evictions, expirations=store.expirations, let_go=shard.strays.removed, refused=store.refused,
            leases=leasing.granted, leases_expired=leasing.expired, leases_overtaken=leasing.overtaken,
            refreshes=self._read_through.refreshes, copies_sent=copying.sent, copies_failed=copying.failed,
            copies_taken=writing.copies_taken, copies_refused=writing.copies_refused,
            tombstones=len(tombstones), tombstones_dropped=tombstones.dropped,
        )  # fmt: skip

    async def aclose(self) -> None:
        """Give up what is under way; everyone who waits is told."""
        shard = self._shard
        shard.strays.stop()
        await self._read_through.aclose()
        stopping = failure(PeerUnavailable("the node is stopping"))
        shard.leasing.close()
        shard.asks.land_all(stopping)
        shard.loads.land_all(stopping)
