"""What the thread keeps from one connection to the next: our registration, the members known, what was counted.

Its invariant: while this node is registered, no snapshot without it is handed on. A listing that lacks our key is not
believed; the key is put again and the listing repeated. When our key has gone, the others' may have gone with it (etcd's
data lost, or etcd stopped for longer than a lease), so for ``withhold_s`` nobody is dropped.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from zmcache.core.ring import JOINING, SERVING, Member
from zmcache.discovery.etcd.complaints import Complaints
from zmcache.discovery.etcd.connection import Connection, EtcdError, WatchBatch
from zmcache.discovery.etcd.contract import Settings, Sink, Update
from zmcache.discovery.etcd.registration import IdTaken, Registration
from zmcache.discovery.etcd.view import View
from zmcache.discovery.lastseen import LastSeen
from zmcache.errors import DiscoveryError

_log = logging.getLogger("zmcache.discovery")

_TRIES = 4
"""Once is the rule, twice after a loss; more means that somebody deletes our key as fast as we put it."""


class Keeper:
    """Lives on the worker's thread. ``pause`` waits and still hears of a stop."""

    def __init__(
        self,
        settings: Settings,
        member: Member | None,
        sink: Sink,
        last_seen: LastSeen | None,
        pause: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._settings, self._sink, self._last_seen, self._pause = settings, sink, last_seen, pause
        self.registration = Registration(settings.prefix, member, settings.lease_s) if member else None
        self.complaints = Complaints(clock)
        self.view = View(settings.prefix, self.complaints)
        self.lease_losses = self.listings = 0
        self._renew_at = self._resync_at = self._withhold_until = 0.0
        self._taken = ""

    def due_in(self) -> float:
        """Seconds until `tend` has something to do."""
        now = self._clock()
        due = min(self._renew_at if self.registration else math.inf, self._resync_at)
        return max(0.0, (min(due, self._withhold_until) if self._withhold_until > now else due) - now)

    def tend(self, conn: Connection) -> bool:
        """Renew and list again where it is time, and publish what could not be. True if the listing showed what the watch had not told."""
        ours = self.registration
        if ours is not None and self._clock() >= self._renew_at:
            self._renew(conn, ours)
            if ours.held and ours.due:
                self._register(conn)
        return self._clock() >= self._resync_at and self.synchronise(conn)

    def withhold_removals(self) -> None:
        """Drop nobody until the others had time to register again."""
        self._withhold_until = self._clock() + self._settings.withhold_s

    def doubt_lease(self) -> None:
        """Renew at the next `tend`: how much is left of the lease is unknown."""
        self._renew_at = 0.0

    def synchronise(self, conn: Connection) -> bool:
        """Register if need be, list, hand on what is new. True if the listing differed from what was known."""
        ours = self.registration
        for _ in range(_TRIES):
            self._register(conn)
            listing = conn.list_prefix(self._settings.prefix)
            if ours is None or not ours.held:
                break
            entry = listing.entries.get(ours.key)
            if ours.stands(entry):
                break
            if entry is None or ours.is_foreign(entry):
                self._lapse(ours)
            else:
                # Ours in name, under another lease or none: edited by hand, perhaps. It must not outlive us.
                ours.due = True
        else:
            raise EtcdError("the key of this node does not stay where it was put")
        self.listings += 1
        differ = self.view.replace(listing)
        self._resync_at = self._clock() + self._settings.resync_s
        self.deliver()
        return differ

    def apply(self, conn: Connection, batch: WatchBatch) -> None:
        """Take over what a watch brought. If our own key is among what has gone, it is put again first."""
        ours = self.registration
        gone = False
        for change in batch.changes:
            if ours is not None and ours.held and change.key == ours.key and self.view.is_news(change):
                gone = gone or change.entry is None or ours.is_foreign(change.entry)
        self.view.apply(batch.changes)
        if ours is not None and gone:
            self._lapse(ours)
            self.synchronise(conn)

    def publish(self, conn: Connection | None, update: Update) -> None:
        """Put another state of ourselves. Without a connection it is put with the next one, and the caller told so."""
        ours = self.registration
        if ours is None:
            self._sink.resolve(update.done, DiscoveryError("nobody is registered: this discovery only watches"))
            return
        ours.member, ours.due = update.member, True
        if conn is None:
            self._sink.resolve(update.done, DiscoveryError("etcd is away: it will be told when it is back"))
            return
        try:
            self._put(conn, ours)
        except (EtcdError, IdTaken) as exc:
            self._sink.resolve(update.done, DiscoveryError(f"etcd did not take the change: {exc}"))
            if isinstance(exc, EtcdError):
                raise
        else:
            self._sink.resolve(update.done, None)

    def deliver(self) -> None:
        """Hand on what is new, and remember it on disk."""
        withhold = self._clock() < self._withhold_until
        if (snapshot := self.view.take_snapshot(withhold_removals=withhold)) is not None:
            self._sink.snapshot(snapshot)
            if self._last_seen is not None:
                self._last_seen.save(self._settings.cluster, snapshot)

    def deliver_last_seen(self) -> bool:
        """Begin with the members last seen, with ourselves as we are now. False if there are none."""
        snapshot = self._last_seen.load(self._settings.cluster) if self._last_seen else None
        if snapshot is None:
            return False
        members = {member.node_id: member for member in snapshot.members}
        if self.registration is not None:
            # What was saved last may say that we are leaving. That we join nobody can hear, who could hand anything over for it: the others
            # have us in their lists as one that serves, if at all.
            ours = self.registration.member
            members[ours.node_id] = ours._replace(state=SERVING) if ours.state == JOINING else ours
        snapshot = snapshot._replace(members=tuple(members[node_id] for node_id in sorted(members)))
        self.view.delivered = snapshot
        self._sink.snapshot(snapshot)
        return True

    def _register(self, conn: Connection) -> None:
        ours = self.registration
        if ours is None or (ours.held and not ours.due):
            return
        try:
            self._put(conn, ours)
        except IdTaken as taken:
            if self.view.delivered is None:
                self._await_expiry(conn, ours, taken)
            elif taken.endpoint != self._taken:
                self._taken = taken.endpoint
                _log.error("this node is not in the ring: %s", taken)

    def _put(self, conn: Connection, ours: Registration) -> None:
        try:
            lapsed = ours.make(conn)
        except IdTaken:
            if ours.held:
                self._lapse(ours)
            raise
        finally:
            self._renew_at = self._clock() + ours.interval_s
        self._taken = ""
        if lapsed:
            self._tell_lost()

    def _renew(self, conn: Connection, ours: Registration) -> None:
        self._renew_at = self._clock() + ours.interval_s
        if ours.held:
            if conn.keep_alive(ours.lease):
                return
            self._lapse(ours)
        self.synchronise(conn)

    def _lapse(self, ours: Registration) -> None:
        ours.held = False
        self._tell_lost()

    def _tell_lost(self) -> None:
        self.lease_losses += 1
        self.withhold_removals()
        _log.warning("the registration of this node in etcd had lapsed; it is being made again")
        self._sink.lost()

    def _await_expiry(self, conn: Connection, ours: Registration, taken: IdTaken) -> None:
        """Our id under another endpoint may be what we left behind before a restart: then its lease runs out.

        A lease that is renewed meanwhile has a living owner, and a key without one never goes: `DiscoveryError`.
        """
        left_s = conn.time_to_live(taken.lease) if taken.lease else math.inf
        if left_s < math.inf:
            _log.info("%s; waiting %.0f s for its lease, which it may have left behind before a restart", taken, left_s)
        # Leases are told in whole seconds, and etcd looks for expired ones twice a second.
        give_up_at = self._clock() + left_s + 2.0
        while left_s < math.inf and self._clock() < give_up_at:
            self._pause(0.2)
            try:
                self._put(conn, ours)
                return
            except IdTaken as still:
                taken = still
            before_s, left_s = left_s, conn.time_to_live(taken.lease) if taken.lease else math.inf
            if left_s > before_s:
                break
        raise DiscoveryError(str(taken)) from taken
