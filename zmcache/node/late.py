"""The positions of one request, from the moment in which the work for them begins: what has come by the end of a turn of the loop goes out together.

Whoever begins the work for all of them flushes when it has: what was done at once is sent then, and a request that is all done by then has cost
no timer, no place in any table and no turn of the loop. For the others it waits, without a task. Each position's waiter is a plain callable
that a flight calls; the first outcome of a turn plans a flush at the turn's end, which sends all that came until then. When the
request's deadline passes, what is missing is given up: the asker has told its callers, so nothing is sent, and a flight that only this
request waited for has lost its last waiter.

It knows neither the request nor the wire: what to do with outcomes is told by whoever made it, and who waits is counted by its `Home`. Every
position that waits is counted down exactly once, sent or given up. Positions that the asker has no more use for are given up before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from zmcache.core.flight import Outcome, Waiter
from zmcache.peering import Leavable

Row: TypeAlias = tuple[int, Outcome]
"""A position in the request's keys, and what came of it."""

Name: TypeAlias = tuple[bytes, int]
"""Whose request it is, and by what number it is cancelled."""


class Home(Protocol):
    """Where what waits is kept (`zmcache.node.inflight`)."""

    def waits(self, late: Late, count: int) -> int:
        """So many positions wait from now on, and end at the deadline; the bucket of that."""

    def settled(self, late: Late, count: int) -> None:
        """So many of them are sent or given up."""

    def ended(self, late: Late, bucket: int) -> None:
        """None of them waits any more."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call this at the end of the turn."""


class Late:
    """``count`` positions that are to be answered by ``deadline_s``. ``send`` gets the rows of a turn."""

    __slots__ = ("_bucket", "_came", "_home", "_joined", "_left", "_planned", "_send", "deadline_s", "name")

    def __init__(
        self, name: Name, count: int, deadline_s: float, home: Home, send: Callable[[list[Row]], None]
    ) -> None:
        self.name = name
        self.deadline_s = deadline_s
        self._left = count
        self._home = home
        self._send = send
        self._came: list[Row] = []
        self._joined: dict[int, tuple[Leavable, Waiter] | None] = {}  # None: its outcome has come, or it was given up
        self._planned = True  # by whoever begins the work
        self._bucket: int | None = None  # None: it does not wait

    def waiter(self, at: int) -> Waiter:
        """For the flight of position ``at``, or whatever else brings its outcome. It is called once."""
        return partial(self._arrive, at)

    def joined(self, at: int, flight: Leavable, waiter: Waiter) -> None:
        """The waiter of a position is in that flight now, and leaves it when the deadline passes."""
        self._joined.setdefault(at, (flight, waiter))

    def cancel(self, positions: list[int] | None) -> None:
        """The asker has no use for these positions (None: for any) any more. What has come, or cannot be left, is answered all the same."""
        for at in list(self._joined) if positions is None else positions:
            joined = self._joined.get(at)
            if joined is not None and self._left:
                self._joined[at] = None
                self._left -= 1
                self._home.settled(self, 1)
                joined[0].leave(joined[1])
        if not self._left:
            self._end()

    def flush(self) -> None:
        """Send what has come, and wait for the rest."""
        self._planned = False
        if not self._left:
            return
        if self._came:
            came, self._came = self._came, []
            self._left -= len(came)
            if self._bucket is not None:
                self._home.settled(self, len(came))
            self._send(came)
        if not self._left:
            self._end()
        elif self._bucket is None:
            self._bucket = self._home.waits(self, self._left)

    def expire(self) -> None:
        """The deadline has passed."""
        # What came in this turn: a lease among it that nobody hears of would be waited for until its end.
        self.flush()
        if self._left:
            left, self._left = self._left, 0
            self._home.settled(self, left)
            for joined in self._joined.values():
                if joined is not None:
                    joined[0].leave(joined[1])
            self._end()

    def _arrive(self, at: int, outcome: Outcome) -> None:
        if not self._left or self._joined.get(at, ()) is None:
            return
        self._joined[at] = None
        self._came.append((at, outcome))
        if not self._planned:
            self._planned = True
            self._home.soon(self.flush)

    def _end(self) -> None:
        # The waiters hold this object and it holds them: a ring of references for each miss, which only a full collection would find, slowly.
        self._joined.clear()
        if self._bucket is not None:
            # Or keys and values would be kept until the deadline.
            self._home.ended(self, self._bucket)
