"""A simulated etcd: keys, leases and a watch, for the processes of a simulated cluster (`simulated_discovery`).

While it is *away* nothing is told and no lease ends; when it is back each lease begins anew. Each process hears of a change at a moment of its own.
"""

from __future__ import annotations

from random import Random
from typing import Final, Protocol

from simulated_network import Network
from virtual_time import Handle, ProcessLoop, World

from zmcache.discovery.base import Snapshot
from zmcache.discovery.etcd.connection import Change, Entry, LeaseNotFound
from zmcache.discovery.etcd.contract import Settings

NAME: Final = "etcd"


class Session(Protocol):
    """Whoever watches the keys."""

    def tell(self, changes: tuple[Change, ...]) -> None:
        """Keys have changed."""

    def watch_ended(self) -> None:
        """What was watched is not there any more."""


class SimulatedEtcd:
    """Keys and leases. ``last_seen`` is what processes remember on their disks, by node."""

    def __init__(self, world: World, network: Network, random: Random, *, lease_s: float) -> None:
        self.world, self.network, self.random = world, network, random
        self.settings = Settings("simulated", ("etcd:1",), lease_s, 5.0, 30.0)
        self.revision = 1
        self.away = False
        self.entries: dict[bytes, Entry] = {}
        self.last_seen: dict[str, SeenBefore] = {}
        self._leases: dict[int, Handle] = {}
        self._sessions: dict[Session, None] = {}
        self._granted = 0

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def go_away(self) -> None:
        self.away = True
        for end in self._leases.values():
            end.cancel()

    def come_back(self) -> None:
        if self.away:
            self.away = False
            for lease in self._leases:
                self._leases[lease] = self._end_of(lease)

    def revoke_lease_of(self, *node_ids: str) -> None:
        for node_id in node_ids:
            entry = self.entries.get(self.settings.prefix + node_id.encode())
            if entry is not None:
                self.revoke(entry.lease)

    def lose_data(self) -> None:
        """It comes back empty, and counts from the beginning."""
        for end in self._leases.values():
            end.cancel()
        self._leases.clear()
        self.entries.clear()
        self.revision = 1
        for session in list(self._sessions):
            session.watch_ended()

    # -- what a connection does, at etcd -----------------------------------------------------------------------------

    def put_if(self, key: bytes, value: bytes, lease: int, mod_revision: int) -> Entry | None:
        if lease not in self._leases:
            raise LeaseNotFound("requested lease not found")
        found = self.entries.get(key)
        if (0 if found is None else found.mod_revision) != mod_revision:
            return found or Entry(b"", 0, 0)
        self.revision += 1
        self._tell((Change(key, entry := Entry(value, self.revision, lease), self.revision),))
        self.entries[key] = entry
        return None

    def grant(self) -> int:
        self._granted += 1
        self._leases[self._granted] = self._end_of(self._granted)
        return self._granted

    def keep_alive(self, lease: int) -> bool:
        end = self._leases.get(lease)
        if end is None:
            return False
        end.cancel()
        self._leases[lease] = self._end_of(lease)
        return True

    def revoke(self, lease: int) -> None:
        """End a lease: its time is over, or its holder wants it."""
        end = self._leases.pop(lease, None)
        if end is not None:
            end.cancel()
            gone = [key for key, entry in self.entries.items() if entry.lease == lease]
            if gone:
                self.revision += 1
                for key in gone:
                    del self.entries[key]
                self._tell(tuple(Change(key, None, self.revision) for key in gone))

    # -- for the processes that live with it -------------------------------------------------------------------------

    def reaches(self, process: ProcessLoop) -> bool:
        cut = self.network.is_cut
        return not (self.away or process.dead or cut(process.name, NAME) or cut(NAME, process.name))

    def begin(self, session: Session) -> None:
        self._sessions[session] = None

    def end(self, session: Session) -> None:
        self._sessions.pop(session, None)

    def pause(self) -> float:
        """One way between a process and etcd."""
        return (
            0.001
            + 0.02 * self.random.random() ** 4
            + (0.3 * self.random.random() if self.random.random() < 0.05 else 0.0)
        )

    def _end_of(self, lease: int) -> Handle:
        return self.world.after(self.settings.lease_s, self.revoke, lease)

    def _tell(self, changes: tuple[Change, ...]) -> None:
        for session in list(self._sessions):
            session.tell(changes)


class SeenBefore:
    """A node's disk, as far as members are concerned: a `LastSeen` without a file."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def load(self, cluster: str) -> Snapshot | None:
        return self.snapshot

    def save(self, cluster: str, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
