"""What a thing under load has to offer, whatever it is: read a key, write a key, and say what its nodes have counted.

The runner knows nothing else. Whatever a target raises out of `read` or `write` is one failed request, counted by its
class; only `TargetRefused` ends the run. A target promises that each call ends by itself: it has its own deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

Source = Literal["hot", "owner", "load", "absent"]
"""Where a read was answered from: a hot copy, the owner's store, a load from the backend, or there is no such key."""


class NodeCounters(NamedTuple):
    """What one node has counted since it started: requests it served, and keys its loader was asked for."""

    requests: int
    loads: int


class Target(Protocol):
    """The thing under load."""

    @property
    def description(self) -> Mapping[str, str]:
        """What the report says it was: ``kind``, and whatever else tells it from another."""

    async def read(self, key: str) -> Source:
        """Read one key, and say where the answer came from."""

    async def write(self, key: str, value: bytes) -> None:
        """Store one value."""

    async def counters(self) -> Mapping[str, NodeCounters]:
        """The counters of the nodes that answer, by node id. Raises `TargetUnavailable` when none does."""
