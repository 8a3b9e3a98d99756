"""The loop's side: starts the thread that lives with etcd, hands its findings to the loop, stops it in bounded time.

The thread never touches anything of the loop's but through ``call_soon_threadsafe``, so callbacks run on the loop that
called `start`, in the order in which the thread found things out, and none runs once `stop` was called.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from zmcache.core.ring import Member
from zmcache.discovery.base import Snapshot
from zmcache.discovery.etcd.contract import EtcdStatistics, Settings, Update
from zmcache.discovery.etcd.worker import REVOKE_LIMIT_S, Worker
from zmcache.discovery.lastseen import LastSeen
from zmcache.errors import ConfigError, DiscoveryError, LifecycleError

_log = logging.getLogger("zmcache.discovery")

_ABORT_AFTER_S = 0.5
"""How long `stop` lets a call finish that may hang, before it is cut off; a healthy etcd answers far sooner."""


class EtcdDiscovery:
    """A `Discovery` through etcd: each node's key lives by a lease, and everybody watches the keys.

    ``cluster`` names the mesh; nodes of other clusters in the same etcd are not seen.
    ``endpoints`` are ``host:port`` of etcd's members, tried in turn.
    ``lease_s`` (default 10) is how long a node that died stays in the list: shorter finds out sooner, but a pause of
    that length (of this process or of etcd) then costs the registration. etcd grants no less than about 2 s.
    ``start_timeout_s`` (default 30) is how long `start` tries without an etcd and without members ``last_seen``. When
    this node's id is still registered at another endpoint, `start` waits for that lease to run out besides.
    ``resync_s`` (default 30) is how often the list is read whole, whatever the watch says.
    ``last_seen`` keeps the last snapshot on disk (None: it is not kept).

    Raises `ConfigError` for settings that can never work. One object serves one `start` and one `stop`.
    """

    def __init__(
        self,
        cluster: str,
        endpoints: Sequence[str],
        *,
        lease_s: float = 10.0,
        start_timeout_s: float = 30.0,
        resync_s: float = 30.0,
        last_seen: LastSeen | None = None,
    ) -> None:
        if not cluster or "/" in cluster:
            raise ConfigError("the name of a cluster is text without a slash", path="cluster")
        if isinstance(endpoints, str) or not endpoints:
            raise ConfigError("a list of one or more host:port of etcd", path="endpoints")
        for endpoint in endpoints:
            host, _, port = endpoint.rpartition(":")
            if not host or "/" in host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                raise ConfigError(f"host:port of etcd, not {endpoint!r}", path="endpoints")
        if not (lease_s > 0 and resync_s > 0 and start_timeout_s >= 0):
            raise ConfigError("times above zero", path="lease_s, resync_s, start_timeout_s")
        self._settings = Settings(cluster, tuple(endpoints), lease_s, start_timeout_s, resync_s)
        self._last_seen = last_seen
        self._worker: Worker | None = None
        self._stopping = False
        self._node_id: str | None = None
        self._pending: set[asyncio.Future[None]] = set()

    async def start(
        self, member: Member | None, on_snapshot: Callable[[Snapshot], None], on_lost: Callable[[], None]
    ) -> None:
        """See `Discovery`. Raises `DiscoveryError` with one line: no etcd, or the node id is another live node's."""
        if self._worker is not None or self._stopping:
            raise LifecycleError("an EtcdDiscovery is started once")
        if member is not None and (not member.node_id or "/" in member.node_id):
            raise ConfigError(f"a node id is text without a slash, not {member.node_id!r}", path="node_id")
        self._loop = asyncio.get_running_loop()
        self._on_snapshot, self._on_lost = on_snapshot, on_lost
        self._first: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._node_id = member.node_id if member else None
        self._worker = Worker(self._settings, member, self, self._last_seen)
        self._worker.start()
        try:
            await self._first
        except BaseException:
            await self.stop()
            raise

    async def update(self, member: Member) -> None:
        """See `Discovery`. While etcd is away this raises, and the change is published when etcd is back."""
        if self._worker is None or self._stopping or self._ended.done():
            raise DiscoveryError("nothing can be published: this discovery does not run")
        if self._node_id is not None and member.node_id != self._node_id:
            raise DiscoveryError(f"node {self._node_id} cannot speak for node {member.node_id}")
        done: asyncio.Future[None] = self._loop.create_future()
        self._pending.add(done)
        done.add_done_callback(self._pending.discard)
        self._worker.post(Update(member, done))
        await done

    async def stop(self) -> None:
        """See `Discovery`. Takes two seconds at most, and that only while etcd hangs."""
        self._stopping = True
        worker = self._worker
        if worker is None:
            return
        if not self._ended.done():
            worker.stop()
            await asyncio.wait([self._ended], timeout=_ABORT_AFTER_S)
        if not self._ended.done():
            worker.abort()
            await asyncio.wait([self._ended], timeout=REVOKE_LIMIT_S)
        if self._ended.done():
            worker.join()  # it has said its last word and only has to return
        else:
            _log.warning("the thread that talks to etcd hangs and is left behind")

    def statistics(self) -> EtcdStatistics:
        """The state and the counters as they are now; zeros before `start`."""
        return self._worker.statistics() if self._worker is not None else EtcdStatistics()

    # What the thread tells (`contract.Sink`).

    def snapshot(self, snapshot: Snapshot) -> None:
        """From the thread."""
        self._to_loop(self._handle_snapshot, snapshot)

    def lost(self) -> None:
        """From the thread."""
        self._to_loop(self._handle_lost)

    def failed(self, error: DiscoveryError) -> None:
        """From the thread."""
        self._to_loop(_settle, self._first, error)

    def resolve(self, done: asyncio.Future[None], error: DiscoveryError | None) -> None:
        """From the thread."""
        self._to_loop(_settle, done, error)

    def ended(self) -> None:
        """From the thread."""
        self._to_loop(self._handle_ended)

    def _to_loop(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            # The loop was closed under us, without `stop`: nobody is there to be told, so the lease may go.
            if (worker := self._worker) is not None:
                worker.stop()

    # On the loop.

    def _handle_snapshot(self, snapshot: Snapshot) -> None:
        if self._stopping:
            return
        try:
            self._on_snapshot(snapshot)
        finally:
            if not self._first.done():
                self._first.set_result(None)

    def _handle_lost(self) -> None:
        if not self._stopping:
            self._on_lost()

    def _handle_ended(self) -> None:
        self._ended.set_result(None)
        for done in [self._first, *self._pending]:
            _settle(done, DiscoveryError("this discovery was stopped"))


def _settle(done: asyncio.Future[None], error: DiscoveryError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
