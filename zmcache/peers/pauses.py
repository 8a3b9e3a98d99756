"""How a client backs off from a node that answers `Busy`: it waits before it sends the next request of that kind and group there. Pure.

A request of which everything was refused doubles the pause, from `FIRST_S` to `MOST_S`, each time by chance between half and the whole, so
that clients which were refused in one moment do not come back in one. Requests that were on their way already do not double it once more. As soon as
anything of a request is served the pause is over: a node that serves hits and refuses misses is not to be kept from serving hits.

What waits here counts as in flight, so it is bounded as that is; and where the pause would outlast its deadline it is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

# As long as a few round trips; a caller that asks again in a loop hardly notices it.
FIRST_S: Final = 0.02
# A third of the time that a call has by default: who waits for a whole pause is still served.
MOST_S: Final = 1.0
_MOST_KINDS: Final = 1024

Kind: TypeAlias = tuple[str, int]
"""A group, and a kind of request."""


class Pauses:
    """Those of one client from one node. ``random`` is in [0, 1)."""

    __slots__ = ("_random", "_table")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._table: dict[Kind, tuple[float, float, float]] = {}  # how long, since when, until when

    def __len__(self) -> int:
        return len(self._table)

    def refused(self, kind: Kind, asked_s: float, now_s: float) -> None:
        """A request that was opened at ``asked_s`` was refused, the whole of it."""
        last_s, since_s, _ = self._table.get(kind, (0.0, asked_s, 0.0))
        if asked_s < since_s or (len(self._table) >= _MOST_KINDS and kind not in self._table):
            return
        pause_s = min(2 * last_s or FIRST_S, MOST_S)
        self._table[kind] = pause_s, now_s, now_s + pause_s * (1 + self._random()) / 2

    def served(self, kind: Kind) -> None:
        """Something was."""
        self._table.pop(kind, None)

    def until_s(self, kind: Kind) -> float:
        """When the next request may go."""
        entry = self._table.get(kind)
        return 0.0 if entry is None else entry[2]
