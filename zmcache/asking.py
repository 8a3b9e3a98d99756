"""Asking the owner of a key that is another node's: one hop, then its stand-in. Step 4 of `zmcache.group`.

An answer is passed on, an error among them, and of what is popular a copy is kept (`HotCache`), unless a set or a delete has fenced the flight. Only
when nobody could be asked is the key loaded here (`Fallback`): at once where this node stands in for the owner or has just become it.
"""

from __future__ import annotations

from zmcache.core.fallback import Fallback
from zmcache.core.flight import Flight, Outcome, Waiter
from zmcache.core.marks import ABSENT, Marked, marked
from zmcache.core.wire import NO_SUCH_KEY
from zmcache.errors import DeadlineExceeded, PeerUnavailable
from zmcache.peering import is_ours_now
from zmcache.shard import Shard


class Asking:
    """What one group asks of others; its ``shard`` keeps what is under way. Without a loader (``has_loader``) only who stands in for the
    owner can do anything in its place.
    """

    def __init__(self, shard: Shard, fallback: Fallback, *, has_loader: bool) -> None:
        self._shard = shard
        self._peers = shard.peers
        self._flights = shard.asks
        self._fallback = fallback
        self._has_loader = has_loader

    def begin(self, key: str, waiter: Waiter, deadline_s: float, *, trace: str | None, last: bool) -> Flight:
        """Ask for ``key``, which is under way to nobody here."""
        flight = self._flights.start(key, None, self._abandon)
        flight.trace, flight.last = trace, last
        flight.join(waiter)
        self._ask(flight, deadline_s)
        return flight

    def _ask(self, flight: Flight, deadline_s: float) -> None:
        # The flight outlives its first caller's deadline: who joins later may have more time.
        shard = self._shard
        loop = shard.loop
        until_s = max(deadline_s, loop.time() + shard.settings.load_timeout_s)

        def answered(outcome: Outcome) -> None:
            if isinstance(outcome.error, DeadlineExceeded) and loop.time() >= until_s:
                # Once those whose time is up as well have left.
                loop.call_soon(self._ask_on, flight, outcome)
            else:
                self._answered(flight, outcome)

        keeps = shard.hot.wants(flight.key, shard.clock())
        flight.token = self._peers.ask(shard.name, flight.key, until_s, answered, flight.trace, keeps=keeps)

    def _ask_on(self, flight: Flight, late: Outcome) -> None:
        """The question's time is over, and so its first caller's. Who joined later has a time of its own, and leaves when that is up."""
        if len(flight):
            self._ask(flight, 0.0)
        else:
            self._flights.land(flight, late)

    def _answered(self, flight: Flight, outcome: Outcome) -> None:
        if isinstance(outcome.error, PeerUnavailable) and not flight.landed and len(flight):
            at_once = is_ours_now(self._peers, flight.key)
            if self._has_loader or at_once:
                self._fallback.begin(flight, at_once=at_once)
                return
        # This node hears of tags that are invalidated, but not which tags this has.
        if outcome.error is None and not flight.fenced and not outcome.has_tags:
            held = ABSENT if outcome.status == NO_SUCH_KEY else marked(Marked(outcome.value))
            self._shard.hot.offer(flight.key, held, outcome.expires_at_s, self._shard.clock(), outcome.teller)
        self._flights.land(flight, outcome)

    def _abandon(self, flight: Flight) -> None:
        self._flights.abandon(flight)
        self._peers.give_up(flight.token)
        self._fallback.abandon(flight)
