"""The open loop: requests leave when they were meant to, whether others were answered or not.

So a stall of the target is met by every request that was due meanwhile, and shows in the tail, as it does for people
(Gil Tene's wrk2 is the model). A latency is taken twice: the *response* time from the intended start, and the *service*
time from the actual one.

Time goes by the millisecond: what is due leaves in one go, and then the loop sleeps for a millisecond at least, because
uvloop's timers return early below half of one. By how much each left late is the pacing error, and is told.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Final

from ..errors import TargetRefused, TraceError
from ..requests import Request
from .execute import Executor
from .measurement import Measurement
from .selfcheck import Watch

_TICK_S: Final = 0.001
_LOOK_S: Final = 0.1  # how long a refusal stays unnoticed while nothing is due
_PACED_EVERY: Final = 8  # of so many requests one tells how late it left: enough for a percentile


class OpenLoop:
    """Arrivals, and the requests they bring. ``arrivals`` are intended seconds since the start, ascending."""

    def __init__(
        self,
        executor: Executor,
        stream: Iterator[Request],
        arrivals: Iterator[float] | None,
        watch: Watch,
        *,
        max_in_flight: int,
        finish_within_s: float,
    ) -> None:
        """``arrivals`` None: as the requests themselves say. ``finish_within_s``: how long what is in flight at the end may take."""
        self.broken: TraceError | None = None
        self.stop_at_ns: float = math.inf
        self.measured_from_ns = 0
        self._executor = executor
        self._stream = stream
        self._arrivals = arrivals
        self._watch = watch
        self._max_in_flight = max_in_flight
        self._finish_within_s = finish_within_s
        self._in_flight: set[asyncio.Task[None]] = set()
        self._refused: TargetRefused | None = None
        self.unfinished = 0

    async def run(self) -> None:
        """Until the stream or the time is at its end and what was in flight is answered. Raises `TargetRefused`."""
        try:
            await self._dispatch(perf_counter_ns())
            if self._in_flight:
                await asyncio.wait(self._in_flight, timeout=self._finish_within_s)
            self.unfinished = len(self._in_flight)
        finally:
            for task in self._in_flight:
                task.cancel()
            await asyncio.gather(*self._in_flight, return_exceptions=True)
        if self._refused is not None:
            raise self._refused

    async def _dispatch(self, began_ns: int) -> None:
        clock, watch = perf_counter_ns, self._watch
        until_paced = 1
        for intended_s, request in self._due():
            intended_ns = began_ns + int(intended_s * 1e9)
            # What was due before the end leaves, however late the loop wakes; the run lasts as long as it was meant to.
            due_ns = min(intended_ns, self.stop_at_ns)
            while (late_ns := clock() - due_ns) < 0:
                await asyncio.sleep(min(max(_TICK_S, -late_ns / 1e9), _LOOK_S))
                if self._refused is not None:
                    return
            if intended_ns >= self.stop_at_ns or self._refused is not None:
                return
            measured = intended_ns >= self.measured_from_ns
            if measured:
                until_paced -= 1
                if not until_paced:
                    until_paced = _PACED_EVERY
                    watch.paced(late_ns / 1e6)
            if len(self._in_flight) >= self._max_in_flight:
                self._executor.seen.skipped += measured
                continue
            seen = self._executor.seen if measured else self._executor.unseen
            task = asyncio.create_task(self._run(request, intended_ns, seen))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    def _due(self) -> Iterator[tuple[float, Request]]:
        try:
            if self._arrivals is None:
                for request in self._stream:
                    yield request[5], request
            else:
                yield from zip(self._arrivals, self._stream, strict=False)
        except TraceError as exc:
            self.broken = exc

    async def _run(self, request: Request, intended_ns: int, seen: Measurement) -> None:
        start_ns = perf_counter_ns()
        try:
            outcome, end_ns = await self._executor.run(request, seen)
        except TargetRefused as exc:
            self._refused = exc
            return
        seen.responses.record(outcome, end_ns - intended_ns)
        if seen.services is not None:
            seen.services.record(outcome, end_ns - start_ns)
