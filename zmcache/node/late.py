"""The positions of one request that could not be answered at once: what has come by the end of a turn of the loop goes out together.

A late answer waits without a task. Each position's waiter is a plain callable that a flight calls; the first outcome of a turn plans a
flush at the turn's end, which sends all that came until then. When the request's deadline passes, what is missing is given up: the
asker has told its callers, so nothing is sent, and a flight that only this request waited for has lost its last waiter.

It knows neither the request nor the wire: what to do with outcomes, and with positions given up, is told by whoever made it. Every
position is counted down exactly once, by the one or the other. Positions that the asker has no more use for are given up before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from zmcache.core.flight import Outcome, Waiter
from zmcache.deadlines import Deadlines
from zmcache.peering import Leavable

Row: TypeAlias = tuple[int, Outcome]
"""A position in the request's keys, and what came of it."""


class Late:
    """``count`` positions that are to be answered by ``deadline_s``. ``send`` gets the rows of a turn, ``give_up`` the number that will not be
    answered; ``done`` is called after the last of them.
    """

    __slots__ = (
        "_bucket", "_came", "_deadlines", "_done", "_give_up", "_joined", "_left", "_loop", "_planned", "_send", "deadline_s",
    )  # fmt: skip

    def __init__(
        self,
        count: int,
        deadline_s: float,
        *,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        send: Callable[[list[Row]], None],
        give_up: Callable[[int], None],
        done: Callable[[], object],
    ) -> None:
        self.deadline_s = deadline_s
        self._left = count
        self._loop = loop
        self._deadlines = deadlines
        self._send = send
        self._give_up = give_up
        self._done = done
        self._came: list[Row] = []
        self._joined: dict[int, tuple[Leavable, Waiter] | None] = {}  # None: its outcome has come, or it was given up
        self._planned = False
        self._bucket = deadlines.add(deadline_s, self._expire)

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
                self._give_up(1)
                joined[0].leave(joined[1])
        if not self._left:
            self._end()

    def flush(self) -> None:
        """Send what has come."""
        self._planned = False
        if self._came and self._left:
            came, self._came = self._came, []
            self._left -= len(came)
            self._send(came)
            if not self._left:
                self._end()

    def _end(self) -> None:
        # Or keys and values would be kept until the deadline.
        self._deadlines.discard(self._bucket, self._expire)
        self._let_go()

    def _arrive(self, at: int, outcome: Outcome) -> None:
        if not self._left or self._joined.get(at, ()) is None:
            return
        self._joined[at] = None
        self._came.append((at, outcome))
        if not self._planned:
            self._planned = True
            self._loop.call_soon(self.flush)

    def _expire(self) -> None:
        # What came in this turn: a lease among it that nobody hears of would be waited for until its end.
        self.flush()
        if self._left:
            left, self._left = self._left, 0
            self._give_up(left)
            for joined in self._joined.values():
                if joined is not None:
                    joined[0].leave(joined[1])
            self._let_go()

    def _let_go(self) -> None:
        # The waiters hold this object and it holds them: a ring of references for each miss, which only a full collection would find, slowly.
        self._joined.clear()
        self._done()
