"""Our own key: whose a node id is, and the lease that the key lives by.

A node id belongs to the endpoint that registered it, for as long as that lease lives. So a node that was restarted takes
its key over at once, old lease or not, and two nodes that were given the same id by mistake do not overwrite each other
in turns. The key is only ever written by a transaction on the revision it was last seen at: of two that come at the same
moment one sees the other.
"""

from __future__ import annotations

import math

from zmcache.core.ring import Member
from zmcache.discovery import record
from zmcache.discovery.etcd.connection import Connection, Entry, EtcdError, LeaseNotFound

_TRIES = 8
"""A key that changes under our hands more often than this is not being changed by restarts."""


class IdTaken(Exception):
    """Another endpoint is registered under our node id."""

    def __init__(self, node_id: str, endpoint: str, lease: int) -> None:
        super().__init__(f"node id {node_id!r} is taken by a live node at {endpoint}")
        self.endpoint, self.lease = endpoint, lease


class Registration:
    """The key of ``member`` under ``prefix``.

    ``held``: it stands under our lease, as far as we know. ``due``: it is to be put (again), held or not.
    """

    def __init__(self, prefix: bytes, member: Member, lease_s: float) -> None:
        self.member = member
        self.key = prefix + member.node_id.encode()
        self.lease = 0
        self.held, self.due = False, True
        self.ttl_s = lease_s
        self._asked_s = lease_s

    @property
    def interval_s(self) -> float:
        """Seconds between two renewals: a third of the lease, so that two may fail."""
        return self.ttl_s / 3

    def make(self, conn: Connection) -> bool:
        """Put the key under a living lease. True if it had been held and was found lapsed.

        Raises `IdTaken`, `EtcdError`.
        """
        lapsed = False
        if not self.lease:
            self._grant(conn)
        try:
            self._claim(conn)
        except LeaseNotFound:
            lapsed = self.held
            self._grant(conn)
            self._claim(conn)
        self.held, self.due = True, False
        return lapsed

    def stands(self, entry: Entry | None) -> bool:
        """Whether ``entry``, which is what etcd has under our key, is ours."""
        return entry is not None and entry.lease == self.lease

    def is_foreign(self, entry: Entry) -> bool:
        """Whether another endpoint wrote ``entry``. What cannot be read was written by nobody who could mind."""
        if entry.lease == self.lease:
            return False
        try:
            return record.decode(self.member.node_id, entry.value).endpoint != self.member.endpoint
        except record.BadRecord:
            return False

    def _grant(self, conn: Connection) -> None:
        # etcd grants no lease shorter than its own election timeout allows, and only whole seconds.
        self.lease, granted_s = conn.grant(max(1, math.ceil(self._asked_s)))
        self.ttl_s = min(self._asked_s, granted_s)

    def _claim(self, conn: Connection) -> None:
        seen = 0
        for _ in range(_TRIES):
            found = conn.put_if(self.key, record.encode(self.member).encode(), self.lease, seen)
            if found is None:
                return
            if found.mod_revision and self.is_foreign(found):
                other = record.decode(self.member.node_id, found.value).endpoint
                raise IdTaken(self.member.node_id, other, found.lease)
            seen = found.mod_revision
        raise EtcdError("the key of this node does not stand still")
