"""Copies of what is written: who is sent one, and when a write is acknowledged.

What is written at the owner of a key, or at the node that stands in for it, is held there and sent at the same time to the next nodes that
are to hold it (`Holders.receivers`). The caller is told when ``acks`` nodes hold it, the writer itself counted; what a loader or a filler
brought is told at once and copied in the background, so that a dead owner does not send its whole share to the database. How many copies may be
under way that nobody waits for is bounded (`zmcache.peers.background`).

- A holder that fails meanwhile is passed over for the next in order. When none is left, and too few hold it: `TooFewCopies`, and the write
  stands as it is.
- A holder that knows of something newer (the writer was away, or its clock was behind) has a write that is not acknowledged yet repeated,
  once, at a version beyond that.

A copy that is on its way is never taken back: a caller that is cancelled leaves a write behind that may have been done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from zmcache.core.flight import Outcome, Waiter, failure
from zmcache.core.wire import KEPT, Change
from zmcache.errors import Busy, TooFewCopies

# For a copy that nobody waits for. A holder that hangs is suspected long before.
BACKGROUND_S: Final = 5.0


class Receivers(NamedTuple):
    """To whom a write goes. What a receiver is, is the business of `Holders`."""

    first: Sequence[object]
    """Those that are to hold it beside this node, and can be reached."""
    spares: Sequence[object]
    """Who comes next, where one of them fails."""
    beside: Sequence[object]
    """Those that will hold it once who joins, serves. They are waited for, since their ring may be in use elsewhere already, but not counted."""
    counts_self: bool
    """Whether this node is one of those who are to hold it; else it has been asked by somebody whose ring is older."""
    is_short: bool
    """Whether one who is to hold it is passed over: it may hold something older, and come back with it."""
    on_trial: Sequence[object] = ()
    """Those that are passed over and answer again. They are told and not waited for: others may be using them already, to whom they would go on
    giving what was replaced."""


NOBODY: Final = Receivers((), (), (), counts_self=True, is_short=False)


class Holders(Protocol):
    """What copying needs to know of the other nodes."""

    def receivers(self, key: str, copies: int) -> Receivers:
        """Who is to hold ``key`` beside this node. About 3 us."""

    def copy(
        self,
        receiver: object,
        group: str,
        copy: Change,
        deadline_s: float,
        on_answer: Waiter,
        *,
        background: bool = False,
    ) -> None:
        """Send a copy. ``on_answer`` is called once, by the deadline. ``background``: nobody waits for it, and it gives way to what is waited for."""


class Copying:
    """The copies of one group. ``renew``: the same write at a version beyond one that was met, or None where it was overtaken here. ``on_short`` is
    told a write that somebody missed who is to hold it.
    """

    def __init__(
        self,
        group: str,
        holders: Holders,
        copies: int,
        acks: int,
        renew: Callable[[Change, int], Change | None],
        on_short: Callable[[Change], None],
        loop_time: Callable[[], float],
    ) -> None:
        self._group = group
        self._holders = holders
        self._copies = copies
        self._acks = acks
        self._renew = renew
        self._on_short = on_short
        self._loop_time = loop_time
        self.sent = self.failed = 0

    def write(self, copy: Change, outcome: Outcome, waiter: Waiter, deadline_s: float) -> None:
        """Send ``copy``, and tell ``waiter`` the outcome of the write once enough nodes hold it."""
        to = self._holders.receivers(copy.key, self._copies)
        if to is NOBODY and self._acks == 1:
            waiter(outcome)
            return
        _Write(self, copy, to, deadline_s, self._acks, outcome, waiter).begin()

    def spread(self, copy: Change) -> None:
        """Send ``copy``; nobody waits for it."""
        to = self._holders.receivers(copy.key, self._copies)
        if to is not NOBODY:
            _Write(self, copy, to, self._loop_time() + BACKGROUND_S, 1, None, None).begin()

    def mention(self, receiver: object, copy: Change) -> None:
        """Send ``copy`` to one of whom nobody knows whether it answers."""
        until_s = self._loop_time() + BACKGROUND_S
        self._holders.copy(receiver, self._group, copy, until_s, lambda _: None, background=True)


class _Write:
    """One write on its way to those who are to hold it."""

    __slots__ = (
        "_beside_open",
        "_copy",
        "_copying",
        "_deadline_s",
        "_held",
        "_open",
        "_outcome",
        "_renewed",
        "_spares",
        "_to",
        "_waiter",
        "_wanted",
    )

    def __init__(
        self,
        copying: Copying,
        copy: Change,
        to: Receivers,
        deadline_s: float,
        wanted: int,
        outcome: Outcome | None,
        waiter: Waiter | None,
    ) -> None:
        self._copying, self._copy, self._to = copying, copy, to
        self._deadline_s, self._wanted = deadline_s, wanted
        self._outcome, self._waiter = outcome, waiter
        self._spares = list(to.spares)
        self._held = int(to.counts_self)
        self._open = self._beside_open = 0
        self._renewed = False

    def begin(self) -> None:
        if self._to.is_short:
            self._copying._on_short(self._copy)
        for receiver in self._to.first:
            self._send(receiver, counted=True)
        for receiver in self._to.beside:
            self._send(receiver, counted=False)
        for receiver in self._to.on_trial:
            self._copying.mention(receiver, self._copy)
        self._tell()

    def _send(self, receiver: object, *, counted: bool) -> None:
        self._open += counted
        self._beside_open += not counted
        copying = self._copying
        copying.sent += 1
        on_answer = partial(self._answered, receiver, self._copy, counted)
        background = self._waiter is None or (counted and self._held >= self._wanted)
        copying._holders.copy(receiver, copying._group, self._copy, self._deadline_s, on_answer, background=background)

    def _answered(self, receiver: object, copy: Change, counted: bool, outcome: Outcome) -> None:
        if copy is not self._copy:
            return  # of the round before: what was sent since says more
        self._open -= counted
        self._beside_open -= not counted
        if outcome.error is not None:
            self._copying.failed += 1
            self._copying._on_short(copy)
            # One that is too busy for it is to have it later: nobody else is to be kept busy in its place.
            if counted and self._spares and not (self._waiter is None and isinstance(outcome.error, Busy)):
                self._send(self._spares.pop(0), counted=True)
        elif outcome.status == KEPT and outcome.token > copy.token and self._may_renew() and self._again(outcome.token):
            return
        else:
            # Held there, or something newer is, which has taken its place.
            self._held += counted
        self._tell()

    def _may_renew(self) -> bool:
        # Not once it was acknowledged: what is newer may have been written since, knowing of it.
        return self._waiter is not None and not self._renewed

    def _again(self, seen: int) -> bool:
        """Once more, at a newer version. False: something else was written here since, and its own copies are on their way."""
        self._renewed = True
        renewed = self._copying._renew(self._copy, seen)
        if renewed is None:
            return False
        self._copy = renewed
        self._held, self._open, self._beside_open = int(self._to.counts_self), 0, 0
        self.begin()
        return True

    def _tell(self) -> None:
        if self._waiter is None or self._beside_open or (self._held < self._wanted and self._open):
            return
        waiter, self._waiter = self._waiter, None
        if self._held >= self._wanted:
            assert self._outcome is not None
            waiter(self._outcome)
        else:
            waiter(failure(TooFewCopies(held=self._held, wanted=self._wanted)))
