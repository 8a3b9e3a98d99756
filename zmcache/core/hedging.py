"""When a get has waited for so long that another node is worth asking, and how many may be. Pure.

`Lateness` follows the time within which 19 of 20 answers of one node come, by stochastic approximation (Robbins, Monro, A Stochastic Approximation
Method, 1951): a request that is not answered by then raises it by a step, one that is lowers it by a nineteenth of that. So it stands
still where one in twenty comes later, whatever the times are. One number is all that is kept, and only whether an answer came in time has to be
known: that a request is given up, since another node was quicker, costs no sample.

Not every request is looked at: the next one begins when the last has ended or was late. What a node does in one moment it does to all who ask in
it: a pause of a second is one bad second, and raises the time by a tenth of that, not once for each caller.
"""

from __future__ import annotations

from typing import Final

DEFAULT_SHARE: Final = 0.05
_QUANTILE: Final = 0.95
_STEP: Final = 0.1  # of the time itself
_BEGIN_S: Final = 0.010
# Timers tell no less; and within a millisecond or two a busy loop has simply not come to it.
LEAST_S: Final = 0.002
MOST_S: Final = 1.0
_SAVED_MOST: Final = 16.0


class Lateness:
    """One node's. Times are of one clock that the caller passes in. Costs nothing but two comparisons for requests that are not looked at."""

    __slots__ = ("_next_s", "p95_s")

    def __init__(self) -> None:
        self.p95_s = _BEGIN_S
        """Who waits for longer waits for longer than 19 of 20."""
        self._next_s = 0.0

    def looks_at(self, began_s: float) -> bool:
        """Whether the request that begins now is one of those to be told of (`ended`), once it has waited for `p95_s`."""
        if began_s < self._next_s:
            return False
        self._next_s = began_s + self.p95_s
        return True

    def ended(self, *, late: bool) -> None:
        """A request that was looked at has been answered in time, or was ``late``."""
        factor = 1 + _STEP * _QUANTILE if late else 1 - _STEP * (1 - _QUANTILE)
        self.p95_s = min(MOST_S, max(LEAST_S, self.p95_s * factor))


class Allowance:
    """How many requests may be made beside the others: ``share`` of them, a few saved up at the most."""

    __slots__ = ("_saved", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 0.0

    def earn(self, requests: int) -> None:
        """So many were made."""
        self._saved = min(_SAVED_MOST, self._saved + requests * self._share)

    def take(self) -> bool:
        """Whether there may be one more now."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
