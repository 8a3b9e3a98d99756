"""The library for programs without an event loop: the same calls, made from any number of threads.

    with zmcache.sync.connect("10.0.0.1:7401") as cache:
        items = cache.group("items")
        items.get_or_set("42", lambda: load(42), ttl="5m")

door.py         a connection, and the groups in it
group.py        the calls on one group; cached.py: the decorator
bridge.py       from threads that wait to the loop that works, and back; call.py: one call; line.py: how threads are let go;
                exiting.py: what becomes of the loop when the program ends
documenting.py  the words of the asynchronous calls, for these

I/O is done by one event loop in a thread of the connection's own; a get or set that is alone asks its node itself. Functions that make values run in
the thread that waits for them.
"""

from __future__ import annotations

from zmcache import connecting
from zmcache.core.calls import Duration
from zmcache.core.wire import Limits
from zmcache.sync.cached import BoundSyncCached, SyncCached
from zmcache.sync.door import SyncCache
from zmcache.sync.group import SyncGroup

__all__ = ["BoundSyncCached", "SyncCache", "SyncCached", "SyncGroup", "connect"]


def connect(
    address: str,
    *,
    timeout: Duration | None = None,
    connect_timeout: Duration | None = None,
    on_error: str | None = None,
    route: str | None = None,
    busy_poll: float | None = None,
    near: int | str | None = None,
    near_ttl: Duration | None = None,
    hedge: bool | float | None = None,
    limits: Limits | None = None,
) -> SyncCache:
    return SyncCache(
        connecting.connect(
            address,
            timeout=timeout,
            connect_timeout=connect_timeout,
            on_error=on_error,
            route=route,
            busy_poll=busy_poll,
            near=near,
            near_ttl=near_ttl,
            hedge=hedge,
            limits=limits,
        )
    )


connect.__doc__ = (connecting.connect.__doc__ or "").replace("async with", "with")
