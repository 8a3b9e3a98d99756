"""A discovery whose members come and go by hand: no service, no lease, no time that passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zmcache.core.ring import Member
from zmcache.discovery.base import Snapshot


class Registry:
    """Who the members are, told to all who watch; ``views`` gives single nodes another idea of it."""

    def __init__(self) -> None:
        self.revision = 1
        self.members: dict[str, Member] = {}
        self.views: dict[str, tuple[Member, ...]] = {}
        self.watchers: dict[str, HandDiscovery] = {}

    def put(self, member: Member) -> None:
        """Register, or update, and tell everyone."""
        self.members[member.node_id] = member
        self.publish()

    def drop(self, *node_ids: str) -> None:
        """Take nodes off the list, as when their leases end at once, and tell everyone."""
        for node_id in node_ids:
            self.members.pop(node_id, None)
        self.publish()

    def publish(self) -> None:
        """Tell everyone, at a new revision."""
        self.revision += 1
        for watcher in list(self.watchers.values()):
            asyncio.get_running_loop().call_soon(watcher.deliver)


class HandDiscovery:
    """A `Discovery` over a `Registry`."""

    def __init__(self, registry: Registry, member: Member) -> None:
        self.registry = registry
        self.node_id = member.node_id
        self.on_snapshot: Callable[[Snapshot], None] | None = None
        self.on_lost: Callable[[], None] = lambda: None

    async def start(
        self, member: Member | None, on_snapshot: Callable[[Snapshot], None], on_lost: Callable[[], None]
    ) -> None:
        """See `Discovery.start`."""
        self.on_snapshot, self.on_lost = on_snapshot, on_lost
        self.registry.watchers[self.node_id] = self
        if member is not None:
            self.registry.put(member)
        self.deliver()

    async def update(self, member: Member) -> None:
        """See `Discovery.update`."""
        self.registry.put(member)

    async def stop(self) -> None:
        """See `Discovery.stop`."""
        self.registry.watchers.pop(self.node_id, None)
        if self.node_id in self.registry.members:
            self.registry.drop(self.node_id)

    def deliver(self) -> None:
        """Tell the node who is there, unless it watches no more."""
        members = self.registry.views.get(self.node_id, tuple(self.registry.members.values()))
        if self.on_snapshot is not None and self.node_id in self.registry.watchers:
            self.on_snapshot(Snapshot(self.registry.revision, members))
