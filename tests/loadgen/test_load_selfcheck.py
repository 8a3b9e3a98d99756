"""The generator says when it was itself the limit, and does not say so when it was not."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop
from filling_target import FillingTarget, plan_of, run
from zmcache_loadgen.load import selfcheck
from zmcache_loadgen.load.plan import Closed, Open
from zmcache_loadgen.load.selfcheck import SelfCheck, Spread, bottlenecks, spread
from zmcache_loadgen.workloads import Synthetic, Uniform

CALM = SelfCheck(cpu_s=3.0, seconds=10.0, lag_ms=[0.1] * 1000, pacing_ms=None)


def told(check: SelfCheck, *, intended: float | None = None, achieved: float = 1000.0, skipped: int = 0) -> list[str]:
    return bottlenecks([check], intended_rate=intended, achieved_rate=achieved, skipped=skipped)


def test_a_generator_with_time_to_spare_has_nothing_to_tell() -> None:
    assert told(CALM) == []
    assert told(CALM._replace(pacing_ms=[1.0] * 1000), intended=1000.0, achieved=990.0) == []


@pytest.mark.parametrize(
    ("check", "intended", "achieved", "words"),
    [
        (CALM._replace(cpu_s=9.9), None, 5000.0, "computing 99% of the time"),
        (CALM._replace(lag_ms=[0.1] * 95 + [80.0] * 5), None, 5000.0, "80 ms late"),
        (CALM._replace(pacing_ms=[1.0] * 95 + [60.0] * 5), 1000.0, 1000.0, "left 60 ms late"),
        (CALM._replace(pacing_ms=[1.0] * 100), 1000.0, 800.0, "800 requests a second left where 1,000 were intended"),
    ],
)
def test_each_way_of_being_slow_is_told_in_a_sentence(
    check: SelfCheck, intended: float | None, achieved: float, words: str
) -> None:
    (reason,) = told(check, intended=intended, achieved=achieved)
    assert words in reason


def test_a_rate_that_was_missed_because_arrivals_were_skipped_is_the_targets_doing() -> None:
    assert told(CALM, intended=1000.0, achieved=500.0, skipped=5000) == []


def test_a_run_of_a_few_milliseconds_is_not_judged_by_its_processor_time() -> None:
    assert told(SelfCheck(cpu_s=0.004, seconds=0.004, lag_ms=[], pacing_ms=None)) == []


def test_one_slow_process_of_several_is_enough() -> None:
    checks = [CALM, CALM._replace(cpu_s=9.9)]
    assert len(bottlenecks(checks, intended_rate=None, achieved_rate=1.0, skipped=0)) == 1


def test_samples_stay_bounded_and_spread_over_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "_SAMPLES_MAX", 100)
    samples = selfcheck.Samples()
    for number in range(10_000):
        samples.take(number)
    kept = list(samples.values)
    assert 50 <= len(kept) <= 100
    assert sum(number < 5000 for number in kept) == pytest.approx(len(kept) / 2, abs=len(kept) * 0.05)


def test_of_nothing_the_spread_is_zero() -> None:
    assert spread([]) == Spread(0.0, 0.0, 0.0)
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 2.0, 3.0)


def test_a_generator_that_is_starved_marks_its_run_invalid() -> None:
    """Something else holds the loop for most of the time, as on a machine that has too few processors."""

    async def starved() -> dict[str, object]:
        async def hog() -> None:
            while True:
                time.sleep(0.08)  # noqa: ASYNC251 - the loop is to be held
                await asyncio.sleep(0.001)

        task = asyncio.create_task(hog())
        try:
            workload = Synthetic(keys=10, distribution=Uniform())
            return await run(FillingTarget(), plan_of(workload, Open(rate=1000), duration_s=1.0))
        finally:
            task.cancel()

    shown = uvloop.run(starved())
    assert shown["valid"] is False
    assert any("did not get the processor" in reason for reason in shown["bottlenecks"])


def test_a_closed_loop_over_a_target_that_never_waits_is_the_generators_own_limit() -> None:
    workload = Synthetic(keys=10, distribution=Uniform())
    before_s = time.thread_time()
    shown = uvloop.run(run(FillingTarget(), plan_of(workload, Closed(callers=4), duration_s=1.0)))
    computed_s = time.thread_time() - before_s
    # how much of the time is computed depends on what else the machine does; that it is told does not
    assert shown["valid"] is (shown["generator"]["cpu_share"] <= selfcheck.BUSY_SHARE and not shown["bottlenecks"])
    # what this thread computed was the run, but for what came before and after it
    assert 0.5 * computed_s < shown["generator"]["cpu_share"] * shown["seconds"] < 1.01 * computed_s
