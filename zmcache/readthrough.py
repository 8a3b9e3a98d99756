"""Loads by this node: of a key that is not here and is its own, or that it was asked for as if it were. Step 5 of `zmcache.group`.

Before the loader is asked who may have the key already: its former owner, where the ring has given it to this node a moment ago. What comes of a
load is kept unless a set or a delete has fenced it, has the version of the moment in which it began, and is passed on to the others that are to hold
it. Of what may miss a set elsewhere it is kept only briefly, or gives way to any write.

A popular value is loaded anew shortly before its end, behind whoever asks for it then (XFetch, see `zmcache.leasing`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from zmcache.core.flight import Flight, Outcome, Waiter, failure
from zmcache.core.marks import ABSENT, Held, Marked, marked
from zmcache.core.wire import FROM_LOADER, IS_NONE, NO_SUCH_KEY, Limits
from zmcache.errors import Busy, PeerUnavailable
from zmcache.loading import Loader, Loading
from zmcache.shard import Shard

OUT_OF_REACH: Final = failure(PeerUnavailable("none of those who hold the key can be reached from here"))
"""For who can ask another node: perhaps that one can."""


class ReadThrough:
    """The loads of one group, which its ``shard`` keeps."""

    def __init__(self, shard: Shard, loader: Loader | None, limits: Limits) -> None:
        settings = shard.settings
        self._shard = shard
        self._settings = settings
        self._peers = shard.peers
        self._flights = shard.loads
        self._changing = shard.changing
        self._clock = shard.clock
        self._doubts = 0
        self.refreshes = 0
        self.loading = None if loader is None else Loading(
            loader,
            self._loaded,
            load_timeout_s=settings.load_timeout_s,
            max_loads=settings.max_loads,
            max_queued=settings.max_queued,
            max_value_bytes=limits.value_bytes,
        )  # fmt: skip
        """The queue in front of the loader; None: there is no loader."""

    def begin(self, key: str, waiter: Waiter, *, trace: str | None, last: bool) -> Flight:
        """A flight of its own for ``key``, of which there is none; what is to be done for it is `load`."""
        flight = self._start(key, self._clock(), self._abandon)
        flight.trace, flight.last = trace, last
        flight.join(waiter)
        return flight

    def load(self, flight: Flight, known: Outcome | None, deadline_s: float, source: object) -> None:
        """Bring what it was begun for. ``known``: what a look in the store has found since; ``source``: whose turn it is."""
        key, now_s, strays = flight.key, flight.began_s, self._shard.strays
        # What may be behind is told only where those who are to hold the key have nothing.
        behind = known if strays.lent and strays.is_behind(key, now_s) else None
        if known is not None and behind is None:
            self._flights.land(flight, known)
            return
        copies, window_s = self._settings.copies, self._settings.moved_ttl_s
        until_s = self._shard.loop.time() + self._settings.load_timeout_s
        if not self._peers.ask_former(
            self._shard.name,
            key,
            copies,
            window_s,
            until_s,
            lambda outcome: self._peeked(flight, outcome, source, behind),
        ):
            if behind is not None:
                self._flights.land(flight, behind)
            else:
                self._load_now(flight, deadline_s, source)

    def refresh_early(self, key: str, mark: Marked, now_s: float) -> None:
        """Who asks now has this: perhaps it is time to load it anew."""
        fresh = now_s < mark.fresh_until_s
        if (
            not fresh
            or self.loading is None
            or not self._shard.leasing.is_due(mark.fresh_until_s, mark.took_s, now_s)
            or not self._peers.is_ours(key)
            or self._flights.get(key) is not None
        ):
            return
        flight = self._start(key, now_s, None)
        self.refreshes += 1
        try:
            self.loading.add(flight)
        except (Busy, PeerUnavailable) as error:
            self._flights.land(flight, failure(error))

    def doubt(self) -> None:
        """Others may have been written to in this node's place: what is being loaded may have been read before a set that it did not hear of."""
        self._doubts += 1

    async def aclose(self) -> None:
        """Close the loader; see `Loading.aclose`."""
        if self.loading is not None:
            await self.loading.aclose()

    # -- the way of a load -----------------------------------------------------------------------------------------

    def _start(self, key: str, now_s: float, on_abandoned: Callable[[Flight], None] | None) -> Flight:
        flight = self._flights.start(key, self._trust(), on_abandoned)
        flight.began_s = now_s
        # What was set elsewhere while this node could not know of it is not to be undone by a load: that is no write, however late it comes.
        sees_all = self._peers.sees_all(key, self._settings.copies)
        flight.version = self._shard.versions.next() if sees_all else 0
        return flight

    def _trust(self) -> tuple[object, int]:
        """What a load must have begun under to be kept for as long as the group keeps values."""
        return self._peers.ring_token, self._doubts

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
            self._flights.land(flight, outcome._replace(expires_at_s=max(now_s, outcome.expires_at_s), token=0))
        elif behind is not None:
            self._flights.land(flight, behind)
        else:
            # Others who have more time may have joined by now.
            self._load_now(flight, math.inf, source)

    def _load_now(self, flight: Flight, deadline_s: float, source: object) -> None:
        if self._shard.is_copied and not flight.last and not self._peers.would_know(flight.key, self._settings.copies):
            # Those who hold it may have gone out of reach while they were asked: from elsewhere they may not be.
            self._flights.land(flight, OUT_OF_REACH)
            return
        flight.loads = True
        if self.loading is None:
            # Without a loader a key that is not here is gone or was never set, and nobody can know better. A stand-in says so too,
            # though an owner that is merely out of reach may hold the key: a node that was killed fails no read (P7), and a miss is
            # what a cache may always give. It has no life, so that nobody remembers it once the owner is back.
            self._flights.land(flight, Outcome(None, NO_SUCH_KEY, 0.0))
        else:
            try:
                self.loading.add(flight, deadline_s, source)
            except (Busy, PeerUnavailable) as error:
                self._flights.land(flight, failure(error))

    def _abandon(self, flight: Flight) -> None:
        if not flight.loads:
            self._flights.abandon(flight)
        elif self.loading is not None:
            for given_up in self.loading.abandon(flight):
                self._flights.abandon(given_up)

    def _loaded(self, flight: Flight, outcome: Outcome) -> None:
        if outcome.error is None:
            self._shard.explaining.loaded(flight.key, flight.began_s)
            # A load that began under another ring or before a doubt, or a key that is not ours, may miss a set elsewhere: keep it briefly.
            briefly = flight.token != self._trust() or not self._peers.holds(flight.key, self._settings.copies)
            life_s = self._shard.lives.of_loaded(absent=outcome.status == NO_SUCH_KEY, briefly=briefly)
            now_s = self._clock()
            outcome = outcome._replace(expires_at_s=now_s + life_s)
            if not flight.fenced and life_s > 0:
                held: Held = ABSENT if outcome.value is None else outcome.value
                if self._settings.refresh_beta and outcome.value is not None:
                    held = marked(Marked(outcome.value, outcome.expires_at_s, 0.0, now_s - flight.began_s))
                kept = self._changing.keep_loaded(flight.key, held, outcome.expires_at_s, flight.version)
                if kept and held is not ABSENT and (self._shard.is_copied or not self._peers.is_settled):
                    self._spread(flight.key)
        self._flights.land(flight, outcome)

    def _spread(self, key: str) -> None:
        copy = self._changing.copy_of(key)
        if copy is not None:
            self._shard.copying.spread(copy)
