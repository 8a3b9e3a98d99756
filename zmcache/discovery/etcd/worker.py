"""The thread that lives with etcd.

1. Connect to one endpoint; on any failure go on to the next, and after a whole round of them pause, longer each time.
2. Register and list the prefix at revision R (`Keeper.synchronise`).
3. Watch from R+1. When the watch ends, whatever the reason, list again; every ``resync_s`` in any case, since a watch can
   hang in silence. Renew the lease every third of it.
4. At the end revoke the lease, in bounded time.

Until the first snapshot was handed on, failing has consequences: members last seen stand in after one whole round of
failures, else there is a `DiscoveryError` when ``start_timeout_s`` has passed. From then on nothing ends the thread but
`stop`: etcd may be away for ever and the last snapshot stands.

Everything that can happen comes through one inbox, so nothing here is locked. Only `post`, `stop`, `abort` and
`statistics` are called from outside.
"""

from __future__ import annotations

import logging
import math
import queue
import random
import threading
import time
from typing import Any

from zmcache.core.ring import Member
from zmcache.discovery.base import Snapshot
from zmcache.discovery.etcd.connection import Connection, EtcdError, Watch, WatchBatch, WatchEnded
from zmcache.discovery.etcd.contract import EtcdStatistics, Settings, Sink, Update
from zmcache.discovery.etcd.etcd3_import import load_etcd3
from zmcache.discovery.etcd.keeper import Keeper
from zmcache.discovery.lastseen import LastSeen
from zmcache.errors import DiscoveryError

_log = logging.getLogger("zmcache.discovery")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
REVOKE_LIMIT_S = 1.5
"""By when, after `Worker.stop`, the lease is revoked or left to expire."""


class _Stop(Exception):
    pass


class Worker(threading.Thread):
    """See the module's docstring."""

    def __init__(self, settings: Settings, member: Member | None, sink: Sink, last_seen: LastSeen | None) -> None:
        super().__init__(name="zmcache-etcd", daemon=True)
        self._settings, self._sink = settings, sink
        self._keeper = Keeper(settings, member, sink, last_seen, self._pause)
        self._inbox: queue.SimpleQueue[WatchBatch | WatchEnded | Update | None] = queue.SimpleQueue()
        self._start_by = time.monotonic() + settings.start_timeout_s
        self._revoke_by: float | None = None
        self._connection: Connection | None = None
        self._turn = self._failures = 0
        self._away = self._connected = False
        self._outages = self._watch_restarts = 0

    # From outside.

    def post(self, update: Update) -> None:
        """Have an update published. `Sink.resolve` is called for it, unless the thread has ended."""
        self._inbox.put(update)

    def stop(self) -> None:
        """Ask the thread to revoke the lease and end. Where a call hangs, that takes `abort` as well."""
        self._revoke_by = time.monotonic() + REVOKE_LIMIT_S
        self._inbox.put(None)

    def abort(self) -> None:
        """Cut off the call under way."""
        if (conn := self._connection) is not None:
            conn.close()

    def statistics(self) -> EtcdStatistics:
        """The counters as they are now."""
        keeper = self._keeper
        delivered = keeper.view.delivered or Snapshot(0, ())
        return EtcdStatistics(
            connected=self._connected,
            endpoint=self._endpoint,
            registered=keeper.registration is not None and keeper.registration.held,
            revision=delivered.revision,
            members=len(delivered.members),
            outages=self._outages,
            lease_losses=keeper.lease_losses,
            resyncs=max(0, keeper.listings - 1),
            watch_restarts=self._watch_restarts,
            ignored_records=keeper.complaints.count,
        )

    # The thread.

    def run(self) -> None:
        """From the import of etcd3 to the lease's end."""
        try:
            etcd3 = load_etcd3()
            try:
                while True:
                    self._try_endpoint(etcd3)
            except _Stop:
                pass  # as it was told to
            finally:
                self._revoke(etcd3)
        except DiscoveryError as exc:
            self._sink.failed(exc)
        finally:
            self._sink.ended()

    @property
    def _endpoint(self) -> str:
        return self._settings.endpoints[self._turn % len(self._settings.endpoints)]

    def _try_endpoint(self, etcd3: Any) -> None:
        """One session with one endpoint, until it fails; then what that failure calls for."""
        try:
            self._session(etcd3)
        except EtcdError as exc:
            cause = str(exc)
        except (_Stop, DiscoveryError):
            raise
        except Exception as exc:
            # A mistake of ours must cost a session, not this node's place in the cluster until it is restarted.
            _log.exception("unexpected while talking to etcd at %s", self._endpoint)
            cause = repr(exc)
        finally:
            self._connected = False
        self._after_failure(cause)

    def _session(self, etcd3: Any) -> None:
        conn = self._connection = Connection(etcd3, self._endpoint, self._settings.call_timeout_s)
        watch = None
        try:
            if self._away:
                self._keeper.withhold_removals()
            self._keeper.synchronise(conn)
            self._keeper.doubt_lease()
            if self._away:
                _log.warning("etcd is back, at %s", self._endpoint)
            self._away, self._failures, self._connected = False, 0, True
            while True:
                watch = conn.watch(self._settings.prefix, self._keeper.view.listed + 1, self._inbox.put)
                opened_at = time.monotonic()
                cause = self._serve(conn, watch)
                watch.cancel()
                self._watch_restarts += 1
                _log.info("the watch on etcd at %s is opened anew: %s", self._endpoint, cause)
                if time.monotonic() - opened_at < 1.0:
                    # One that is refused again and again must not become a busy loop.
                    self._pause(_FIRST_PAUSE_S)
                self._keeper.synchronise(conn)
        finally:
            if watch is not None:
                watch.cancel()
            conn.close()

    def _serve(self, conn: Connection, watch: Watch) -> str:
        """Live on one watch until it ends or is not to be trusted any more; returns the reason."""
        while True:
            if self._inbox.empty():  # what has piled up is handed on as one
                self._keeper.deliver()
            if self._keeper.tend(conn):
                return "it had not told of a change"
            message = self._take(self._keeper.due_in())
            if isinstance(message, Update):
                self._keeper.publish(conn, message)
            elif message is None or message.watch_id != watch.watch_id:
                continue  # nothing came, or a last word of a watch that was given up
            elif isinstance(message, WatchEnded):
                return message.cause
            else:
                self._keeper.apply(conn, message)

    def _after_failure(self, cause: str) -> None:
        endpoints, keeper = self._settings.endpoints, self._keeper
        _log.debug("etcd at %s: %s", self._endpoint, cause)
        self._turn += 1
        self._failures += 1
        rounds, rest = divmod(self._failures, len(endpoints))
        if rest:
            return
        at = ", ".join(endpoints)
        if not self._away:
            self._away = True
            self._outages += 1
            _log.warning("etcd at %s is away: %s", at, cause)
        left_s = math.inf
        if keeper.view.delivered is None and not keeper.deliver_last_seen():
            left_s = self._start_by - time.monotonic()
            if left_s <= 0:
                limit_s = self._settings.start_timeout_s
                raise DiscoveryError(f"etcd at {at} could not be used within {limit_s:g} s: {cause}")
        # A node that pauses longer than a third of its lease would be slow to come back into everybody's ring.
        longest_s = min(_LONGEST_PAUSE_S, self._settings.lease_s / 3)
        pause_s = min(longest_s, _FIRST_PAUSE_S * 2 ** min(rounds - 1, 16)) * random.uniform(0.5, 1.0)
        self._pause(min(pause_s, left_s))

    def _pause(self, seconds: float) -> None:
        """Wait, and still hear of a stop; what comes meanwhile from a watch is out of date by now."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            message = self._take(left_s)
            if isinstance(message, Update):
                self._keeper.publish(None, message)

    def _take(self, timeout_s: float) -> WatchBatch | WatchEnded | Update | None:
        """The next message, or None after ``timeout_s``. Unwinds the thread when it is to stop."""
        if self._revoke_by is not None:
            raise _Stop
        try:
            message = self._inbox.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if message is None:
            raise _Stop
        return message

    def _revoke(self, etcd3: Any) -> None:
        """Take our key off the list, at whichever endpoint answers in the time there is; else it will expire."""
        ours = self._keeper.registration
        if ours is None or not ours.lease:
            return
        revoke_by = self._revoke_by or time.monotonic() + REVOKE_LIMIT_S
        for _ in self._settings.endpoints:
            left_s = revoke_by - time.monotonic()
            if left_s <= 0:
                break
            conn = Connection(etcd3, self._endpoint, left_s)
            try:
                conn.revoke(ours.lease)
                return
            except EtcdError as exc:
                _log.debug("the lease could not be revoked at %s: %s", self._endpoint, exc)
            finally:
                conn.close()
            self._turn += 1
