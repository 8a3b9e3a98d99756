"""Loading here what its owner should have loaded: the last resort, when neither the owner nor its stand-in can be asked.

Where this node is the stand-in, or has just become the owner, it loads at once; else loads are paced by a token bucket, first by a wait and
then by `Busy`, so that a dead node does not become a storm on the backend. A fallback ends with the flight that it is for: when the last
waiter of that has gone, its wait for a turn ends, and so does its part in the load.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from zmcache.core.flight import Flight, Flights, Outcome, Waiter, failure
from zmcache.core.pacing import TokenBucket
from zmcache.core.timers import CallLater
from zmcache.errors import Busy

MAX_WAIT_S: Final = 1.0  # for a turn: a third of the time that a call has by default


class Fallback:
    """For the flights of one group that asked elsewhere in vain, which ``asks`` holds. ``load`` joins or starts the load of a flight's key."""

    def __init__(
        self,
        asks: Flights,
        load: Callable[[Flight, Waiter], Flight],
        *,
        max_loads: int,
        clock: Callable[[], float],
        call_later: CallLater,
    ) -> None:
        self.loads = 0
        self._asks = asks
        self._load = load
        self._clock = clock
        self._call_later = call_later
        self._pace = TokenBucket(rate=4.0 * max_loads, burst=float(max_loads))
        self._give_up: dict[Flight, Callable[[], object]] = {}

    def begin(self, flight: Flight, *, at_once: bool) -> None:
        """Load for ``flight`` and land it with what comes: ``at_once``, or in its turn."""
        wait_s = 0.0 if at_once else self._pace.take(self._clock(), MAX_WAIT_S)
        if wait_s is None:
            self._asks.land(
                flight, failure(Busy("the owner cannot be reached and too many keys are being loaded in its place"))
            )
        elif wait_s > 0:
            self._give_up[flight] = self._call_later(wait_s, partial(self._begin, flight)).cancel
        else:
            self._begin(flight)

    def abandon(self, flight: Flight) -> None:
        """The last waiter of ``flight`` has gone."""
        give_up = self._give_up.pop(flight, None)
        if give_up is not None:
            give_up()

    def _begin(self, flight: Flight) -> None:
        self._give_up.pop(flight, None)
        if flight.landed:  # the group has been closed meanwhile
            return
        self.loads += 1

        def landed(outcome: Outcome) -> None:
            self._give_up.pop(flight, None)
            self._asks.land(flight, outcome)

        load = self._load(flight, landed)
        if not load.landed:
            self._give_up[flight] = partial(load.leave, landed)
