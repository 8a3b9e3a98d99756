"""The closed loop: a fixed number of callers, each of which asks again when it was answered.

It asks less while the target is slow, so a stall is seen by one request of each caller only: whoever reads the result
must know that it was one. Latencies are taken around the call alone; what the generator spends between two calls is in
the rate, not in them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Final

from ..errors import TargetRefused, TraceError
from ..requests import READ, Request
from .execute import Executor
from .recorder import Outcome

_PAUSE_AFTER_ERROR_S: Final = 0.001  # a target that refuses at once must not be asked a million times a second
_REQUESTS_PER_YIELD: Final = 64  # a target that answers without ever waiting would let no other task run, nor Ctrl-C in


class ClosedLoop:
    """The callers, and what they share."""

    def __init__(self, executor: Executor, stream: Iterator[Request], callers: int) -> None:
        self.broken: TraceError | None = None
        self.stop_at_ns: float = math.inf
        """By `perf_counter_ns`: from then on nothing more is asked. May be set while it runs."""
        self.measured_from_ns = 0
        """Requests that began earlier do not count."""
        self._executor = executor
        self._stream = stream
        self._callers = callers

    async def run(self) -> None:
        """Until the stream is at its end, the time is up, or cancelled. Raises `TargetRefused`. Leaves no caller behind."""
        tasks = [asyncio.create_task(self._call()) for _ in range(self._callers)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self) -> None:
        clock, executor = perf_counter_ns, self._executor
        # One read that nobody verifies is written out here; `Executor.run` does the same and costs a microsecond more.
        plain, read = executor.verifier is None, executor.target.read
        until_yield = _REQUESTS_PER_YIELD
        outcome: Outcome
        try:
            for request in self._stream:
                start_ns = clock()
                if start_ns >= self.stop_at_ns:
                    return
                seen = executor.seen if start_ns >= self.measured_from_ns else executor.unseen
                if plain and request[0] == READ:
                    try:
                        outcome = (await read(request[2]))[0]  # type: ignore[arg-type]  # and one key
                        end_ns = clock()
                    except TargetRefused:
                        raise
                    except Exception as exc:  # whatever a target raises is one failed request, and the run goes on
                        outcome, end_ns = seen.count_error(exc), clock()
                    seen.keys.add(request[1])  # type: ignore[arg-type]  # a READ has one token
                else:
                    outcome, end_ns = await executor.run(request, seen)
                seen.responses.record(outcome, end_ns - start_ns)
                if outcome == "failed":
                    await asyncio.sleep(_PAUSE_AFTER_ERROR_S)
                until_yield -= 1
                if not until_yield:
                    until_yield = _REQUESTS_PER_YIELD
                    await asyncio.sleep(0)
        except TraceError as exc:  # raised to whichever caller asked first; the others find the stream at its end
            self.broken = exc
