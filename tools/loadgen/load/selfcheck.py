"""Whether it was the generator that was slow: a result that shows the tool's own limits must say so.

Three things tell: how much of the time the thread that runs the loop was computing, by how much a timer on that loop came
late, and, in an open loop, by how much requests left later than they were meant to, and how many did not leave at all.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Iterable
from typing import Final, NamedTuple

_EVERY_S: Final = 0.01
_SAMPLES_MAX: Final = 1 << 20  # three hours of them

# A share of less is that of a few milliseconds, and says nothing.
_JUDGED_FROM_S: Final = 0.5
# A thread that computes for so much of the time has none left to notice an answer when it comes.
BUSY_SHARE: Final = 0.95
# A timer that is this late in one of a hundred cases is later than most caches are slow.
LATE_MS: Final = 50.0
# Requests that left this late make the tail of the latencies the generator's own.
PACING_MS: Final = 25.0
ACHIEVED_SHARE: Final = 0.95


class Samples:
    """Numbers spread evenly over however long a run: when there are too many, every other goes, and from then on only every
    other is taken.
    """

    def __init__(self) -> None:
        self.values = array("f")
        self._every = self._until = 1

    def take(self, value: float) -> None:
        """One more."""
        self._until -= 1
        if self._until:
            return
        if len(self.values) >= _SAMPLES_MAX:
            del self.values[::2]
            self._every *= 2
        self._until = self._every
        self.values.append(value)


class Spread(NamedTuple):
    """In milliseconds."""

    p50: float
    p99: float
    max: float


class SelfCheck(NamedTuple):
    """What one process saw of itself. ``pacing_ms`` is None in a closed loop."""

    cpu_s: float
    seconds: float
    lag_ms: list[float]
    pacing_ms: list[float] | None


class Watch:
    """Looks at its own loop from `start` to `stop`."""

    def __init__(self) -> None:
        self._late_ms = Samples()
        self._task: asyncio.Task[None] | None = None
        self._cpu_s = self._wall_s = 0.0
        self._pacing_ms: Samples | None = None

    def pace(self) -> None:
        """For an open loop: `paced` will be told."""
        self._pacing_ms = Samples()

    def start(self) -> None:
        """From here on, or again from here on."""
        self._cpu_s, self._wall_s = time.thread_time(), time.perf_counter()
        self._late_ms = Samples()
        if self._pacing_ms is not None:
            self._pacing_ms = Samples()
        if self._task is None:
            self._task = asyncio.create_task(self._look())

    async def stop(self) -> SelfCheck:
        """What was seen."""
        cpu_s, seconds = time.thread_time() - self._cpu_s, time.perf_counter() - self._wall_s
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        pacing = None if self._pacing_ms is None else list(self._pacing_ms.values)
        return SelfCheck(cpu_s, max(seconds, 1e-9), list(self._late_ms.values), pacing)

    def paced(self, late_ms: float) -> None:
        """A request of an open loop left so late."""
        assert self._pacing_ms is not None
        self._pacing_ms.take(late_ms)

    async def _look(self) -> None:
        clock = time.perf_counter
        while True:
            began_s = clock()
            await asyncio.sleep(_EVERY_S)
            self._late_ms.take(max(0.0, (clock() - began_s - _EVERY_S) * 1e3))


def spread(samples: Iterable[float]) -> Spread:
    """Median, 99th percentile and maximum; zeros of nothing."""
    ordered = sorted(samples)
    if not ordered:
        return Spread(0.0, 0.0, 0.0)
    last = len(ordered) - 1
    return Spread(ordered[last // 2], ordered[int(last * 0.99)], ordered[-1])


def bottlenecks(
    checks: Iterable[SelfCheck], *, intended_rate: float | None, achieved_rate: float, skipped: int
) -> list[str]:
    """Why the generator was the limit, a sentence each; empty where it was not. Rates are requests a second."""
    told: list[str] = []
    for check in checks:
        share, lag = check.cpu_s / check.seconds, spread(check.lag_ms)
        if share > BUSY_SHARE and check.seconds >= _JUDGED_FROM_S:
            told.append(
                f"the generator's loop was computing {share:.0%} of the time: this is what it can ask, not what the target can"
                " answer; add --workers"
            )
        if lag.p99 > LATE_MS:
            told.append(
                f"the generator's loop was {lag.p99:.0f} ms late in one of a hundred looks: it did not get the processor"
            )
        if check.pacing_ms is not None and (pacing := spread(check.pacing_ms)).p99 > PACING_MS:
            told.append(
                f"one request of a hundred left {pacing.p99:.0f} ms late or more: the tail is the generator's own"
            )
    if intended_rate is not None and not skipped and achieved_rate < ACHIEVED_SHARE * intended_rate:
        told.append(f"{achieved_rate:,.0f} requests a second left where {intended_rate:,.0f} were intended")
    return list(dict.fromkeys(told))
