"""A group: a named cache with its own budget, expiry, policy and loader; and the way of a request, which stands here once.

1. Look in the store, then among the hot copies. A hit ends here: no task, no lock, no allocation beyond the answer.
2. Join the key's flight if there is one; else start it. Waiters are shielded from one another; work is given up only when its last waiter has gone.
3. In the flight, look in the store again: another flight may have ended a moment ago.
4. Not ours: ask the owner (`Peers.ask`: one hop, then its stand-in). An answer is passed on, an error among them; only when nobody could be
   asked, load here: at once where this node is the stand-in, else paced (`Fallback`), so that a dead node does not become a storm on the backend.
   The hot copies take in what is popular (`HotCache`), unless a set or a delete has fenced the flight.
5. Ours: load (`Loading`); store the result unless a set or a delete has fenced the flight, and for a short time only where the ring has moved
   or the lease was lost (`Lives`).
6. What a peer forwarded is never forwarded again: it is answered from the store, from a load under way here, or loaded here.
   It joins only flights that *load*; a flight that *asks* another node is none of its business, so two nodes that
   disagree cannot wait for each other.
7. When the ring moves a key away, what is held of it becomes a short-lived copy (`ring_changed`, `Sweep`).

A group knows no socket and no node: who owns what, and how to ask, is the `Peers` it was given. Everything here runs on one event loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from zmcache.core.fallback import Fallback
from zmcache.core.flight import Flight, Flights, Outcome, Waiter, failure
from zmcache.core.hot import HotCache
from zmcache.core.lives import Lives
from zmcache.core.settings import GroupSettings, GroupStatistics
from zmcache.core.store import Store
from zmcache.core.sweep import Sweep
from zmcache.core.tidying import tidy
from zmcache.core.wire import DONE, FROM_HOT, FROM_OWNER, NO_SUCH_KEY, NOT_THERE, SET, Limits
from zmcache.errors import Busy, PeerUnavailable, ValueTooLarge
from zmcache.loading import Loader, Loading

# After a standstill. What lay in the sockets meanwhile is read within a fraction of it.
_BACKLOG_S: Final = 1.0

# "No such key" is remembered as this very object: compared by identity, so a loader may well return equal bytes.
ABSENT: Final = bytes(bytearray(b"\x00no such key"))


class Peers(Protocol):
    """What a group needs to know of the other nodes."""

    @property
    def ring_token(self) -> object:
        """Changes its identity whenever the ring changes."""

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives ``key`` to this node."""

    def stands_in(self, key: str) -> bool:
        """Whether this node is the next owner of ``key``, the one that loads while the owner cannot be reached."""

    def ask(self, group: str, key: str, deadline_s: float, on_answer: Waiter) -> None:
        """Get ``key`` from its owner or the owner's stand-in. `PeerUnavailable` in the outcome: nobody could be asked."""

    def write(
        self, kind: int, group: str, key: str, value: bytes, ttl_ms: int, deadline_s: float, on_answer: Waiter
    ) -> None:
        """Set or delete ``key`` at its owner, else at its stand-in. `PeerUnavailable` in the outcome: nobody could be asked."""


class LocalGroup:
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
    ) -> None:
        self.name = name
        self.settings = settings
        self.limits = limits
        self._peers = peers
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        hot_bytes = int(settings.budget_bytes * settings.hot_share)
        self._store = Store(settings.budget_bytes - hot_bytes, settings.policy, settings.item_share)
        self._hot = HotCache(hot_bytes, settings.hot_ttl_s)
        self._lives = Lives(settings, random)
        self._loads = Flights()
        self._asks = Flights()
        self._fallback = Fallback(
            self._asks, self._load_instead,
            max_loads=settings.max_loads, clock=clock, call_later=self._loop.call_later,
        )  # fmt: skip
        self._sweep = Sweep(self._store, peers.is_ours, self._loop.call_later)
        self._doubts = self._sets = self._deletes = 0
        self._backlog_until_s = -math.inf
        self._loading = None if loader is None else Loading(
            loader,
            self._loaded,
            load_timeout_s=settings.load_timeout_s,
            max_loads=settings.max_loads,
            max_queued=settings.max_queued,
            max_value_bytes=limits.value_bytes,
        )  # fmt: skip

    # -- steps 1 and 2 ---------------------------------------------------------------------------------------------

    def get_local(self, keys: list[str], now_s: float) -> tuple[list[bytes | None], list[float], list[int]]:
        """Values (None where it is not here), expiries on the monotonic clock, and the positions that hot copies filled.

        About 0.3 us a key. `ABSENT` stands for a remembered "no such key".
        """
        values, expiries = self._store.get_many(keys, now_s)
        return values, expiries, self._hot.fill(keys, values, expiries, now_s)

    def begin(self, key: str, waiter: Waiter, deadline_s: float, *, forwarded: bool) -> Flight:
        """Join the flight of a key that is not here, or start it. The waiter may be called before this returns."""
        flight = self._loads.get(key)
        if flight is None and not forwarded:
            flight = self._asks.get(key)
        if flight is not None:
            flight.join(waiter)
            return flight
        if forwarded or self._peers.is_ours(key):
            flight = self._loads.start(key, self._trust(), self._abandon_load)
            flight.join(waiter)
            self._load(flight)
        else:
            flight = self._asks.start(key, None, self._abandon_ask)
            flight.join(waiter)
            self._ask(flight, deadline_s)
        return flight

    # -- steps 3 to 5 ----------------------------------------------------------------------------------------------

    def _load(self, flight: Flight) -> None:
        entry = self._store.lookup(flight.key, self._clock())
        if entry is not None:
            self._loads.land(flight, hit(*entry, hot=False))
        elif self._loading is None:
            # Without a loader a key that is not here is gone or was never set, and nobody can know better. A stand-in says so too,
            # though an owner that is merely out of reach may hold the key: a node that was killed fails no read (P7), and a miss is
            # what a cache may always give. It has no life, so that nobody remembers it once the owner is back.
            self._loads.land(flight, Outcome(None, NO_SUCH_KEY, 0.0))
        else:
            try:
                self._loading.add(flight)
            except (Busy, PeerUnavailable) as error:
                self._loads.land(flight, failure(error))

    def _abandon_load(self, flight: Flight) -> None:
        if self._loading is not None:
            for given_up in self._loading.abandon(flight):
                self._loads.abandon(given_up)

    def _loaded(self, flight: Flight, outcome: Outcome) -> None:
        if outcome.error is None:
            # A load that began under another ring or before a doubt, or a key that is not ours, may miss a set elsewhere: keep it briefly.
            briefly = flight.token != self._trust() or not self._peers.is_ours(flight.key)
            life_s = self._lives.of_loaded(absent=outcome.status == NO_SUCH_KEY, briefly=briefly)
            now_s = self._clock()
            outcome = outcome._replace(expires_at_s=now_s + life_s)
            if not flight.fenced and life_s > 0:
                value = ABSENT if outcome.value is None else outcome.value
                self._store.set(flight.key, value, outcome.expires_at_s, now_s)
        self._loads.land(flight, outcome)

    def _trust(self) -> tuple[object, int]:
        """What a load must have begun under to be kept for as long as the group keeps values."""
        return self._peers.ring_token, self._doubts

    def _ask(self, flight: Flight, deadline_s: float) -> None:
        # The flight outlives its first caller's deadline: who joins later may have more time.
        until_s = max(deadline_s, self._clock() + self.settings.load_timeout_s)
        self._peers.ask(self.name, flight.key, until_s, lambda outcome: self._answered(flight, outcome))

    def _answered(self, flight: Flight, outcome: Outcome) -> None:
        if isinstance(outcome.error, PeerUnavailable) and not flight.landed and len(flight):
            at_once = self._is_ours_now(flight.key)
            if self._loading is not None or at_once:
                self._fallback.begin(flight, at_once=at_once)
                return
        if outcome.error is None and not flight.fenced:
            value = ABSENT if outcome.value is None else outcome.value
            self._hot.offer(flight.key, value, outcome.expires_at_s, self._clock())
        self._asks.land(flight, outcome)

    def _is_ours_now(self, key: str) -> bool:
        """With the owner out of reach: this node stands in for it, or the ring has just given the key to this node."""
        return self._peers.stands_in(key) or self._peers.is_ours(key)

    def _load_instead(self, key: str, waiter: Waiter) -> Flight:
        # The ring still says that the key is another's. A forwarded request is the one that never asks.
        return self.begin(key, waiter, 0.0, forwarded=True)

    def _abandon_ask(self, flight: Flight) -> None:
        self._asks.abandon(flight)
        self._fallback.abandon(flight)

    # -- set and delete --------------------------------------------------------------------------------------------

    def write(
        self, kind: int, key: str, value: bytes, ttl_ms: int, deadline_s: float, waiter: Waiter, *, forwarded: bool
    ) -> None:
        """Set or delete ``key``, here or at its owner. The waiter may be called before this returns."""
        if forwarded or self._peers.is_ours(key):
            waiter(self._write_local(kind, key, value, ttl_ms))
            return

        def answered(outcome: Outcome) -> None:
            # Again: a fetch that began while the write was under way may have met the old value at the owner.
            self.fence(key)
            if isinstance(outcome.error, PeerUnavailable):
                if self._is_ours_now(key):
                    outcome = self._write_local(kind, key, value, ttl_ms)
            elif outcome.error is None:
                if self._peers.is_ours(key):
                    # The ring gave us the key meanwhile, and where it was written nobody will ask for it any more.
                    self._write_local(kind, key, value, ttl_ms)
                else:
                    # Held of a key of another node, loaded in its place or left from an older ring: it is older than this.
                    self._store.delete(key, self._clock())
            waiter(outcome)

        self.fence(key)
        self._peers.write(kind, self.name, key, value, ttl_ms, deadline_s, answered)

    def _write_local(self, kind: int, key: str, value: bytes, ttl_ms: int) -> Outcome:
        return self.set_local(key, value, ttl_ms) if kind == SET else self.delete_local(key)

    def set_local(self, key: str, value: bytes, ttl_ms: int) -> Outcome:
        """Store here. ``ttl_ms`` as in a SET frame. What is another's key, or may be older than it looks, is kept briefly."""
        self.fence(key)
        now_s = self._clock()
        # It may have waited here while a stand-in acknowledged a newer one.
        overtaken = now_s < self._backlog_until_s
        life_s = self._lives.of_set(ttl_ms, briefly=overtaken or not self._peers.is_ours(key))
        self._sets += 1
        if not self._store.set(key, value, now_s + life_s, now_s):
            limit = self._store.entry_limit_bytes
            what = f"the value is larger than one of group {self.name} may be"
            return failure(ValueTooLarge(what, size=len(value), limit=limit))
        return Outcome(None, DONE, now_s + life_s)

    def delete_local(self, key: str) -> Outcome:
        """Delete here. DONE where it was there, else NOT_THERE."""
        self.fence(key)
        self._deletes += 1
        now_s = self._clock()
        there = self._store.get(key, now_s)
        self._store.delete(key, now_s)
        return Outcome(None, NOT_THERE if there is None or there is ABSENT else DONE, 0.0)

    def fence(self, key: str) -> None:
        """No flight that began before this moment stores its result, and no copy of the key stays."""
        self._loads.fence(key)
        self._asks.fence(key)
        if len(self._hot):
            self._hot.delete(key, self._clock())

    # -- step 7 and housekeeping -----------------------------------------------------------------------------------

    def ring_changed(self, *, lease_lost: bool = False) -> None:
        """Shorten, in slices, the lives of what is not ours any more; of everything after a lost lease.

        What is being loaded meanwhile is kept as briefly: it may have been read before the set that this node did not hear of.
        """
        self._doubts += lease_lost
        self._sweep.begin(self._clock() + self.settings.moved_ttl_s, everything=lease_lost)

    def stood_still(self) -> None:
        """The node did not run for so long that others may have acknowledged writes in its place."""
        self._backlog_until_s = self._clock() + _BACKLOG_S
        self.ring_changed(lease_lost=True)

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
            evictions=store.evictions, expirations=store.expirations, refused=store.refused,
        )  # fmt: skip

    async def aclose(self) -> None:
        """Give up what is under way; everyone who waits is told."""
        self._sweep.stop()
        if self._loading is not None:
            await self._loading.aclose()
        stopping = failure(PeerUnavailable("the node is stopping"))
        self._asks.land_all(stopping)
        self._loads.land_all(stopping)


def hit(value: bytes, expires_at_s: float, *, hot: bool) -> Outcome:
    """The outcome of finding ``value`` in memory."""
    if value is ABSENT:
        return Outcome(None, NO_SUCH_KEY, expires_at_s)
    return Outcome(value, FROM_HOT if hot else FROM_OWNER, expires_at_s)
