"""What passes between the loop's side and the thread: settings and updates down, findings and counters up."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from zmcache.core.ring import Member
from zmcache.discovery.base import Snapshot
from zmcache.errors import DiscoveryError


class Settings(NamedTuple):
    """What `EtcdDiscovery` was given; see there."""

    cluster: str
    endpoints: tuple[str, ...]
    lease_s: float
    start_timeout_s: float
    resync_s: float

    @property
    def prefix(self) -> bytes:
        """Every key of this cluster begins with it, and it ends in a slash: ``a`` never reads the nodes of ``ab``."""
        return f"/zmcache/{self.cluster}/nodes/".encode()

    @property
    def call_timeout_s(self) -> float:
        """A fifth of the lease: two renewals and a change of endpoint fit into one lease."""
        return min(2.0, max(0.5, self.lease_s / 5))

    @property
    def withhold_s(self) -> float:
        """Time for every other node to have noticed too (a third, the longest pause) and to be back in the list."""
        return self.lease_s * 2 / 3


class EtcdStatistics(NamedTuple):
    """The state of an `EtcdDiscovery` and what it has counted since it started."""

    connected: bool = False
    """The last call succeeded and the watch is open."""
    endpoint: str = ""
    """The endpoint in use, or the one last tried."""
    registered: bool = False
    revision: int = 0
    """Of the last snapshot."""
    members: int = 0
    outages: int = 0
    """How often a whole round of endpoints had failed."""
    lease_losses: int = 0
    resyncs: int = 0
    """Listings after the first."""
    watch_restarts: int = 0
    ignored_records: int = 0


class Update(NamedTuple):
    """Publish ``member``; ``done`` belongs to the loop and is only ever touched there."""

    member: Member
    done: asyncio.Future[None]


class Sink(Protocol):
    """What the worker tells, from its own thread."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """The members are these now."""

    def lost(self) -> None:
        """The registration had lapsed."""

    def failed(self, error: DiscoveryError) -> None:
        """There will be no first snapshot."""

    def resolve(self, done: asyncio.Future[None], error: DiscoveryError | None) -> None:
        """An update was published, or could not be."""

    def ended(self) -> None:
        """The thread's last word."""
