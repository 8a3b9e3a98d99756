"""What the nodes counted while the run lasted, though they come and go; and which keys were asked for.

A node's counters only grow while it lives. So a share is the sum of what they grew by from one look to the next: a node
that is seen for the first time counts from zero, and so does one whose counters fell, since it was started again. A
node that does not answer keeps its last counts, and has left if it does not answer at the end either. Knowingly left: a
node that was there from before the run, and answered for the first time in the middle of it, brings what it counted
before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from ..targets.base import NodeCounters

_NOTHING = NodeCounters(0, 0)
_TOKENS_SENT_MAX = 500_000  # between processes; 20 MB of them


class NodeShare(NamedTuple):
    """What one node counted while the run lasted.

    ``state``: ``"stayed"``, ``"joined"``, ``"left"`` or ``"restarted"``. Of a node that left or restarted, what it
    counted after it was last looked at is lost.
    """

    requests: int
    loads: int
    state: Literal["stayed", "joined", "left", "restarted"]


class Keys(NamedTuple):
    """How many different keys were read: exactly, or at least so many. ``tokens``: which, where they are few enough to be sent."""

    number: int
    exact: bool
    tokens: frozenset[int | str] | None = None

    @classmethod
    def together(cls, parts: list[Keys]) -> Keys:
        """Those of several processes, which may have asked for the same."""
        if len(parts) == 1:
            return parts[0]
        known = [part.tokens for part in parts if part.tokens is not None]
        union = frozenset[int | str]().union(*known)
        exact = len(known) == len(parts) and all(part.exact for part in parts)
        return cls(max(len(union), *(part.number for part in parts)), exact)


class NodeTally:
    """Shares of the nodes, from one look to the next."""

    def __init__(self, before: Mapping[str, NodeCounters]) -> None:
        self.restart(before)

    def restart(self, before: Mapping[str, NodeCounters]) -> None:
        """Count from here on: what came before was warm-up."""
        self._stayed = frozenset(before)
        self._last = dict(before)
        self._grown = dict.fromkeys(before, _NOTHING)
        self._restarted: set[str] = set()
        self._present = frozenset(before)

    def observe(self, counted: Mapping[str, NodeCounters]) -> None:
        """Take one look; nodes that are missing in it do not answer now."""
        for node_id, now in counted.items():
            last = self._last.get(node_id, _NOTHING)
            if now.requests < last.requests or now.loads < last.loads:
                self._restarted.add(node_id)
                last = _NOTHING
            grown = self._grown.get(node_id, _NOTHING)
            self._grown[node_id] = NodeCounters(
                grown.requests + now.requests - last.requests, grown.loads + now.loads - last.loads
            )
            self._last[node_id] = now
        self._present = frozenset(counted)

    def shares(self) -> dict[str, NodeShare]:
        """Every node that was ever seen, by id, as of the last look."""
        return {node_id: self._share(node_id) for node_id in sorted(self._grown)}

    @property
    def exact(self) -> bool:
        """Whether every node could be followed to the end."""
        return not self._restarted and self._present >= self._grown.keys()

    def _share(self, node_id: str) -> NodeShare:
        requests, loads = self._grown[node_id]
        if node_id not in self._present:
            return NodeShare(requests, loads, "left")
        if node_id in self._restarted:
            return NodeShare(requests, loads, "restarted")
        return NodeShare(requests, loads, "stayed" if node_id in self._stayed else "joined")


class KeyTally:
    """Which different keys were asked for: exact up to a limit, and "at least so many" beyond it."""

    def __init__(self, limit: int = 2_000_000) -> None:
        """``limit`` bounds the memory: about 100 bytes an integer key, so 200 MB; and what comes between two calls of `settle`."""
        self._keys: set[int | str] = set()
        self._limit = limit
        self.exact = True
        self.add: Callable[[int | str], None] = self._keys.add
        """Take one. It is the set's own until the limit is reached, since a request can afford no more than that."""
        self.settle()

    def add_all(self, keys: Iterable[int | str]) -> None:
        """Take several."""
        for key in keys:
            self.add(key)

    def settle(self) -> None:
        """See whether the limit is reached. About once a second."""
        if len(self._keys) >= self._limit:
            self.add = self._miss

    def keys(self, *, to_be_sent: bool) -> Keys:
        """What was taken; with the tokens where another process is to add them to its own."""
        few = to_be_sent and len(self._keys) <= _TOKENS_SENT_MAX
        return Keys(len(self._keys), self.exact, frozenset(self._keys) if few else None)

    def _miss(self, key: int | str) -> None:
        if key not in self._keys:
            self.exact = False
