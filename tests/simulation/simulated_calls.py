"""Calls of a simulated cluster by those who use it, in clients and in the nodes' own processes, and how each ended, written down."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any

from history_record import CANCELLED, DONE, FAILED, MISS, VALUE, Operation
from simulated_cluster import Process, SimulatedCluster, place_of

from zmcache.core.calls import UNSET
from zmcache.core.wire import INCR, TTL_DEFAULT, Change
from zmcache.errors import ZmcacheError


class Caller:
    """Makes calls and writes them down in the cluster's history."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster, self._world = cluster, cluster.world
        self._operations = cluster.history.operations

    def call(
        self,
        process: Process,
        kind: str,
        group: str,
        key: str,
        *,
        timeout_s: float = 3.0,
        life_s: float = math.inf,
        give_up_s: float = math.inf,
    ) -> None:
        """Begin a call in that process now; its caller gives it up after a while, unless that is inf."""
        operation = Operation(len(self._operations), kind, group, key, place_of(process), self._world.now, timeout_s)
        self._operations.append(operation)
        task = process.loop.spawn(self._run(operation, process, life_s))
        if give_up_s < math.inf:
            self._world.after(give_up_s, process.loop.arrive, self._give_up, operation, task)

    def _give_up(self, operation: Operation, task: asyncio.Task[None]) -> None:
        if not task.done():
            operation.cancelled_s = self._world.now
            task.cancel()

    async def _run(self, operation: Operation, process: Process, life_s: float) -> None:
        stood_s = process.loop.stood_s
        try:
            found = await self._asked(operation, process, life_s)
        except asyncio.CancelledError:
            operation.outcome = CANCELLED
        except ZmcacheError as error:
            operation.outcome, operation.error = FAILED, f"{type(error).__name__}: {error}"
        except Exception as error:
            operation.outcome, operation.error = FAILED, f"unexpected {error!r}"
        else:
            if operation.kind == "get":
                operation.outcome = MISS if found is None else VALUE
            else:
                operation.outcome = DONE
            operation.result = found
        operation.ended_s = self._world.now
        operation.stood_s = process.loop.stood_s - stood_s

    def _asked(self, operation: Operation, process: Process, life_s: float) -> Coroutine[Any, Any, Any]:
        """The call itself. What of its arguments matters later is noted before it begins."""
        group: Any = (process.node or process.client).group(operation.group)  # type: ignore[union-attr]
        key, timeout_s = operation.key, operation.timeout_s
        if operation.kind == "get":
            return group.get(key, timeout=timeout_s)  # type: ignore[no-any-return]
        if operation.kind == "delete":
            return group.delete(key, timeout=timeout_s)  # type: ignore[no-any-return]
        operation.life_s = min(life_s, self._cluster.history.groups[operation.group].ttl_s)
        if operation.kind == "set":
            operation.value = value = _value(operation)
            return group.set(key, value, ttl=UNSET if life_s == math.inf else life_s, timeout=timeout_s)  # type: ignore[no-any-return]
        return _incremented(group, key, timeout_s)


async def _incremented(group: Any, key: str, timeout_s: float) -> bytes | None:
    """One more; the first is 1."""
    if hasattr(group, "incr"):
        count = await group.incr(key, initial=1, timeout=timeout_s)
        return None if count is None else b"%d" % count
    outcome = await group.changed(Change(INCR, key, b"1 1", TTL_DEFAULT), timeout_s)
    return outcome.value  # type: ignore[no-any-return]


def _value(operation: Operation) -> bytes:
    """No other operation's, of a length of its own, and such that half of it is not whole."""
    start = f"{operation.group}|{operation.key}|set {operation.number}|".encode()
    return start + b"%d." % operation.number * (operation.number % 40) + b"|end"
