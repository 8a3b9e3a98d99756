"""One process's run.

1. The load phase, where it is wanted: every key is written once, as fast as the callers can, unmeasured.
2. Warm-up: the run has begun, and nothing of it counts.
3. The run: what begins from here on counts. Once a second the second is cut off, and told.
4. It ends when the time is up or the requests are (what is in flight is answered and counted), when somebody says stop
   (what is in flight is dropped, uncounted), or when the target or the stream fails for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from itertools import chain, islice, takewhile
from time import perf_counter, perf_counter_ns
from typing import Final

from ..arrivals import arrivals
from ..requests import Request
from ..targets.base import Target
from ..verify import Verifier, loader_named
from .closed import ClosedLoop
from .execute import Executor
from .measurement import Measurement, Row, Seen
from .opened import OpenLoop
from .plan import Closed, Plan
from .recorder import Recorder
from .selfcheck import Watch

INTERRUPTED: Final = "interrupted"
"""What a result says of itself when it was stopped."""

_LOADERS: Final = 64  # callers of the load phase


class Signals:
    """What a run tells while it goes on. All of them are called on its loop, and must be quick."""

    def __init__(
        self, on_row: Callable[[Row], None] = lambda row: None, on_started: Callable[[], None] = lambda: None
    ) -> None:
        """``on_row``: one more second. ``on_started``: warm-up is over, what begins now counts."""
        self.on_row = on_row
        self.on_started = on_started


async def drive(plan: Plan, target: Target, *, stop: asyncio.Event, signals: Signals | None = None) -> Seen:
    """Run ``plan`` against ``target``. Raises `TargetRefused` when no request can succeed, `TraceError` when there is
    nothing to replay at all.
    """
    signals = signals or Signals()
    closed = isinstance(plan.loop, Closed)
    verifier = (
        Verifier(plan.worker, loader_named(plan.verify_loader), only_ours=plan.destination.only_ours)
        if plan.verify
        else None
    )
    executor = Executor(target, Measurement(None if closed else Recorder()), plan.workload.seed, verifier)
    workload = plan.workload.for_worker(plan.worker, plan.workers) if plan.workers > 1 else plan.workload
    stream = workload.requests()  # first: a trace that cannot be read says so before anything is asked
    watch = Watch()
    if not closed:
        watch.pace()
    partial: str | None = None
    if plan.load_first:
        loading = ClosedLoop(executor, workload.load_requests(), _LOADERS)
        loading.measured_from_ns = 1 << 62
        if await _until_stopped(loading.run(), stop):
            partial = INTERRUPTED
    loop = _loop(plan, executor, stream, watch)
    began_s = perf_counter() + plan.warmup_s
    seconds = asyncio.create_task(_seconds(plan, executor, loop, watch, signals))
    try:
        if partial is None and await _until_stopped(loop.run(), stop):
            partial = INTERRUPTED
    finally:
        ended_s = perf_counter()
        seconds.cancel()
        await asyncio.gather(seconds, return_exceptions=True)
        check = await watch.stop()
    seen = executor.seen
    if seen.responses.count() > sum(sum(row.seen.counts.values()) for row in seen.rows):
        signals.on_row(seen.cut_second())  # the rest of a second
    unfinished = loop.unfinished if isinstance(loop, OpenLoop) else 0
    if unfinished and partial is None:
        partial = f"{unfinished} requests were never answered"
    return Seen(
        responses=seen.responses.counted(),
        services=None if seen.services is None else seen.services.counted(),
        rows=seen.rows,
        errors=dict(seen.errors),
        first_errors=seen.first_errors,
        skipped=seen.skipped,
        seconds=max(ended_s - began_s, 1e-9),
        keys=seen.keys.keys(to_be_sent=plan.workers > 1),
        check=check,
        partial=str(loop.broken) if loop.broken else partial,
        verified=None if verifier is None else verifier.found(),
    )


def _loop(plan: Plan, executor: Executor, stream: Iterator[Request], watch: Watch) -> ClosedLoop | OpenLoop:
    if plan.requests is not None:
        # What warm-up takes is not counted; from then on the bound is kept in C.
        warming = takewhile(lambda _: perf_counter_ns() < loop.measured_from_ns, stream)
        stream = chain(warming if plan.warmup_s else (), islice(stream, _share(plan.requests, plan)))
    loop: ClosedLoop | OpenLoop
    if isinstance(plan.loop, Closed):
        loop = ClosedLoop(executor, stream, _share(plan.loop.callers, plan))
        return loop
    rate, kind = plan.loop.rate, plan.loop.arrivals
    due = None
    if kind != "recorded":
        assert rate is not None
        due = arrivals(rate, kind, plan.workload.seed, worker=plan.worker, workers=plan.workers)
    loop = OpenLoop(
        executor,
        stream,
        due,
        watch,
        max_in_flight=_share(plan.loop.max_in_flight, plan),
        finish_within_s=plan.destination.timeout_s + 1.0,
    )
    return loop


def _share(count: int, plan: Plan) -> int:
    """The part of one worker of ``count``; the first ones take what is over."""
    return count // plan.workers + (plan.worker < count % plan.workers)


async def _until_stopped(work: Coroutine[None, None, None], stop: asyncio.Event) -> bool:
    """Run to the end; True when ``stop`` came first, and the work was cancelled."""
    task = asyncio.create_task(work)
    watch = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, watch], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return False
        return True
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _seconds(plan: Plan, executor: Executor, loop: ClosedLoop | OpenLoop, watch: Watch, signals: Signals) -> None:
    """Warm-up, and then second by second."""
    now_ns = perf_counter_ns()
    loop.measured_from_ns = now_ns + int(plan.warmup_s * 1e9)
    if plan.duration_s is not None:
        loop.stop_at_ns = loop.measured_from_ns + int(plan.duration_s * 1e9)
    await asyncio.sleep(plan.warmup_s)
    watch.start()
    signals.on_started()
    started_s = loop.measured_from_ns / 1e9
    while True:
        rows = len(executor.seen.rows)
        await asyncio.sleep(max(0.0, started_s + rows + 1 - perf_counter()))
        signals.on_row(executor.seen.cut_second())
