"""The generator itself: what it takes away from what it measures.

Its rate against a bare loop over the same client; what a latency costs to record; what eight million requests leave in
memory; and how long a large trace takes until its first request is asked. The last two are whole processes, as people start them.
"""

from __future__ import annotations

import asyncio
import lzma
import os
import resource
import sys
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import zmcache

from ..load.plan import Closed, Destination, Plan
from ..load.recorder import Recorder
from ..load.run import measure
from ..targets.zmcache_client import ZmcacheTarget
from ..workloads import Sequential, Synthetic
from . import clients, servers
from .drive import Asked, Effort, in_turns
from .goals import NotMeasurable, Row, judge

_CALLERS: Final = 64
_MANY_REQUESTS: Final = 8_000_000
_ACCESSES: Final = 5_000_000
_MIB: Final = 2**20


async def rate(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """A whole run, keys counted, latencies recorded, its own loop watched, against callers that do nothing but ask."""
    keys = clients.make_keys(effort.keys)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.node({clients.GROUP: clients.ITEMS}))
        await stack.enter_async_context(clients.zmcache_group(server, keys))
        client = await stack.enter_async_context(zmcache.connect(server.address))
        bare = Asked(client.group(clients.GROUP).get, keys)
        samples = await in_turns(
            effort.runs,
            {
                "run": partial(_run, ZmcacheTarget(client, clients.GROUP), effort),
                "bare": partial(bare.rate, _CALLERS, effort.requests),
            },
        )
    for name in wanted:
        yield judge(name, samples["run"], samples["bare"])


async def _run(target: ZmcacheTarget, effort: Effort) -> float:
    plan = Plan(
        destination=Destination(target="zmcache", group=clients.GROUP),
        workload=Synthetic(keys=effort.keys, distribution=Sequential(), prefix="k"),
        loop=Closed(callers=_CALLERS),
        requests=effort.requests,
    )
    shown = await measure(plan, lambda _: nullcontext(target), stop=asyncio.Event())
    if shown["hit_ratio"] != 1.0:
        raise NotMeasurable("a key was not there, though it was stored before")
    found: float = shown["requests_per_s"]
    return found


async def record(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Latencies as a busy run has them, in microseconds a request, with the cuts of the seconds; against an append to a list."""
    random = Random(1)
    latencies_ns = [int(random.lognormvariate(12.0, 0.7)) for _ in range(10 * effort.keys)]

    async def recording() -> float:
        recorder = Recorder()
        take = recorder.record
        began_s = time.perf_counter()
        for number, elapsed_ns in enumerate(latencies_ns, 1):
            take("owner", elapsed_ns)
            if not number % 50_000:  # a second of a fast run
                recorder.cut_second()
        recorder.counted()
        return (time.perf_counter() - began_s) / len(latencies_ns) * 1e6

    async def appending() -> float:
        kept: list[int] = []
        take = kept.append
        began_s = time.perf_counter()
        for elapsed_ns in latencies_ns:
            take(elapsed_ns)
        return (time.perf_counter() - began_s) / len(latencies_ns) * 1e6

    samples = await in_turns(effort.runs, {"record": recording, "append": appending})
    for name in wanted:
        yield judge(name, samples["record"], samples["append"])


async def memory(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """The most that a run of eight million requests has in memory, against one of a single request."""
    requests = _MANY_REQUESTS if effort.entries == Effort().entries else _MANY_REQUESTS // 10
    run = ("run", "--target", "noop", "--keys", str(requests), "--no-progress", "--allow-errors")
    many = await _child(*run, "--requests", str(requests))
    one = await _child(*run, "--requests", "1")
    for name in wanted:
        yield judge(name, [many.max_bytes / _MIB], [one.max_bytes / _MIB], f"{requests:,} requests for as many keys")


async def start(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """The first request of a packed trace of five million accesses, interpreter included, against the command's help."""
    accesses = _ACCESSES if effort.entries == Effort().entries else _ACCESSES // 10
    with tempfile.TemporaryDirectory(prefix="zmcache-bench-") as folder:
        trace = Path(folder) / "many.trace.xz"
        trace.write_bytes(await asyncio.to_thread(_packed, accesses))
        replay = ("replay", str(trace), "--target", "noop", "--requests", "1", "--no-progress")
        samples = await in_turns(
            min(effort.runs, 3),
            {"replay": partial(_seconds, *replay), "help": partial(_seconds, "--help")},
        )
    for name in wanted:
        yield judge(name, samples["replay"], samples["help"], f"{accesses:,} accesses, xz")


def _packed(accesses: int) -> bytes:
    random = Random(1)
    keys = array("I", (int(random.paretovariate(0.8)) % 1_000_000 for _ in range(accesses)))
    if sys.byteorder == "little":
        keys.byteswap()
    return lzma.compress(keys.tobytes(), preset=0)


class _Ended:
    """What the system tells of a process that has ended."""

    def __init__(self, seconds: float, usage: resource.struct_rusage) -> None:
        self.seconds = seconds
        self.max_bytes = usage.ru_maxrss * 1024


async def _seconds(*arguments: str) -> float:
    return (await _child(*arguments)).seconds


async def _child(*arguments: str) -> _Ended:
    """The generator in a process of its own. Raises `NotMeasurable` when it fails."""
    return await asyncio.to_thread(_run_child, *arguments)


def _run_child(*arguments: str) -> _Ended:
    command = [sys.executable, "-c", "from zmcache_loadgen.cli import main; main()", *arguments]
    began_s = time.perf_counter()
    with Path(os.devnull).open("r+b") as nothing:
        actions = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), descriptor) for descriptor in (0, 1, 2)]
        pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)  # of all ways to wait the one that tells what this child took, and no other
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 4):  # a target that does nothing makes the generator the bottleneck, and it says so
        raise NotMeasurable(f"the generator ended with exit code {code}")
    return _Ended(time.perf_counter() - began_s, usage)
