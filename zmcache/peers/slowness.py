"""Which peers are slow and not dead: their pings take several times as long as those of their peers, and go on doing so. Pure.

Each peer's round trip is averaged over about a second and a half (EWMA, one sample a beat). A peer becomes slow when that is above `FACTOR` times
the median of the *others'* and above `FLOOR_S`, on balance for `BEATS` beats. It stops being slow when it was below half of that bound, on
balance, for as many, and not before `LEAST_S` have passed, or twice that each time that it becomes slow again soon after, `LONGEST_S` at the most.

- The median of the others, not a fixed bound: a network that is slow for all of them, and a pause of our own, make nobody slow. The lower median
  where they are two, so that of three peers one may be slow. Who has no other peer cannot tell, and calls nobody slow.
- `FLOOR_S` is 10 ms: a loop with nothing wrong answers within one or two, and stands still for up to 30 ms once in a while (a dictionary that
  grows, a collection of garbage). A process that is stopped every other 50 ms answers after 12 ms on average.
- `FACTOR` is 4: less is what a zone further away, or a busier node, may be.
- One sample counts for `MOST_S` at the most: one pause, half a second among them, makes nobody slow. Two a second do.
- One that is longer than `STALLED_S` does at once: what is asked there now waits as long, and what reads so slowly falls further behind with
  every request. It stays slow when it answers again after it did not answer at all: a peer that falls behind does so again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zmcache.peers.backoff import Backoff

FACTOR: Final = 4.0
FLOOR_S: Final = 0.010
MOST_S: Final = 0.100
# Long enough to be noticed by whoever waits for it, and a second before silence makes a peer suspected.
STALLED_S: Final = 0.5
BEATS: Final = 8
LEAST_S: Final = 5.0
LONGEST_S: Final = 60.0
_WEIGHT: Final = 0.25  # of the newest sample


class Latency:
    """One peer's."""

    __slots__ = ("_above", "_backoff", "_bounded_s", "_newest_s", "_until_s", "rtt_s", "slow")

    def __init__(self) -> None:
        self.slow = False
        self.rtt_s: float | None = None
        """The average; None where nothing was measured yet."""
        self._newest_s = 0.0
        self._bounded_s = 0.0  # the average of what counts
        self._above = 0  # beats above the bound, less those below; from 0 to `BEATS`
        self._until_s = 0.0
        self._backoff = Backoff(LEAST_S, LONGEST_S)

    def forget(self) -> None:
        """Another connection: what was measured says nothing about what comes."""
        self.rtt_s, self.slow, self._above = None, False, 0

    def answers_again(self) -> None:
        """After it did not answer at all, for a time that is no round trip. If it was slow before it is so until it is seen to be quick."""
        self.rtt_s = None

    def add(self, sample_s: float) -> None:
        """One beat's round trip."""
        bounded_s = min(sample_s, MOST_S)
        if self.rtt_s is None:
            # No average yet: one that was long by chance is not to stand for all.
            self.rtt_s, self._bounded_s, self._newest_s = sample_s, min(sample_s, FLOOR_S), 0.0
        else:
            self._newest_s = sample_s
            self.rtt_s += _WEIGHT * (sample_s - self.rtt_s)
            self._bounded_s += _WEIGHT * (bounded_s - self._bounded_s)

    @property
    def stalls(self) -> bool:
        """Whether the newest sample says more than any average."""
        return self._newest_s > STALLED_S

    def judge(self, others_s: float, now_s: float, *, alone: bool) -> None:
        """One beat; ``others_s`` is the median of the others. ``alone``: they do not stall, or few of them."""
        bound_s = max(FLOOR_S, FACTOR * others_s)
        if alone and self.stalls:
            self._above = BEATS
        elif self._bounded_s > bound_s:
            self._above = min(BEATS, self._above + 1)
        elif not self.slow or self._bounded_s < bound_s / 2:
            self._above = max(0, self._above - 1)
        if not self.slow and self._above == BEATS:
            self.slow = True
            self._until_s = now_s + self._backoff.fell(now_s)
        elif self.slow and self._above == 0 and now_s >= self._until_s:
            self.slow = False
            self._backoff.back(now_s)

    @property
    def counted_s(self) -> float:
        """What others are held against."""
        return self._bounded_s


def judge(peers: Sequence[Latency], now_s: float) -> None:
    """Hold all that were measured against one another."""
    measured = [peer for peer in peers if peer.rtt_s is not None]
    if len(measured) < 2:
        for peer in peers:
            peer.slow = False
        return
    ordered = sorted(measured, key=lambda peer: peer.counted_s)
    middle = (len(ordered) - 2) // 2
    alone = 2 * sum(peer.stalls for peer in measured) <= len(measured)
    for at, peer in enumerate(ordered):
        # The lower median of those that are left without this one.
        peer.judge(ordered[middle if at > middle else middle + 1].counted_s, now_s, alone=alone)
