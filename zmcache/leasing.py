"""The owner's side of a fill: who makes a missing value when the code is the caller's, and who waits meanwhile.

What an asker is told, in this order:

1. The value, where it is there and fresh.
2. Past its life but within its stale time: the value, marked, and the lease to the first who asks for it. Nobody waits.
3. Otherwise the lease, to the first; with the old value, where one was kept for the case that making it fails.
4. Everybody else waits, without a task: for the value, for the lease when its holder fails or its time is over, or for a word that it
   goes on (`FILLING`, with what remains of the lease), so that a wait is never longer than the asker's own deadline.

What the holder of a lease brings after its time is stored if it is the first to bring anything. A set or a delete ends the lease, and then it is
not. After a set who waits gets the new value; after a delete the next of them makes it. Where the ring has moved the key away, who waits is
sent to ask again, and so finds the new owner. Nor is it stored where one of its tags was invalidated since the lease was granted: then the next
who waits makes it.

Early refresh is XFetch (Vattani, Chierichetti, Lowenstein, Optimal Probabilistic Cache Stampede Prevention, VLDB 2015, figure 3): a value that
took d to make is worth making anew when ``now - d * beta * ln(random) >= end``, so that one that takes long is made anew earlier.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

from zmcache.core.flight import Outcome, Waiter, failure
from zmcache.core.leases import Leases
from zmcache.core.marks import ABSENT, Held, Marked, read_mark
from zmcache.core.timers import CallLater, Timer
from zmcache.core.tokens import ANEW, token_of
from zmcache.core.wire import (
    DUE,
    FILLING,
    FROM_HOT,
    FROM_LOADER,
    FROM_OWNER,
    IS_NONE,
    LEASED,
    LEASED_NONE,
    LOST,
    STALE,
    Change,
)
from zmcache.errors import Busy, PeerUnavailable

DEFAULT_LEASE_S: Final = 10.0
MAX_LEASE_S: Final = 3600.0
# Of the time that an asker has: an answer has to be back before the asker gives up.
_PATIENCE: Final = 2 / 3
_PURGE_PAUSE_S: Final = 0.1


class Values(Protocol):
    """What leases need of the store around them."""

    def lookup(self, key: str) -> tuple[Held, float] | None:
        """What is held of a key now, and until when."""

    def hides(self, key: str, mark: Marked) -> bool:
        """Whether that is to be taken for nothing, by its tags."""

    def keep(self, change: Change) -> Outcome:
        """Store what a PUT brings."""

    def is_old(self, change: Change) -> bool:
        """Whether that is old already, by its tags."""


class Waiting:
    """One asker who waits for a fill. Leaves like a waiter of a flight."""

    __slots__ = ("_leave", "_timer", "change", "until_s", "waiter")

    def __init__(self, change: Change, waiter: Waiter, until_s: float, leave: Callable[[Waiting], None]) -> None:
        self.change, self.waiter, self.until_s = change, waiter, until_s
        self._leave = leave
        self._timer: Timer | None = None

    def arm(self, timer: Timer) -> None:
        """Its own end."""
        self._timer = timer

    def leave(self, waiter: Waiter) -> None:
        """Stop waiting; no effect after the answer."""
        self.disarm()
        self._leave(self)

    def disarm(self) -> None:
        """Its own end is not needed any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Leasing:
    """The leases of one group, where this node owns the key or stands in for its owner."""

    def __init__(
        self,
        values: Values,
        new_token: Callable[[], int],
        *,
        beta: float,
        max_leases: int,
        random: Callable[[], float],
        clock: Callable[[], float],
        loop_time: Callable[[], float],
        call_later: CallLater,
    ) -> None:
        """``new_token``: a version, so that it tells when the lease was granted. ``clock`` is that of the store, ``loop_time`` that of
        ``call_later`` and of deadlines.
        """
        self._values = values
        self._beta = beta
        self._max_leases = max_leases
        self._random = random
        self._clock = clock
        self._loop_time = loop_time
        self._call_later = call_later
        # None is 0, and none is likely to equal another node's, or one of this node's before it was started anew.
        self._leases: Leases[Waiting] = Leases(new_token)
        self._timers: dict[str, Timer] = {}
        self._closed = False
        self._purge_again_s = -math.inf
        self.granted = self.expired = self.overtaken = 0

    def __len__(self) -> int:
        return len(self._leases)

    def runs_until_s(self, key: str) -> float | None:
        """When the lease of ``key`` that runs now ends; None: there is none."""
        lease = self._leases.of(key, self._clock())
        return None if lease is None else lease.until_s

    # -- what is held, as an answer --------------------------------------------------------------------------------

    def of_mark(self, key: str, mark: Marked, now_s: float, *, hot: bool, fills: bool) -> Outcome | None:
        """What a mark comes to for who asks now; None: as if nothing were there. ``fills``: the asker can make it anew."""
        value, fresh_until_s, stale_until_s, took_s, tags, _ = mark
        has_tags = bool(tags)
        if now_s < fresh_until_s:
            if fills and not hot and self.is_due(fresh_until_s, took_s, now_s) and not self._leases.of(key, now_s):
                return Outcome(value, DUE, fresh_until_s, None, 0, has_tags)
            if value is None:
                return Outcome(None, IS_NONE, fresh_until_s, None, 0, has_tags)
            return Outcome(value, FROM_HOT if hot else FROM_OWNER, fresh_until_s, None, 0, has_tags)
        if fills and now_s < stale_until_s:
            status = STALE if hot or self._leases.of(key, now_s) else DUE
            return Outcome(value, status, now_s, None, 0, has_tags)
        return None

    def is_due(self, end_s: float, took_s: float, now_s: float) -> bool:
        """XFetch's choice: whether this asker of a value that is still fresh makes it anew."""
        if not took_s or not self._beta:
            return False
        return now_s - took_s * self._beta * math.log(max(self._random(), 1e-300)) >= end_s

    # -- fill, put, release ----------------------------------------------------------------------------------------

    def fill(self, change: Change, deadline_s: float, waiter: Waiter) -> Waiting:
        """Answer an asker who can make the value, now or later; it may leave until then."""
        now_s = self._loop_time()
        waiting = Waiting(change, waiter, now_s + (deadline_s - now_s) * _PATIENCE, self._leave)
        self._serve(waiting)
        return waiting

    def _serve(self, waiting: Waiting) -> None:
        key, now_s = waiting.change.key, self._clock()
        mark: Marked | None = None
        entry = self._values.lookup(key)
        if entry is not None and entry[0] is not ABSENT:
            held, expires_at_s = entry
            mark = Marked(held, expires_at_s) if isinstance(held, bytes) else read_mark(held, expires_at_s)
            if mark.tags and self._values.hides(key, mark):
                mark = None
        if mark is not None:
            outcome = self.of_mark(key, mark, now_s, hot=False, fills=True)
            if outcome is not None and outcome.status != DUE and not _is_unwanted(mark, waiting.change):
                waiting.waiter(outcome)
                return
        if self._closed:
            waiting.waiter(failure(PeerUnavailable("the node is stopping")))
        elif self._leases.of(key, now_s) is None:
            waiting.waiter(self._grant(waiting.change, mark, now_s))
        else:
            self._wait(waiting, now_s)

    def _grant(self, change: Change, old: Marked | None, now_s: float) -> Outcome:
        if len(self._leases) >= self._max_leases:
            self._purge(now_s)
            if len(self._leases) >= self._max_leases:
                return failure(Busy(f"{len(self._leases)} values are being made by callers, limit {self._max_leases}"))
        lease_s = min(change.ttl_ms / 1000, MAX_LEASE_S) if change.ttl_ms > 0 else DEFAULT_LEASE_S
        token = self._leases.grant(change.key, now_s + lease_s)
        self.granted += 1
        if old is None:
            return Outcome(None, LEASED, 0.0, None, token)
        return Outcome(old.value, LEASED_NONE if old.value is None else LEASED, 0.0, None, token)

    def _purge(self, now_s: float) -> None:
        """Leases whose holders have died and that nobody has asked for since."""
        # All are looked at: thousands who are refused at one moment must not each do that.
        if now_s < self._purge_again_s:
            return
        self._purge_again_s = now_s + _PURGE_PAUSE_S
        for key in self._leases.keys():  # noqa: SIM118  # a copy
            if self._leases.of(key, now_s) is None and not self._leases.waiters(key):
                self._leases.drop(key)

    def _wait(self, waiting: Waiting, now_s: float) -> None:
        key = waiting.change.key
        left_s = max(0.0, waiting.until_s - self._loop_time())
        waiting.arm(self._call_later(left_s, lambda: self._still(waiting)))
        self._leases.wait(key, waiting)
        lease = self._leases.of(key, now_s)
        if key not in self._timers and lease is not None:
            self._timers[key] = self._call_later(lease.until_s - now_s, lambda: self._look(key))

    def _leave(self, waiting: Waiting) -> None:
        key = waiting.change.key
        self._leases.leave(key, waiting)
        if not self._leases.waiters(key):
            self._stop_timer(key)

    def _still(self, waiting: Waiting) -> None:
        self._leave(waiting)
        lease = self._leases.of(waiting.change.key, self._clock())
        waiting.waiter(Outcome(None, FILLING, 0.0 if lease is None else lease.until_s))

    def _stop_timer(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _look(self, key: str) -> None:
        """A lease that somebody waits behind should be over."""
        self._timers.pop(key, None)
        now_s = self._clock()
        lease = self._leases.of(key, now_s)
        if lease is None:
            self.expired += key in self._leases
            # The lease stays in the table: its holder may be slow and not dead.
            self._again(key)
        elif self._leases.waiters(key):
            self._timers[key] = self._call_later(max(0.001, lease.until_s - now_s), lambda: self._look(key))

    def look_all(self) -> None:
        """The clock was moved: end what is over by it."""
        for key in self._leases.waited_for():
            self._stop_timer(key)
            self._look(key)

    def put(self, change: Change) -> Outcome:
        """The holder of a lease brings the value. `LOST` when that has ended: then nothing is stored."""
        if self._values.is_old(change):
            # As if it had brought nothing. Who was granted a lease after its own may have begun late enough.
            self.overtaken += 1
            return self.release(change)
        if not self._leases.end(change.key, change.token):
            self.overtaken += 1
            return Outcome(None, LOST, 0.0)
        kept = self._values.keep(change)
        if kept.error is not None:
            self._again(change.key)
            return kept
        status = IS_NONE if change.value is None else FROM_LOADER
        self._tell(change.key, Outcome(change.value, status, kept.expires_at_s))
        return kept

    def release(self, change: Change) -> Outcome:
        """The holder gives its lease back; the next who waits gets it."""
        if self._leases.give_back(change.key, change.token):
            self._again(change.key)
        return Outcome(None, LOST, 0.0)

    def overtake(self, key: str) -> None:
        """A set or a delete of ``key`` is about to happen: its lease has ended; who waits is seen to afterwards."""
        if key in self._leases:
            self._leases.drop(key)
            # In the next turn of the loop: by then the set has been stored.
            self._stop_timer(key)
            if self._leases.waiters(key):
                self._timers[key] = self._call_later(0.0, lambda: self._look(key))

    def ring_changed(self, is_ours: Callable[[str], bool]) -> None:
        """Who waits for what is another's now asks again, there."""
        # Of what was set elsewhere meanwhile this node may not hear, and what is late could be older: that is borne for one lease's time.
        self._leases.drop_slow(self._clock())
        for key in self._leases.waited_for():
            if not is_ours(key):
                self._leases.drop(key)
                self._tell(key, Outcome(None, FILLING, 0.0))

    def clear(self) -> None:
        """Every lease has ended."""
        for key in self._leases.keys():  # noqa: SIM118  # a copy
            self.overtake(key)

    def close(self) -> None:
        """Tell everyone who waits."""
        self._closed = True
        for key in self._leases.waited_for():
            self._tell(key, failure(PeerUnavailable("the node is stopping")))

    def _tell(self, key: str, outcome: Outcome) -> None:
        self._stop_timer(key)
        for waiting in self._leases.take_waiters(key):
            waiting.disarm()
            waiting.waiter(outcome)

    def _again(self, key: str) -> None:
        """Answer those who wait anew: the first of them gets the lease, where the value is not there."""
        self._stop_timer(key)
        for waiting in self._leases.take_waiters(key):
            waiting.disarm()
            self._serve(waiting)


def _is_unwanted(mark: Marked, change: Change) -> bool:
    """Who asks with a token wants a value made anew, however fresh it is: any, or the one of that token, which it cannot read. If another has
    come in its place, that is given.
    """
    return bool(change.token) and (change.token == ANEW or change.token == token_of(mark.value))
