"""The open loop: requests leave when they were meant to, and a stall is seen by all that were due meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop
from filling_target import FillingTarget, plan_of, run
from zmcache_loadgen.errors import TargetRefused
from zmcache_loadgen.load.plan import Closed, Open
from zmcache_loadgen.workloads import Synthetic, Uniform


def uniform(keys: int = 50) -> Synthetic:
    return Synthetic(keys=keys, distribution=Uniform())


class Stalling(FillingTarget):
    """Nothing is answered between ``from_s`` and ``until_s`` after the first request, as when a node stands still."""

    def __init__(self, from_s: float, until_s: float) -> None:
        super().__init__(before=self._wait)
        self._from_s, self._until_s = from_s, until_s
        self._began_s: float | None = None

    async def _wait(self, number: int, key: str) -> None:
        loop = asyncio.get_running_loop()
        if self._began_s is None:
            self._began_s = loop.time()
        since_s = loop.time() - self._began_s
        if self._from_s <= since_s < self._until_s:
            await asyncio.sleep(self._until_s - since_s)


def test_a_stall_is_in_the_tail_of_the_open_loop_and_not_in_that_of_the_closed_one() -> None:
    async def measured() -> tuple[dict[str, Any], dict[str, Any]]:
        opened = await run(Stalling(0.3, 0.7), plan_of(uniform(), Open(rate=500), duration_s=1.2))
        closed = await run(Stalling(0.3, 0.7), plan_of(uniform(), Closed(callers=1), duration_s=1.2))
        return opened, closed

    opened, closed = uvloop.run(measured())
    assert opened["loop"]["kind"] == "open"
    assert opened["latency_us"]["all"]["p90"] > 100_000  # a third of all requests were due in the stall
    assert opened["latency_us"]["all"]["p99"] > 300_000
    assert opened["requests"] == 600
    assert closed["latency_us"]["all"]["p99"] < 100_000  # one request alone met it
    assert closed["latency_us"]["all"]["max"] > 300_000


def test_response_time_counts_from_when_a_request_was_meant_to_leave_and_service_time_from_when_it_left() -> None:
    """The loop itself is held up: what was due meanwhile leaves late, and only the response time knows."""
    import time

    async def before(number: int, key: str) -> None:
        if number == 100:
            time.sleep(0.3)  # noqa: ASYNC251 - that it blocks is the point

    shown = uvloop.run(run(FillingTarget(before=before), plan_of(uniform(), Open(rate=400), requests=400)))
    assert shown["latency_us"]["all"]["p90"] > 100_000
    assert shown["service_us"]["all"]["p90"] < 50_000
    assert shown["generator"]["pacing_ms"]["max"] > 200
    assert not shown["valid"]  # and it says that the tail is its own
    assert any("left" in reason for reason in shown["bottlenecks"])


def test_arrivals_beyond_the_limit_are_skipped_and_counted() -> None:
    async def before(number: int, key: str) -> None:
        await asyncio.sleep(10 if number < 5 else 0)

    plan = plan_of(uniform(), Open(rate=1000, max_in_flight=5), requests=200, timeout_s=0.1)
    shown = uvloop.run(run(FillingTarget(before=before), plan))
    assert shown["skipped"] == 195
    assert shown["requests"] == 0
    assert sum(row["skipped"] for row in shown["series"]) <= 195
    assert "5 requests were never answered" in shown["partial"]


def test_the_rate_is_kept_whatever_the_target_does() -> None:
    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0.05)

    shown = uvloop.run(run(FillingTarget(before=before), plan_of(uniform(), Open(rate=200), duration_s=0.6)))
    assert shown["requests"] == 120
    assert shown["generator"]["intended_rate"] == 200


def test_a_run_lasts_as_long_as_it_was_meant_to_even_when_nothing_more_is_due() -> None:
    shown = uvloop.run(run(FillingTarget(), plan_of(uniform(), Open(rate=2), duration_s=0.7)))
    assert shown["requests"] == 2  # at 0 and at 0.5 s
    assert shown["seconds"] >= 0.7


def test_poisson_arrivals_of_one_seed_are_the_same_twice() -> None:
    async def measured() -> None:
        plan = plan_of(uniform(), Open(rate=600, arrivals="poisson"), duration_s=0.4)
        first, second = [(await run(FillingTarget(), plan))["requests"] for _ in range(2)]
        assert first == second
        assert 180 < first < 300

    uvloop.run(measured())


def test_a_refusal_ends_the_run_at_once() -> None:
    async def before(number: int, key: str) -> None:
        raise TargetRefused("no such group")

    with pytest.raises(TargetRefused, match="no such group"):
        uvloop.run(run(FillingTarget(before=before), plan_of(uniform(), Open(rate=1000), duration_s=3600)))


def test_a_stop_leaves_no_request_behind() -> None:
    async def measured() -> None:
        stop = asyncio.Event()

        async def before(number: int, key: str) -> None:
            if number == 20:
                stop.set()
            await asyncio.sleep(3600)

        shown = await run(FillingTarget(before=before), plan_of(uniform(), Open(rate=1000), duration_s=3600), stop=stop)
        assert (shown["partial"], shown["requests"]) == ("interrupted", 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    uvloop.run(measured())
