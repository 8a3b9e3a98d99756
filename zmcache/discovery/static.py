"""The members as the config lists them: for tests, for one machine, and where addresses never change.

Nobody registers and nothing is watched, so there is one snapshot, at revision 0, and never another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zmcache.core.ring import Member
from zmcache.discovery.base import Snapshot
from zmcache.errors import DiscoveryError


class StaticDiscovery:
    """A `Discovery` that knows its members from the beginning."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._snapshot = Snapshot(0, tuple(members))

    async def start(
        self, member: Member | None, on_snapshot: Callable[[Snapshot], None], on_lost: Callable[[], None]
    ) -> None:
        """Deliver the list. Whether ``member`` is in it is for the config to settle; ``on_lost`` is never called."""
        on_snapshot(self._snapshot)

    async def update(self, member: Member) -> None:
        """Raises `DiscoveryError`: the others read a list of their own and will not hear of it."""
        raise DiscoveryError(f"node {member.node_id}: a static list of members cannot be told of a change")

    async def stop(self) -> None:
        """Nothing to take back."""
