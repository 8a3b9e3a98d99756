"""The closed loop: a fixed number of callers, each of which asks again when it was answered.

1. Look at the nodes' counters. A target that does not answer ends it here, before anything is asked.
2. Every caller takes the next request from the one stream, notes the time, waits for the answer, notes the time, and
   records what became of it.
3. Beside them the counters are looked at once a second, so that a node which leaves has been counted until then, and
   progress is told.
4. It ends when the stream does, or the time is up (what is in flight is answered and counted), or somebody says stop
   (what is in flight is dropped, uncounted), or the target or the stream fails for good.
5. Look at the counters once more, and put the result together.

A closed loop asks less while the cache is slow, so a stall is seen by one request of each caller only: the report says
that it was one. Latencies are taken around the call alone; what the generator spends between two calls is in the rate,
not in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from time import perf_counter, perf_counter_ns
from typing import Any, NamedTuple

from .errors import TargetRefused, TargetUnavailable, TraceError
from .recorder import HITS, MISSES, OUTCOMES, Recorder
from .result import ErrorClass, Result
from .tally import KeyTally, NodeTally
from .target import Target
from .workload import Request, Workload

INTERRUPTED = "interrupted"
"""What a result says of itself when it was stopped."""

_LOOK_S = 1.0  # how old a leaver's last counts can be
_PROGRESS_S = 0.5  # drawing the bar takes a millisecond of the loop that the latencies are taken on: not more often
_PAUSE_AFTER_ERROR_S = 0.001  # a target that refuses at once must not be asked a million times a second
_REQUESTS_PER_YIELD = 64  # a target that answers without ever waiting would let no other task run, nor Ctrl-C in
_MAX_ERROR_CHARS = 200


class Progress(NamedTuple):
    """How far it is. ``fraction`` is of time or of requests, None where the end is not known."""

    elapsed_s: float
    fraction: float | None
    requests: int
    reads: int
    hits: int
    failed: int


async def run(
    target: Target,
    workload: Workload,
    *,
    callers: int = 32,
    duration_s: float | None = None,
    requests: int | None = None,
    stop: asyncio.Event | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Drive ``workload`` against ``target`` and say what it was like.

    It ends after ``duration_s`` seconds or ``requests`` requests, whichever comes first (None: no such bound), when the
    workload ends, or when ``stop`` is set: then, and when a trace breaks off, the result says why it is partial. A
    drawn workload without any of these runs for ever. ``on_progress`` is called twice a second.

    Raises `TargetUnavailable` when nobody answers at the start, `TargetRefused` when no request of the run can succeed,
    `TraceError` when there is nothing to replay at all.
    """
    stream = workload.requests()
    nodes = NodeTally(await target.counters())
    loop = _ClosedLoop(target, islice(stream, requests), duration_s)
    ends = [bound for bound in (requests, workload.total) if bound is not None]
    beside = [asyncio.create_task(_look_at_nodes(target, nodes))]
    if on_progress is not None:
        beside.append(asyncio.create_task(_tell_progress(loop, min(ends, default=None), on_progress)))
    try:
        stopped = await loop.drive(callers, stop)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    try:
        nodes.observe(await target.counters())
    except TargetUnavailable:
        nodes.observe({})  # all of them have left, as far as can be told
    partial = str(loop.broken) if loop.broken else INTERRUPTED if stopped else None
    return _result(target, workload, callers, loop, nodes, partial)


class _ClosedLoop:
    """The callers, and what they share."""

    def __init__(self, target: Target, stream: Iterator[Request], duration_s: float | None) -> None:
        self.recorder = Recorder()
        self.keys = KeyTally()
        self.errors: Counter[str] = Counter()
        self.first_errors: dict[str, str] = {}
        self.broken: TraceError | None = None
        self.duration_s = duration_s
        self.started_s = perf_counter()
        self.seconds = 0.0
        self._target = target
        self._stream = stream
        self._stop_at_ns = math.inf if duration_s is None else perf_counter_ns() + duration_s * 1e9

    async def drive(self, callers: int, stop: asyncio.Event | None) -> bool:
        """Run to the end; True when ``stop`` ended it. No caller is left behind, however it ends."""
        tasks = [asyncio.create_task(self._call()) for _ in range(callers)]
        work = asyncio.gather(*tasks)
        watch = [] if stop is None else [asyncio.create_task(stop.wait())]
        waits: list[asyncio.Future[Any]] = [work, *watch]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return True
            work.result()
            return False
        finally:
            self.seconds = perf_counter() - self.started_s
            for task in (*tasks, *watch):
                task.cancel()
            await asyncio.gather(work, *tasks, *watch, return_exceptions=True)

    async def _call(self) -> None:
        """One caller: step 2 of the module's docstring."""
        clock, record, read, write = perf_counter_ns, self.recorder.record, self._target.read, self._target.write
        stop_at_ns, add_key = self._stop_at_ns, self.keys.add
        until_yield = _REQUESTS_PER_YIELD
        try:
            for token, key, value in self._stream:
                start_ns = clock()
                if start_ns >= stop_at_ns:
                    return
                try:
                    if value is None:
                        add_key(token)
                        start_ns = clock()
                        source = await read(key)
                        record(source, clock() - start_ns)
                    else:
                        await write(key, value)
                        record("written", clock() - start_ns)
                except TargetRefused:
                    raise
                except Exception as exc:  # whatever a target raises is one failed request, and the run goes on
                    record("failed", clock() - start_ns)
                    self._count_error(exc)
                    await asyncio.sleep(_PAUSE_AFTER_ERROR_S)
                until_yield -= 1
                if not until_yield:
                    until_yield = _REQUESTS_PER_YIELD
                    await asyncio.sleep(0)
        except TraceError as exc:  # raised to whichever caller asked first; the others find the stream at its end
            self.broken = exc

    def _count_error(self, exc: Exception) -> None:
        name = type(exc).__name__
        self.errors[name] += 1
        if name not in self.first_errors:
            self.first_errors[name] = " ".join(str(exc).split())[:_MAX_ERROR_CHARS]


async def _look_at_nodes(target: Target, nodes: NodeTally) -> None:
    while True:
        await asyncio.sleep(_LOOK_S)
        with contextlib.suppress(TargetUnavailable):
            nodes.observe(await target.counters())


async def _tell_progress(loop: _ClosedLoop, total: int | None, on_progress: Callable[[Progress], None]) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        elapsed_s, count = perf_counter() - loop.started_s, loop.recorder.count
        requests, hits, failed = count(), count(HITS), count(("failed",))
        fractions = [elapsed_s / loop.duration_s] if loop.duration_s else []
        fractions += [requests / total] if total else []
        fraction = min(1.0, max(fractions)) if fractions else None
        on_progress(Progress(elapsed_s, fraction, requests, hits + count(MISSES), hits, failed))


def _result(
    target: Target, workload: Workload, callers: int, loop: _ClosedLoop, nodes: NodeTally, partial: str | None
) -> Result:
    recorder = loop.recorder
    return Result(
        loop="closed",
        callers=callers,
        seed=workload.seed,
        target=target.description,
        workload=workload.description,
        seconds=loop.seconds,
        outcomes={outcome: recorder.count((outcome,)) for outcome in OUTCOMES},
        latencies={
            "all": recorder.latency(),
            "hits": recorder.latency(HITS),
            "misses": recorder.latency(MISSES),
            "writes": recorder.latency(("written",)),
        },
        errors=tuple(ErrorClass(name, count, loop.first_errors[name]) for name, count in loop.errors.most_common()),
        nodes=nodes.shares(),
        distinct_keys=len(loop.keys),
        distinct_exact=loop.keys.exact,
        loads_exact=nodes.exact,
        partial=partial,
    )
