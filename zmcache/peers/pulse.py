"""Whether a peer's loop lives, and how long it takes to answer: told by what comes from it and by pings through it.

A slow answer may be a slow load or a hung peer; a pong comes from a loop that runs, and only from one. Silence counts in beats of
our own loop, and a round trip in the time in which our own loop ran (`zmcache.peers.ownloop`), so a loop of ours that stood still does not take its
peers for dead or slow.

A ping goes out with each beat, and between two where somebody waits (`Channel.probe`). One is out at a time, and a pong is known by its id:
another request's, or one to a ping of long ago, measures nothing. While a ping is out its age is what the round trip takes at the least, so
that a peer which answers nothing for a second is seen to be slow during that second.
One that lets a ping wait for `STUCK_S` is as good as silent, whatever else comes from it: it reads, or is read from, so slowly that what is asked
now will not be answered in time.
"""

from __future__ import annotations

from typing import Final

BEAT_S: Final = 0.4
# A beat comes later than `BEAT_S` by up to so much, by chance: a peer that is stopped and goes on at the pace of our pings would answer all of them
# at once, or none, for a minute.
BEAT_JITTER: Final = 0.15
# Three unanswered beats after the one in which the ping was sent: a hung peer is out of use 1.2 to 1.9 s after its last word.
MISSED_BEATS: Final = 3
STUCK_S: Final = 1.0
# A peer that does not read has its answers dropped, pongs among them: a ping as old as that is given up, and another one sent.
_LOST_S: Final = 4.0


class Pulse:
    """One peer's. ``heard`` is set by who receives. Times are our own loop's running time."""

    __slots__ = ("_is_young", "_missed", "_ping_id", "_pinged_s", "_round_trip_s", "_stuck_s", "heard")

    def __init__(self) -> None:
        self.heard = False
        self._missed = 0
        self._ping_id = 0  # 0: none is out
        self._pinged_s = 0.0
        # The ping that is out was sent between two beats: the first one after it does not count.
        self._is_young = False
        self._stuck_s = STUCK_S
        self._round_trip_s: float | None = None

    @property
    def waits(self) -> bool:
        """Whether a ping is out."""
        return self._ping_id != 0

    def connected(self) -> None:
        """A new connection: what was missed on the old one does not count."""
        self.heard, self._missed, self._ping_id, self._round_trip_s = True, 0, 0, None

    def beat_unanswered(self) -> bool:
        """A beat while the connection is being made; True when it takes too long. (A stopped process still accepts connections, in its
        kernel, and then says nothing.)
        """
        self._missed += 1
        return self._missed > MISSED_BEATS

    def beat(self, ran_s: float) -> bool:
        """A beat of a connection; True where the peer has been silent for too long."""
        lost = self.is_stuck(ran_s)
        is_young, self._is_young = self._is_young, False
        if self.heard:
            self._missed = 0
        elif self._ping_id and not is_young:
            self._missed += 1
            lost = lost or self._missed == MISSED_BEATS
        self.heard = False
        return lost

    def waits_s(self, ran_s: float) -> float:
        """For how long a ping has been out."""
        return ran_s - self._pinged_s if self._ping_id else 0.0

    def is_stuck(self, ran_s: float) -> bool:
        """Whether a ping has waited for too long."""
        return self.waits_s(ran_s) >= self._stuck_s

    def wants_ping(self, ran_s: float) -> bool:
        """Whether it is time for another ping."""
        return not self._ping_id or ran_s - self._pinged_s > _LOST_S

    def pinged(self, ping_id: int, ran_s: float, *, between_beats: bool) -> None:
        """A ping is out."""
        self._ping_id, self._pinged_s, self._is_young = ping_id, ran_s, between_beats
        # By then nobody may give up a peer that has not noticed itself that it stood still (`zmcache.node.housekeeping`).
        self._stuck_s = STUCK_S + between_beats * BEAT_S / 2

    def ponged(self, ping_id: int, ran_s: float) -> bool:
        """A pong came. Whether it is the one that was waited for."""
        if ping_id != self._ping_id:
            return False
        self._ping_id = 0
        self._round_trip_s = ran_s - self._pinged_s
        return True

    def take_round_trip_s(self, ran_s: float) -> float | None:
        """Once a beat: what the last round trip took, or has taken by now; None where no ping was out."""
        found, self._round_trip_s = self._round_trip_s, None
        return ran_s - self._pinged_s if found is None and self._ping_id else found
