"""One peer's health: out of use when it does not answer pings, back by probes, avoided while it is slow.

States of a channel, and what a request meets in them:

    new, connecting   it waits, bounded, for the first attempt to end
    up                it is sent
    down              it fails at once with `PeerUnavailable`; the transport goes on reconnecting
    suspect           connected, but the peer's loop has not answered pings: as down
    trial             it answers again: sent where nobody else can be asked, else as down
    closed            it fails

A peer that was suspected, or lost its connection a second time within half a minute, is on trial first: it has to answer pings, one a beat, for
`FIRST_S`, and for twice as long each time that it falls again soon after, `LONGEST_S` at the most; with time its falls are forgiven (`Backoff`).
Silence begins the trial anew. So one that comes and goes is used less and less, and a restart or a broken cable costs nothing.

This is what one node or client thinks of a peer. The others need not think the same: it only routes around, and who is a member is settled elsewhere.
"""

from __future__ import annotations

import enum
from typing import Final

from zmcache.peers.backoff import Backoff
from zmcache.peers.pulse import BEAT_S, Pulse
from zmcache.peers.slowness import Latency

FIRST_S: Final = 2 * BEAT_S
LONGEST_S: Final = 64 * BEAT_S


class State(enum.Enum):
    """See the module's docstring."""

    NEW = "new"
    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"
    SUSPECT = "suspect"
    TRIAL = "trial"
    CLOSED = "closed"


class Health:
    """What is known of one peer. Times of pings are our own loop's running time (``ran_s``), the others (``now_s``) of the clock."""

    __slots__ = ("_conduct", "_left", "_probes", "latency", "pulse", "suspicions")

    def __init__(self) -> None:
        self.pulse = Pulse()
        self.latency = Latency()
        self.suspicions = 0
        self._conduct = Backoff(FIRST_S, LONGEST_S)
        self._probes = 0  # to be answered before it is used again
        self._left = 0

    def connected(self, now_s: float) -> State:
        """A new connection; the state that the peer is in with it."""
        self.pulse.connected()
        self.latency.forget()
        if self._probes:
            return self.speaks()
        self._conduct.back(now_s)
        return State.UP

    def lost(self, state: State, now_s: float) -> None:
        """The connection broke, in that state."""
        self.pulse.connected()
        if state is State.UP:
            again = self._conduct.falls(now_s) > 0
            self._fall(now_s)
            if not again:
                self._probes = 0

    def speaks(self) -> State:
        """Something came from a peer that was suspected."""
        # Of the silence nothing counts, and no probe was sent yet: the ping that is out is older.
        self._left = self._probes + self.pulse.waits
        self.latency.answers_again()
        return State.TRIAL

    def beat(self, state: State, ran_s: float, now_s: float) -> State:
        """A beat of a connection in one of the states up, suspect or trial: the state from now on."""
        silent = self.pulse.beat(ran_s)
        answered = not self.pulse.waits
        round_trip_s = self.pulse.take_round_trip_s(ran_s)
        if state is not State.SUSPECT and round_trip_s is not None:
            self.latency.add(round_trip_s)
        if silent and state is State.UP:
            self.suspicions += 1
            self._fall(now_s)
            return State.SUSPECT
        if silent and state is State.TRIAL:
            return State.SUSPECT
        if state is State.TRIAL and answered and round_trip_s is not None:
            self._left -= 1
            if self._left <= 0:
                self._probes = 0
                self._conduct.back(now_s)
                return State.UP
        return state

    def _fall(self, now_s: float) -> None:
        self._probes = max(1, round(self._conduct.fell(now_s) / BEAT_S))
