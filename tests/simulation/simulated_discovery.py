"""A `Discovery` over a simulated etcd, in which the real `Keeper` lives as it does in the thread of the real one.

Registrations, leases, what is withheld after a loss and when: all that is the real code (`zmcache.discovery.etcd.keeper`, `.view`, `.registration`).
What is played here is what surrounds it: the thread that calls the keeper (`zmcache.discovery.etcd.worker`), and its connection. What goes
between a process and etcd takes its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from simulated_etcd import SeenBefore, SimulatedEtcd
from virtual_time import Handle, ProcessLoop

from zmcache.core.ring import Member
from zmcache.discovery.base import Snapshot
from zmcache.discovery.etcd.connection import Change, Entry, EtcdError, Listing, WatchBatch
from zmcache.discovery.etcd.contract import Update
from zmcache.discovery.etcd.keeper import Keeper
from zmcache.errors import DiscoveryError

_REVOKE_S: Final = 1.5
_PAUSES_S: Final = (0.1, 5.0)


class _Connection:
    """What a process reaches of etcd now."""

    def __init__(self, etcd: SimulatedEtcd, process: ProcessLoop) -> None:
        self._etcd, self._process = etcd, process

    def _there(self) -> SimulatedEtcd:
        if not self._etcd.reaches(self._process):
            raise EtcdError("no answer in time")
        return self._etcd

    def list_prefix(self, prefix: bytes) -> Listing:
        etcd = self._there()
        return Listing(etcd.revision, dict(etcd.entries))

    def put_if(self, key: bytes, value: bytes, lease: int, mod_revision: int) -> Entry | None:
        return self._there().put_if(key, value, lease, mod_revision)

    def grant(self, ttl_s: int) -> tuple[int, float]:
        return self._there().grant(), float(ttl_s)

    def keep_alive(self, lease: int) -> bool:
        return self._there().keep_alive(lease)

    def time_to_live(self, lease: int) -> int:
        raise EtcdError("no two nodes have one id here")


class SimulatedDiscovery:
    """A `Discovery` for one process: the keeper, called as its thread calls it."""

    def __init__(self, etcd: SimulatedEtcd, process: ProcessLoop, noted: Callable[[], None] = lambda: None) -> None:
        """``noted`` is called when a registration turns out to have lapsed."""
        self._etcd, self._process, self._noted = etcd, process, noted
        self._connection = _Connection(etcd, process)
        self._keeper: Keeper | None = None
        self._first: asyncio.Future[None] | None = None
        self._away = self._watching = self._stopped = False
        self._pause_s = _PAUSES_S[0]
        self._timer: Handle | None = None
        self._began_s = process.time()
        self._told_s = 0.0

    # -- on the loop -------------------------------------------------------------------------------------------------

    async def start(
        self, member: Member | None, on_snapshot: Callable[[Snapshot], None], on_lost: Callable[[], None]
    ) -> None:
        assert member is not None
        self._on_snapshot, self._on_lost = on_snapshot, on_lost
        self._first = self._process.create_future()
        disk = self._etcd.last_seen.setdefault(member.node_id, SeenBefore())
        self._keeper = Keeper(self._etcd.settings, member, self, disk, _never, self._process.time)  # type: ignore[arg-type]
        self._after(self._etcd.pause(), self._session)
        await self._first

    async def update(self, member: Member) -> None:
        assert self._keeper is not None
        done = self._process.create_future()
        self._after(self._etcd.pause(), self._publish, Update(member, done))
        await done

    async def stop(self) -> None:
        self._stopped = True
        self._etcd.end(self)
        ours = self._keeper.registration if self._keeper else None
        if ours is None or not ours.lease:
            return
        ended = self._process.create_future()
        until_s = self._process.time() + _REVOKE_S

        def revoke() -> None:
            if self._etcd.reaches(self._process):
                self._etcd.revoke(ours.lease)
            elif self._process.time() < until_s:
                self._after(0.5, revoke)
                return
            if not ended.done():
                ended.set_result(None)

        self._after(self._etcd.pause(), revoke)
        await ended

    # -- what the keeper tells: a `Sink` -----------------------------------------------------------------------------

    def snapshot(self, snapshot: Snapshot) -> None:
        self._to_loop(self._handle_snapshot, snapshot)

    def lost(self) -> None:
        self._noted()
        self._to_loop(self._on_lost)

    def resolve(self, done: asyncio.Future[None], error: DiscoveryError | None) -> None:
        self._to_loop(_settle, done, error)

    def _to_loop(self, call: Callable[..., None], *args: object) -> None:
        self._after(0.0, lambda: None if self._stopped else call(*args))

    def _handle_snapshot(self, snapshot: Snapshot) -> None:
        self._on_snapshot(snapshot)
        _settle(self._first, None)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _after(self, pause_s: float, call: Callable[..., object], *args: object) -> Handle:
        """In the process, which may be stopped by then."""
        return self._etcd.world.after(pause_s, self._process.arrive, call, *args)

    def _session(self) -> None:
        keeper = self._keeper
        if self._stopped or keeper is None:
            return
        try:
            if self._away:
                keeper.withhold_removals()
            keeper.synchronise(self._connection)  # type: ignore[arg-type]
        except EtcdError as error:
            self._failed(str(error))
            return
        keeper.doubt_lease()
        self._away, self._watching, self._pause_s = False, True, _PAUSES_S[0]
        self._etcd.begin(self)
        self._tend()

    def _failed(self, cause: str) -> None:
        keeper = self._keeper
        assert keeper is not None
        self._away, self._watching = True, False
        self._etcd.end(self)
        seen = keeper.view.delivered is not None or keeper.deliver_last_seen()
        if not seen and self._process.time() - self._began_s > self._etcd.settings.start_timeout_s:
            self._to_loop(_settle, self._first, DiscoveryError(f"etcd could not be used: {cause}"))
            return
        self._after(self._pause_s, self._session)
        self._pause_s = min(2 * self._pause_s, _PAUSES_S[1], self._etcd.settings.lease_s / 3)

    def _tend(self) -> None:
        if not self._stopped and self._watching and self._keeper is not None:
            self._guarded(lambda: self._keeper.tend(self._connection))  # type: ignore[union-attr, arg-type]

    def tell(self, changes: tuple[Change, ...]) -> None:
        """From etcd: its watch has something, which comes in order."""
        world = self._etcd.world
        self._told_s = max(self._told_s, world.now + self._etcd.pause())
        self._after(self._told_s - world.now, self._hear, changes)

    def watch_ended(self) -> None:
        """From etcd: what is watched is not there any more."""
        self._after(self._etcd.pause(), lambda: self._guarded(lambda: self._keeper.synchronise(self._connection)))  # type: ignore[union-attr, arg-type]

    def _hear(self, changes: tuple[Change, ...]) -> None:
        if not self._stopped and self._watching and self._keeper is not None:
            if self._etcd.reaches(self._process):
                self._guarded(lambda: self._keeper.apply(self._connection, WatchBatch(0, changes)))  # type: ignore[union-attr, arg-type]
            else:
                self._failed("the stream ended")

    def _publish(self, update: Update) -> None:
        if self._stopped:
            _settle(update.done, DiscoveryError("this discovery was stopped"))
        elif self._watching and self._etcd.reaches(self._process):
            self._guarded(lambda: self._keeper.publish(self._connection, update))  # type: ignore[union-attr, arg-type]
        else:
            self._keeper.publish(None, update)  # type: ignore[union-attr]

    def _guarded(self, work: Callable[[], object]) -> None:
        if self._stopped or not self._watching:
            return
        try:
            work()
            self._keeper.deliver()  # type: ignore[union-attr]
        except EtcdError as error:
            self._failed(str(error))
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._after(max(0.001, self._keeper.due_in()), self._tend)  # type: ignore[union-attr]


def _never(_: float) -> None:
    raise EtcdError("no two nodes have one id here")


def _settle(done: asyncio.Future[None] | None, error: DiscoveryError | None) -> None:
    if done is None or done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
