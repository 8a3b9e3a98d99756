"""Coalescing: one flight a key, and everyone else who wants that key waits for it.

A flight is only the list of those who wait and what may be done with the result; whoever starts it does the work and ends it with `land`.
Waiters are plain callables, so that a request from the wire waits without a task or a future. The rules that hold here:

- one waiter leaving never touches another; only when the last has gone is `on_abandoned` called, once;
- a flight leaves its table before its waiters hear of the result, so that a waiter that asks again starts anew;
- a *fenced* flight is out of its table, so nobody joins it any more, and its result must not be stored: a set or a delete overtook it.

(groupcache's singleflight leaves a key poisoned when the load panics; here the table is emptied before anything else can fail.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from zmcache.core.relying import Teller
from zmcache.errors import ZmcacheError


class Outcome(NamedTuple):
    """How asking for a key ended.

    ``status`` is one of the statuses of zmcache.core.wire; ``value`` is what stands beside it there; ``expires_at_s`` is on
    the monotonic clock (inf: never); ``error`` is set when and only when the status is an error's code. ``token`` is that of the
    value or of the lease, where it was asked for, else 0. ``has_tags``: who does not know them may not keep it. ``teller``: who tells this
    node when it is old; None: nobody.
    """

    value: bytes | None
    status: int
    expires_at_s: float
    error: ZmcacheError | None = None
    token: int = 0
    has_tags: bool = False
    teller: Teller | None = None


Waiter: TypeAlias = Callable[[Outcome], None]


class Flight:
    """One key's work under way. `token` is the starter's own note, such as the ring it began under; `trace` the first caller's traceparent.

    `version` is that of a load's result: the moment in which it began (0: it gives way to any write). `loads`: the loader is at work on it. `last`:
    somebody waits who has nobody else to ask.
    """

    __slots__ = (
        "_on_abandoned",
        "_waiters",
        "began_s",
        "fenced",
        "key",
        "landed",
        "last",
        "loads",
        "token",
        "trace",
        "version",
    )

    def __init__(self, key: str, token: object, on_abandoned: Callable[[Flight], None] | None) -> None:
        self.key = key
        self.token = token
        self.fenced = False
        self.landed = False
        self.trace: str | None = None
        self.began_s = 0.0
        self.version = 0
        self.loads = False
        self.last = False
        self._on_abandoned = on_abandoned
        self._waiters: dict[Waiter, None] = {}

    def join(self, waiter: Waiter) -> None:
        """Wait for the result. Each waiter must be a callable of its own."""
        self._waiters[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """Stop waiting; no effect after the flight has landed."""
        if self.landed or waiter not in self._waiters:
            return
        del self._waiters[waiter]
        if not self._waiters and self._on_abandoned is not None:
            self._on_abandoned(self)

    def __len__(self) -> int:
        return len(self._waiters)


class Joined:
    """The way out of a flight that was joined by another waiter than the one who leaves."""

    __slots__ = ("_flight", "_joined_by")

    def __init__(self, flight: Flight, joined_by: Waiter) -> None:
        self._flight, self._joined_by = flight, joined_by

    def leave(self, waiter: Waiter) -> None:
        """Stop waiting; no effect after the answer."""
        self._flight.leave(self._joined_by)


class Flights:
    """The flights of one kind of work, by key."""

    __slots__ = ("_table", "started")

    def __init__(self) -> None:
        self._table: dict[str, Flight] = {}
        self.started = 0

    def get(self, key: str) -> Flight | None:
        """The flight of ``key`` that can be joined, if there is one."""
        return self._table.get(key)

    def start(self, key: str, token: object, on_abandoned: Callable[[Flight], None] | None = None) -> Flight:
        """Begin a flight. The caller has looked: there is none of that key."""
        flight = self._table[key] = Flight(key, token, on_abandoned)
        self.started += 1
        return flight

    def fence(self, key: str) -> None:
        """A set or a delete of ``key`` has happened: who waits still gets the result, nobody joins, nothing is stored."""
        flight = self._table.pop(key, None)
        if flight is not None:
            flight.fenced = True

    def fence_all(self) -> None:
        """The same for every key."""
        for key in list(self._table):
            self.fence(key)

    def abandon(self, flight: Flight) -> None:
        """Nobody waits and the work was given up. Whatever still comes of it is not to be stored: no set could fence it any more."""
        flight.fenced = True
        self._drop(flight)

    def _drop(self, flight: Flight) -> None:
        if self._table.get(flight.key) is flight:
            del self._table[flight.key]

    def land(self, flight: Flight, outcome: Outcome) -> None:
        """End a flight and tell its waiters. A second landing of the same flight has no effect."""
        if flight.landed:
            return
        self._drop(flight)
        flight.landed = True
        for waiter in flight._waiters:
            waiter(outcome)
        flight._waiters.clear()

    def land_all(self, outcome: Outcome) -> None:
        """End every flight that can be joined."""
        for flight in list(self._table.values()):
            self.land(flight, outcome)

    def __len__(self) -> int:
        return len(self._table)


def failure(error: ZmcacheError) -> Outcome:
    """The outcome of a request that failed."""
    return Outcome(None, error.code, 0.0, error)
