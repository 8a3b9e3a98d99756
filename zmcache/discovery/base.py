"""What a discovery is: it makes this node known, and says who the members are, whole, each time that changes.

A discovery knows nothing of rings or sockets. It promises:

- `start` returns after the first snapshot was delivered, or raises `DiscoveryError`;
- snapshots are delivered on the loop that called `start`, in order, with a revision that never falls;
- while the service behind it is away the last snapshot stands: it never delivers an emptier one because it cannot see;
- `stop` takes the node off the list at once, as far as the service can be reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from zmcache.core.ring import Member


class Snapshot(NamedTuple):
    """Who is there. ``revision`` orders snapshots (etcd's revision; 0 for a static list)."""

    revision: int
    members: tuple[Member, ...]


class Discovery(Protocol):
    """See the module's docstring for what is promised."""

    async def start(
        self, member: Member | None, on_snapshot: Callable[[Snapshot], None], on_lost: Callable[[], None]
    ) -> None:
        """Register ``member`` (None: only watch), deliver the first snapshot, then every change until `stop`.

        ``on_lost`` is called each time it turns out that the registration had lapsed: others may have taken this
        node's keys meanwhile. The registration is made again by the discovery itself.
        """

    async def update(self, member: Member) -> None:
        """Publish another state or weight of the same node. Raises `DiscoveryError` when it cannot be published."""

    async def stop(self) -> None:
        """Take the node off the list and stop watching. Bounded in time, raises nothing, idempotent."""
