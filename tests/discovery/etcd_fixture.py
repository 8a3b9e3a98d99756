"""What the tests of discovery share: a listener that can be waited on, and a discovery that is stopped at the end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from zmcache.core.ring import Member
from zmcache.discovery import EtcdDiscovery, Snapshot

LEASE_S = 2.0
"""The shortest that etcd grants."""


class Listener:
    """Collects what a discovery tells, and checks what holds for every snapshot ever."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.losses = 0
        self.threads: set[int] = set()

    def on_snapshot(self, snapshot: Snapshot) -> None:
        assert not self.snapshots or snapshot.revision >= self.snapshots[-1].revision, "a revision fell"
        self.threads.add(threading.get_ident())
        self.snapshots.append(snapshot)

    def on_lost(self) -> None:
        self.threads.add(threading.get_ident())
        self.losses += 1

    @property
    def ids(self) -> set[str]:
        """Who is there by the last snapshot."""
        return {member.node_id for member in self.snapshots[-1].members}

    def ever_missing(self, node_id: str) -> bool:
        return any(node_id not in {member.node_id for member in snapshot.members} for snapshot in self.snapshots)

    async def wait_ids(self, *ids: str, limit_s: float = 15.0) -> None:
        await wait_until(
            lambda: bool(self.snapshots) and self.ids == set(ids), lambda: f"{ids}: {self.snapshots}", limit_s
        )


async def wait_until(
    condition: Callable[[], bool], what: Callable[[], object] = lambda: "it", limit_s: float = 15.0
) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what()}"
        await asyncio.sleep(0.01)


def member(node_id: str, port: int = 7401, **more: Any) -> Member:
    return Member(node_id, f"127.0.0.1:{port}", **more)


@contextlib.asynccontextmanager
async def joined(
    cluster: str, endpoints: str | list[str], node: Member | None, **settings: Any
) -> AsyncIterator[tuple[EtcdDiscovery, Listener]]:
    """A started discovery and what it tells, stopped at the end."""
    endpoints = [endpoints] if isinstance(endpoints, str) else endpoints
    discovery, listener = EtcdDiscovery(cluster, endpoints, **{"lease_s": LEASE_S, **settings}), Listener()
    await discovery.start(node, listener.on_snapshot, listener.on_lost)
    try:
        yield discovery, listener
    finally:
        await discovery.stop()


def zmcache_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("zmcache")]
