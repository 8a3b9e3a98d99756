"""A client of a thousand nodes: what its gets cost, what it keeps in memory, and how long its loop stands still over a new ring.

Ten of the thousand are real, each a process, and only their keys are asked for; the other members stand in everybody's list and are never
asked. The client of one node is asked for the same keys. With 640 callers each of the ten has 64 of them, and so batches as whole as the one.

Memory and pauses are of clients that have just started, each a process of its own (`newcomer`). The ring is their first: built from nothing,
with a thousand channels, it is the dearest there is. Beside it the idle loop of this process tells what the machine did to a loop.
"""

from __future__ import annotations

import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import count
from statistics import median
from typing import Any, Final, NamedTuple

import zmcache

from . import clients, servers
from .drive import Asked, Effort, in_turns
from .goals import NotMeasurable, Row, judge
from .probe import Probe

_NODES: Final = 1_000
_REAL: Final = 10
_CALLERS: Final = 640
_FEWER: Final = 10
"""A hundredth of the keys belong to the real nodes, so ten times as few are asked for as elsewhere, or finding them would take longest."""
_NEWCOMER_KEYS: Final = 500
_SERVE_LIMIT_S: Final = 60.0
_MIB: Final = 2**20
_GROUPS: Final = {clients.GROUP: clients.ITEMS}


class _Newcomer(NamedTuple):
    resident_mib: float
    pause_ms: float
    idle_ms: float


async def nodes(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """All rows by the same nodes."""
    real = [zmcache.Member(f"bench-{number}", _endpoint(servers.free_port())) for number in range(_REAL)]
    # Nobody listens at the lowest ports.
    absent = [zmcache.Member(f"absent-{number}", _endpoint(number)) for number in range(1, _NODES - _REAL + 1)]
    members = [*real, *absent]
    keys = _keys_of(real, members, max(_REAL, effort.keys // _FEWER))
    async with AsyncExitStack() as stack:
        alone = await stack.enter_async_context(servers.node(_GROUPS))
        among = await _among(stack, real, members)
        if "nodes-1000" in wanted:
            async with clients.zmcache_group(alone, keys) as one, clients.zmcache_group(among, keys) as many:
                sides = {
                    "one": _Cost(Asked(one.get, keys), effort.requests),
                    "many": _Cost(Asked(many.get, keys), effort.requests),
                }
                samples = await in_turns(effort.runs, sides)
            cpu = [median(sides[name].cpu_us) for name in ("many", "one")]
            note = f"of the client's processor time {cpu[0]:.1f} us, with one node {cpu[1]:.1f} us"
            yield judge("nodes-1000", samples["many"], samples["one"], note)
        if "nodes-1000-memory" in wanted or "new-ring" in wanted:
            few = keys[:_NEWCOMER_KEYS]
            pairs = [(await _newcomer(among, few), await _newcomer(alone, few)) for _ in range(effort.runs)]
            if "nodes-1000-memory" in wanted:
                more = [many.resident_mib - one.resident_mib for many, one in pairs]
                yield judge("nodes-1000-memory", more, [one.resident_mib for _, one in pairs])
            if "new-ring" in wanted:
                note = "each run's longest, in ms: " + ", ".join(
                    f"{many.pause_ms:.1f} (idle {many.idle_ms:.1f}, one node {one.pause_ms:.1f})" for many, one in pairs
                )
                yield judge("new-ring", [many.pause_ms for many, _ in pairs], [many.idle_ms for many, _ in pairs], note)


def _endpoint(port: int) -> str:
    return f"tcp://{servers.LOOPBACK}:{port}"


def _keys_of(real: Sequence[zmcache.Member], members: Sequence[zmcache.Member], wanted: int) -> list[str]:
    ring = zmcache.Ring.build(members, 0)
    ours = {ring.members.index(member) for member in real}
    owned = (key for key in map("k{}".format, count()) if ring.owner_index(key) in ours)
    return [key for key, _ in zip(owned, range(wanted), strict=False)]


async def _among(
    stack: AsyncExitStack, real: Sequence[zmcache.Member], members: Sequence[zmcache.Member]
) -> servers.Server:
    """Start the real ones; the first of them, when all serve."""
    listed: list[Mapping[str, Any]] = [{"id": each.node_id, "endpoint": each.endpoint} for each in members]
    started = []
    for member in real:
        port = int(member.endpoint.rpartition(":")[2])
        node = servers.node(_GROUPS, node_id=member.node_id, port=port, discovery={"static": listed})
        started.append(await stack.enter_async_context(node))
    for server in started:
        # It listens while its ring is still being built; who is answered the topology has found it serving.
        async with zmcache.connect(server.address, connect_timeout=_SERVE_LIMIT_S):
            pass
    return started[0]


class _Cost:
    """What a get costs, in microseconds from the first to the last; beside it what each run, its warming up included, took of this
    process's processor time.
    """

    def __init__(self, asked: Asked, requests: int) -> None:
        self._asked, self._requests = asked, requests
        self.cpu_us: list[float] = []

    async def __call__(self) -> float:
        began_s = time.process_time()
        rate = await self._asked.rate(_CALLERS, self._requests)
        self.cpu_us.append((time.process_time() - began_s) / self._requests * 1e6)
        return 1e6 / rate


async def _newcomer(server: servers.Server, keys: Sequence[str]) -> _Newcomer:
    """Raises `NotMeasurable` when it fails."""
    command = [sys.executable, "-m", "zmcache_loadgen.bench.newcomer", server.address, clients.GROUP]
    async with servers.running(command, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n".join(keys).encode())
        process.stdin.close()
        await process.stdout.readline()
        probe = Probe()
        try:
            line = await process.stdout.readline()
        finally:
            probe.stop()
        if not line:
            raise NotMeasurable("a client of its own did not come to its end")
        seen = json.loads(line)
        return _Newcomer(seen["resident_bytes"] / _MIB, seen["pause_ms"], probe.read()["pause_ms"])
