"""A group: a named cache with its own budget, expiry, policy and loader; and the way of a request, which stands here once.

1. Look in the store, then among the hot copies. A hit ends here: no task, no lock, no allocation beyond the answer.
2. Join the key's flight if there is one; else start it. Waiters are shielded from one another; work is given up only when its last waiter has gone.
3. In the flight, look in the store again: another flight may have ended a moment ago.
4. Not ours: ask the owner (`Peers.ask`: one hop, then its stand-in). An answer is passed on, an error among them; only when nobody could be
   asked, load here: at once where this node is the stand-in, else paced (`Fallback`), so that a dead node does not become a storm on the backend.
   Of a key of which there are copies, none of them in reach, who can ask another node is told so instead.
   The hot copies take in what is popular (`HotCache`), unless a set or a delete has fenced the flight.
5. Ours: load (`Loading`); store the result unless a set or a delete has fenced the flight, and for a short time only where the ring has moved
   or the lease was lost (`Lives`). The others that are to hold it get a copy (`Copying`). Where the ring has given us the key a moment ago, its
   former owner is asked before the loader: it may have it, or be loading it.
6. What a peer forwarded is never forwarded again: it is answered from the store, from a load under way here, or loaded here.
   It joins only flights that *load*; a flight that *asks* another node is none of its business, so two nodes that
   disagree cannot wait for each other.
7. When the ring has moved a key away, and who holds it now has been given it (`zmcache.node.handover`), what is held of it here is still
   there for a short time, and then removed (`let_go`, `Sweep`).

Where the asker makes the value itself, steps 4 and 5 are the owner's lease in place of its loader: `zmcache.leasing`. What a change does at the
owner stands in `zmcache.changing`.

A group knows no socket and no node: who owns what, and how to ask, is the `Peers` it was given. Everything here runs on one event loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from zmcache.core.fallback import Fallback
from zmcache.core.flight import Flight, Outcome, Waiter, failure
from zmcache.core.marks import ABSENT, Held, Marked, marked, read_mark
from zmcache.core.moving import moves
from zmcache.core.settings import GroupSettings, GroupStatistics
from zmcache.core.tokens import token_of
from zmcache.core.versions import Versions
from zmcache.core.wire import (
    ADD,
    CAS,
    COPY,
    DELETE,
    DONE,
    FILL,
    FROM_HOT,
    FROM_LOADER,
    FROM_OWNER,
    GET,
    GETS,
    INCR,
    IS_NONE,
    NO_SUCH_KEY,
    NOT_THERE,
    OFFER,
    PUT,
    RELEASE,
    SET,
    TOUCH,
    Change,
    Limits,
)
from zmcache.errors import Busy, DeadlineExceeded, PeerUnavailable
from zmcache.holding import HeldGroup
from zmcache.loading import Loader, Loading
from zmcache.peering import Leavable, Peers

# What a node does to its own store only when it is sure that no other was written to in its place.
_WRITES: Final = frozenset({SET, ADD, CAS, TOUCH, INCR, DELETE})

OUT_OF_REACH: Final = failure(PeerUnavailable("none of those who hold the key can be reached from here"))
"""For who can ask another node: perhaps that one can."""

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
        super().__init__(name, settings, limits, peers, random=random, clock=clock, versions=versions)
        self._refreshes = 0
        self._fallback = Fallback(
            self._asks, self._load_instead,
            max_loads=settings.max_loads, clock=clock, call_later=self._loop.call_later,
        )  # fmt: skip
        self._loading = None if loader is None else Loading(
            loader,
            self._loaded,
            load_timeout_s=settings.load_timeout_s,
            max_loads=settings.max_loads,
            max_queued=settings.max_queued,
            max_value_bytes=limits.value_bytes,
        )  # fmt: skip

    # -- steps 1 and 2 ---------------------------------------------------------------------------------------------

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
            if self._audience is not None:
                self._audience.note_tags(key, mark.tags)
            if self._tagging.hides(key, mark):
                return None
        # No load brings tags: to load it anew early would lose them.
        elif not fills and not hot and self._loading is not None:
            self._refresh_early(key, mark, now_s)
        return self._leasing.of_mark(key, mark, now_s, hot=hot, fills=fills)

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
        flight = self._loads.get(key)
        if flight is None and not forwarded:
            flight = self._asks.get(key)
        if flight is not None:
            flight.last = flight.last or last
            flight.join(waiter)
            return flight
        is_ours = forwarded or self._peers.is_ours(key)
        self.explaining.missed(key, is_ours=is_ours)
        if is_ours:
            flight = self._loads.start(key, self._trust(), self._abandon_load)
            flight.trace, flight.last = trace, last
            flight.join(waiter)
            self._load(flight, deadline_s, source)
        else:
            flight = self._asks.start(key, None, self._abandon_ask)
            flight.trace, flight.last = trace, last
            flight.join(waiter)
            self._ask(flight, deadline_s)
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
        entry = self._store.peek(key, now_s := self._clock())
        if entry is not None and entry[0] is not ABSENT:
            held, expires_at_s, version = entry
            known = self.found(key, held, expires_at_s, now_s, hot=True)
            if known is not None:
                status = IS_NONE if known.value is None else FROM_OWNER
                waiter(
                    Outcome(known.value, status, min(known.expires_at_s, expires_at_s), None, version, known.has_tags)
                )
                return None
        flight = self._loads.get(key)
        if flight is not None and flight.loads:
            flight.join(waiter)
            return flight
        waiter(Outcome(None, NO_SUCH_KEY, 0.0))
        return None

    # -- steps 3 to 5 ----------------------------------------------------------------------------------------------

    def _load(self, flight: Flight, deadline_s: float, source: object) -> None:
        now_s = flight.began_s = self._clock()
        flight.version = self._version_of_load(flight.key)
        entry = self._store.lookup(flight.key, now_s)
        known = None if entry is None else self.found(flight.key, *entry, now_s, hot=False)
        # What may be behind is told only where those who are to hold the key have nothing.
        behind = known if self._lent and self._is_behind(flight.key, now_s) else None
        if known is not None and behind is None:
            self._loads.land(flight, known)
            return
        copies, window_s = self.settings.copies, self.settings.moved_ttl_s
        until_s = self._loop.time() + self.settings.load_timeout_s
        if not self._peers.ask_former(
            self.name,
            flight.key,
            copies,
            window_s,
            until_s,
            lambda outcome: self._peeked(flight, outcome, source, behind),
        ):
            if behind is not None:
                self._loads.land(flight, behind)
            else:
                self._load_now(flight, deadline_s, source)

    def _peeked(self, flight: Flight, outcome: Outcome, source: object, behind: Outcome | None) -> None:
        """The former owner has answered. What it has is as good as loaded here; anything else is no answer. ``behind``: what is held here."""
        if flight.landed or not len(flight):
            return  # given up meanwhile
        if outcome.error is None and (outcome.status <= FROM_LOADER or outcome.status == IS_NONE):
            now_s = self._clock()
            held = marked(Marked(outcome.value))
            # What has tags comes with them when it is handed over, and is not to be kept without.
            if not flight.fenced and not outcome.has_tags:
                self._changing.keep_loaded(flight.key, held, outcome.expires_at_s, outcome.token or flight.version)
            self._loads.land(flight, outcome._replace(expires_at_s=max(now_s, outcome.expires_at_s), token=0))
        elif behind is not None:
            self._loads.land(flight, behind)
        else:
            # Others who have more time may have joined by now.
            self._load_now(flight, math.inf, source)

    def _load_now(self, flight: Flight, deadline_s: float, source: object) -> None:
        if self._copied and not flight.last and not self._peers.would_know(flight.key, self.settings.copies):
            # Those who hold it may have gone out of reach while they were asked: from elsewhere they may not be.
            self._loads.land(flight, OUT_OF_REACH)
            return
        flight.loads = True
        if self._loading is None:
            # Without a loader a key that is not here is gone or was never set, and nobody can know better. A stand-in says so too,
            # though an owner that is merely out of reach may hold the key: a node that was killed fails no read (P7), and a miss is
            # what a cache may always give. It has no life, so that nobody remembers it once the owner is back.
            self._loads.land(flight, Outcome(None, NO_SUCH_KEY, 0.0))
        else:
            try:
                self._loading.add(flight, deadline_s, source)
            except (Busy, PeerUnavailable) as error:
                self._loads.land(flight, failure(error))

    def _abandon_load(self, flight: Flight) -> None:
        if not flight.loads:
            self._loads.abandon(flight)
        elif self._loading is not None:
            for given_up in self._loading.abandon(flight):
                self._loads.abandon(given_up)

    def _loaded(self, flight: Flight, outcome: Outcome) -> None:
        if outcome.error is None:
            self.explaining.loaded(flight.key, flight.began_s)
            # A load that began under another ring or before a doubt, or a key that is not ours, may miss a set elsewhere: keep it briefly.
            briefly = flight.token != self._trust() or not self._peers.holds(flight.key, self.settings.copies)
            life_s = self._lives.of_loaded(absent=outcome.status == NO_SUCH_KEY, briefly=briefly)
            now_s = self._clock()
            outcome = outcome._replace(expires_at_s=now_s + life_s)
            if not flight.fenced and life_s > 0:
                held: Held = ABSENT if outcome.value is None else outcome.value
                if self.settings.refresh_beta and outcome.value is not None:
                    held = marked(Marked(outcome.value, outcome.expires_at_s, 0.0, now_s - flight.began_s))
                kept = self._changing.keep_loaded(flight.key, held, outcome.expires_at_s, flight.version)
                if kept and held is not ABSENT and (self._copied or not self._peers.is_settled):
                    self._spread(flight.key)
        self._loads.land(flight, outcome)

    def _spread(self, key: str) -> None:
        copy = self._changing.copy_of(key)
        if copy is not None:
            self._copying.spread(copy)

    def _refresh_early(self, key: str, mark: Marked, now_s: float) -> None:
        """Load a popular value anew shortly before its end, behind whoever asks for it now (XFetch, see `zmcache.leasing`)."""
        fresh = now_s < mark.fresh_until_s
        if (
            not fresh
            or self._loading is None
            or not self._leasing.is_due(mark.fresh_until_s, mark.took_s, now_s)
            or not self._peers.is_ours(key)
            or self._loads.get(key) is not None
        ):
            return
        flight = self._loads.start(key, self._trust(), None)
        flight.began_s = now_s
        flight.version = self._version_of_load(key)
        self._refreshes += 1
        try:
            self._loading.add(flight)
        except (Busy, PeerUnavailable) as error:
            self._loads.land(flight, failure(error))

    def _version_of_load(self, key: str) -> int:
        # What was set elsewhere while this node could not know of it is not to be undone by a load: that is no write, however late it comes.
        return self._versions.next() if self._peers.sees_all(key, self.settings.copies) else 0

    def _trust(self) -> tuple[object, int]:
        """What a load must have begun under to be kept for as long as the group keeps values."""
        return self._peers.ring_token, self._doubts

    def _ask(self, flight: Flight, deadline_s: float) -> None:
        # The flight outlives its first caller's deadline: who joins later may have more time.
        until_s = max(deadline_s, self._loop.time() + self.settings.load_timeout_s)

        def answered(outcome: Outcome) -> None:
            if isinstance(outcome.error, DeadlineExceeded) and self._loop.time() >= until_s:
                # Once those whose time is up as well have left.
                self._loop.call_soon(self._ask_on, flight, outcome)
            else:
                self._answered(flight, outcome)

        keeps = self._hot.wants(flight.key, self._clock())
        flight.token = self._peers.ask(self.name, flight.key, until_s, answered, flight.trace, keeps=keeps)

    def _ask_on(self, flight: Flight, late: Outcome) -> None:
        """The question's time is over, and so its first caller's. Who joined later has a time of its own, and leaves when that is up."""
        if len(flight):
            self._ask(flight, 0.0)
        else:
            self._asks.land(flight, late)

    def _answered(self, flight: Flight, outcome: Outcome) -> None:
        if isinstance(outcome.error, PeerUnavailable) and not flight.landed and len(flight):
            at_once = self._is_ours_now(flight.key)
            if self._loading is not None or at_once:
                self._fallback.begin(flight, at_once=at_once)
                return
        # This node hears of tags that are invalidated, but not which tags this has.
        if outcome.error is None and not flight.fenced and not outcome.has_tags:
            held = ABSENT if outcome.status == NO_SUCH_KEY else marked(Marked(outcome.value))
            self._hot.offer(flight.key, held, outcome.expires_at_s, self._clock(), outcome.teller)
        self._asks.land(flight, outcome)

    def _is_ours_now(self, key: str) -> bool:
        """With the owner out of reach: this node stands in for it, or the ring has just given the key to this node."""
        return self._peers.stands_in(key) or self._peers.is_ours(key)

    def _load_instead(self, flight: Flight, waiter: Waiter) -> Flight:
        # The ring still says that the key is another's. A forwarded request is the one that never asks.
        return self.begin(flight.key, waiter, math.inf, forwarded=True, last=flight.last)

    def _abandon_ask(self, flight: Flight) -> None:
        self._asks.abandon(flight)
        self._peers.give_up(flight.token)
        self._fallback.abandon(flight)

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
                return self._leasing.fill(change, deadline_s, waiter)
            if kind == GETS:
                return self._gets(key, waiter, deadline_s, forwarded=forwarded, trace=trace)
            self._write(change, waiter, deadline_s, ours=not forwarded)
            return None
        if kind in _NO_CHANGE:
            asked = self._peers.change(self.name, change, deadline_s, waiter, trace)
            return _Asked(self._peers, asked)

        def answered(outcome: Outcome) -> None:
            # Again: a fetch that began while the change was under way may have met the old value at the owner.
            if moves(kind, outcome.status):
                self.fence(key)
            if isinstance(outcome.error, PeerUnavailable):
                if self._is_ours_now(key):
                    self._write(change, waiter, deadline_s, ours=False)
                    return
            elif outcome.error is None:
                if self._peers.is_ours(key) and (kind in (SET, DELETE)):
                    # The ring gave us the key meanwhile, and where it was written nobody will ask for it any more.
                    self._write(change, waiter, deadline_s, ours=True)
                    return
                if not self._is_kept(key):
                    # Held of a key of another node, loaded in its place or left from an older ring: it is older than this.
                    self._store.delete(key, self._clock())
            waiter(outcome)

        if moves(kind, NOT_THERE):
            self.fence(key)
        self._peers.change(self.name, change, deadline_s, answered, trace)
        return None

    def _write(self, change: Change, waiter: Waiter, deadline_s: float, *, ours: bool) -> None:
        """Carry out a change here, and send copies to who is to have one, before the waiter is told. ``ours``: the key is known to be."""
        kind, key = change.kind, change.key
        if kind in _WRITES and self._clock() < self._backlog_until_s:
            # What waited in the sockets while the node stood still may be older than what a stand-in acknowledged meanwhile, and would win
            # over it. Nobody can tell it from what came just now, so both are sent on, to the stand-in.
            waiter(failure(PeerUnavailable("the node stood still until a moment ago")))
            return
        outcome = self.change_local(change)
        done = outcome.error is None and (kind in _WRITES or kind == PUT)
        alone = not self._copied and self._peers.is_settled and (ours or self._peers.is_ours(key))
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
        self._note_written(key)

    def _gets(
        self, key: str, waiter: Waiter, deadline_s: float, *, forwarded: bool, trace: str | None
    ) -> Leavable | None:
        entry = self.lookup(key)
        known = None if entry is None else self.found(key, *entry, self._clock(), hot=False)

        def told(outcome: Outcome) -> None:
            if outcome.status <= FROM_LOADER or outcome.status == IS_NONE:
                outcome = outcome._replace(token=token_of(outcome.value))
            waiter(outcome)

        if known is not None:
            told(known)
            return None
        return _Joined(self.begin(key, told, deadline_s, forwarded=True, trace=trace), told)

    # -- all together -----------------------------------------------------------------------------------------------

    def statistics(self) -> GroupStatistics:
        """A frozen snapshot."""
        store, hot, loading = self._store.statistics(), self._hot.statistics(), self._loading
        return GroupStatistics(
            hits=store.hits, hot_hits=hot.hits, misses=self._loads.started + self._asks.started,
            loads=loading.loaded_keys if loading else 0, loader_calls=loading.loader_calls if loading else 0,
            load_failures=loading.failed_keys if loading else 0, loading=len(self._loads),
            queued=loading.queued if loading else 0, asked=self._asks.started, fallback_loads=self._fallback.loads if loading else 0,
            sets=self._sets, deletes=self._deletes, entries=store.entries, used_bytes=store.used_bytes,
            budget_bytes=self.settings.budget_bytes, hot_entries=hot.entries, hot_bytes=hot.used_bytes,
            hot_told_old=self._hot.told_old, hot_lost=self._hot.lost,
            evictions=store.evictions, expirations=store.expirations, let_go=self._sweep.removed, refused=store.refused,
            leases=self._leasing.granted, leases_expired=self._leasing.expired, leases_overtaken=self._leasing.overtaken,
            refreshes=self._refreshes, copies_sent=self._copying.sent, copies_failed=self._copying.failed, copies_taken=self._taken,
            copies_refused=self._refused, tombstones=len(self._changing.tombstones), tombstones_dropped=self._changing.tombstones.dropped,
        )  # fmt: skip

    async def aclose(self) -> None:
        """Give up what is under way; everyone who waits is told."""
        self._sweep.stop()
        if self._loading is not None:
            await self._loading.aclose()
        stopping = failure(PeerUnavailable("the node is stopping"))
        self._leasing.close()
        self._asks.land_all(stopping)
        self._loads.land_all(stopping)


class _Joined:
    """The way out of a flight that was joined by another waiter than the one who leaves."""

    __slots__ = ("_flight", "_joined_by")

    def __init__(self, flight: Flight, joined_by: Waiter) -> None:
        self._flight, self._joined_by = flight, joined_by

    def leave(self, waiter: Waiter) -> None:
        """Stop waiting; no effect after the answer."""
        self._flight.leave(self._joined_by)


class _Asked:
    """A waiter's way out of what another node was asked."""

    __slots__ = ("_asked", "_peers")

    def __init__(self, peers: Peers, asked: object) -> None:
        self._peers, self._asked = peers, asked

    def leave(self, waiter: Waiter) -> None:
        """Stop waiting."""
        self._peers.give_up(self._asked)
