"""Whether a peer's loop lives, told by what comes from it and by pings through it.

A slow answer may be a slow load or a hung peer; a pong comes from a loop that runs, and only from one. Silence counts in beats of
our own loop, so a loop of ours that stood still does not take its peers for dead.
"""

from __future__ import annotations

from typing import Final

BEAT_S: Final = 0.4
# Three unanswered beats after the one in which the ping was sent: a hung peer is out of use 1.2 to 1.6 s after its last word.
MISSED_BEATS: Final = 3


class Pulse:
    """One peer's. ``heard`` and ``ping_out`` are set by who receives and sends."""

    __slots__ = ("_missed", "heard", "ping_out")

    def __init__(self) -> None:
        self.heard = False
        self.ping_out = False
        self._missed = 0

    def connected(self) -> None:
        """A new connection: what was missed on the old one does not count."""
        self.heard, self.ping_out, self._missed = True, False, 0

    def beat_unanswered(self) -> bool:
        """A beat while the connection is being made; True when it takes too long. (A stopped process still accepts connections, in its
        kernel, and then says nothing.)
        """
        self._missed += 1
        return self._missed > MISSED_BEATS

    def beat(self) -> bool:
        """A beat of a connection; True at the one with which the peer has been silent for too long."""
        lost = False
        if self.heard:
            self._missed = 0
            self.ping_out = False
        elif self.ping_out:
            self._missed += 1
            lost = self._missed == MISSED_BEATS
        self.heard = False
        return lost
