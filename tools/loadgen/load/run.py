"""A whole run: in this process or in several, with the nodes' counters looked at beside it.

A target that does not answer ends it here, before anything is asked. Beside the run the counters are looked at once a
second, so that a node which leaves has been counted until then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from ..errors import TargetRefused, TargetUnavailable
from ..targets.base import Target
from .drive import Signals, drive
from .figures import Figures, figures
from .measurement import Row, row_together, together
from .plan import Plan
from .tally import NodeTally
from .workers import drive_in_workers

Opener = Callable[[Plan], AbstractAsyncContextManager[Target]]
Beside = Callable[[], AbstractAsyncContextManager[Sequence[Mapping[str, object]]]]
"""Something that goes on beside the run, from when it counts to its end, and lists its events."""

_LOOK_S: Final = 1.0  # how old a leaver's last counts can be


@asynccontextmanager
async def nothing_beside() -> AsyncIterator[Sequence[Mapping[str, object]]]:
    """No events."""
    yield ()


async def measure(
    plan: Plan,
    opener: Opener,
    *,
    stop: asyncio.Event,
    on_row: Callable[[Row], None] = lambda row: None,
    beside: Beside = nothing_beside,
) -> Figures:
    """Do what ``plan`` says, and say what it was like. ``on_row``: one more second is over.

    Raises `TargetUnavailable` when nobody answers at the start, `TargetRefused` when no request of the run can succeed,
    `TraceError` when there is nothing to replay at all.
    """
    started_at = datetime.now(UTC)
    if plan.workers > 1 and not plan.destination.shared:
        raise TargetRefused(f"{plan.destination.target}: lives in one process, so it can have but one worker")
    async with opener(plan) as target:
        nodes = NodeTally(await target.counters())
        started = asyncio.Event()
        happened: Sequence[Mapping[str, object]] = ()

        async def go_along() -> None:
            nonlocal happened
            await started.wait()
            async with beside() as happened:
                await asyncio.Event().wait()

        async with _ended_with(_look_at_nodes(target, nodes, started, plan), go_along()):
            if plan.workers > 1:
                parts = await drive_in_workers(
                    plan, stop=stop, on_rows=lambda rows: on_row(row_together(rows)), on_started=started.set
                )
            else:
                parts = [await drive(plan, target, stop=stop, signals=Signals(on_row, started.set))]
        try:
            nodes.observe(await target.counters())
        except TargetUnavailable:
            nodes.observe({})  # all of them have left, as far as can be told
        return figures(
            plan,
            together(parts),
            [part.check for part in parts],
            target=target.description,
            nodes=nodes,
            started_at=started_at,
            events=happened,
        )


async def _look_at_nodes(target: Target, nodes: NodeTally, started: asyncio.Event, plan: Plan) -> None:
    await started.wait()
    if plan.warmup_s or plan.load_first:
        with contextlib.suppress(TargetUnavailable):
            nodes.restart(await target.counters())
    while True:
        await asyncio.sleep(_LOOK_S)
        with contextlib.suppress(TargetUnavailable):
            nodes.observe(await target.counters())


@asynccontextmanager
async def _ended_with(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Tasks that end with the context at the latest."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
