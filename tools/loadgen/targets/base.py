"""What a thing under load has to offer, whatever it is, and what it promises.

Whatever a target raises out of a request is one failed request, counted by its class; only `TargetRefused` ends the
run. Each call ends by itself: a target has its own deadlines, of the length that its opener was told. A request that
was cancelled, or came too late, leaves nothing behind that a later one could take for its own answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

Source = Literal["hot", "owner", "load", "found", "absent"]
"""Where a read was answered from: a hot copy, the owner's memory, a load from the backend; found, where the target
cannot say which; or there is no such key."""

Answer = tuple[Source, bytes | None]
"""A bare tuple: one is made per read. The value is None where, and only where, the key is absent."""

ABSENT: Answer = ("absent", None)


class NodeCounters(NamedTuple):
    """What one node has counted since it started: requests it served, and keys its loader was asked for."""

    requests: int
    loads: int


class Target(Protocol):
    """The thing under load."""

    @property
    def description(self) -> Mapping[str, str]:
        """What the report says it was: ``kind``, and whatever else tells it from another."""

    async def read(self, key: str) -> Answer:
        """Read one key: where the answer came from, and the value."""

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        """Read keys as one request; the values in the order asked, None for each key that is absent."""

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        """Store one value for ``ttl_s`` seconds; 0.0: for as long as the target keeps values by itself."""

    async def delete(self, key: str) -> None:
        """Delete one key, whether it is there or not."""

    async def counters(self) -> Mapping[str, NodeCounters]:
        """The counters of the nodes that answer, by node id; empty where there are no nodes to ask. Raises
        `TargetUnavailable` when there are, and none answers.
        """
