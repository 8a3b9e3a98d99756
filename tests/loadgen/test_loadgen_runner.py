"""The closed loop asks what the workload says, with so many callers, and tells what became of it."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
from zmcache_loadgen import runner
from zmcache_loadgen.errors import TargetRefused, TargetUnavailable, TraceError
from zmcache_loadgen.memory import MemoryTarget
from zmcache_loadgen.result import ErrorClass, NodeShare
from zmcache_loadgen.runner import Progress, run
from zmcache_loadgen.target import NodeCounters
from zmcache_loadgen.traces import TraceWorkload
from zmcache_loadgen.workload import Synthetic

T = TypeVar("T")


def on_a_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    return uvloop.run(coroutine)


def trace_of(folder: Path, keys: list[int], tail: bytes = b"") -> TraceWorkload:
    path = folder / "t.trace"
    path.write_bytes(struct.pack(f">{len(keys)}I", *keys) + tail)
    return TraceWorkload(path=path)


def test_a_replay_asks_every_key_once_and_counts_hits_loads_and_distinct_keys(tmp_path: Path) -> None:
    keys = [1, 2, 1, 3, 404, 1, 2, 404]
    target = MemoryTarget(nodes=("a", "b"), absent=("404",))
    result = on_a_loop(run(target, trace_of(tmp_path, keys), callers=3))
    assert Counter(key for key, _ in target.asked) == Counter(map(str, keys))
    assert result.outcomes == {"hot": 0, "owner": 3, "load": 3, "absent": 2, "written": 0, "failed": 0}
    assert (result.requests, result.hits, result.hit_ratio) == (8, 3, 3 / 8)
    assert (result.loads, result.distinct_keys, result.loads_exact, result.distinct_exact) == (3, 4, True, True)
    assert {name: latency.count for name, latency in result.latencies.items()} == {
        "all": 8, "hits": 3, "misses": 5, "writes": 0,
    }  # fmt: skip
    assert (result.loop, result.callers, result.seed, result.partial, result.errors) == ("closed", 3, None, None, ())


def test_the_same_seed_asks_the_same_however_many_callers() -> None:
    async def asked(callers: int) -> list[tuple[str, bytes | None]]:
        target = MemoryTarget()
        workload = Synthetic(keys=100, distribution="zipf", writes=0.2, seed=5)
        result = await run(target, workload, callers=callers, requests=500)
        assert result.seed == 5
        return target.asked

    assert on_a_loop(asked(1)) == on_a_loop(asked(17))


def test_latencies_of_hits_misses_and_writes_are_those_of_the_calls() -> None:
    """Waits are counted from below only: this machine may be slow, and no call is shorter than its own wait."""

    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0.020 if key == "0" and number == 0 else 0.002)

    async def measure() -> None:
        target = MemoryTarget(before=before)
        result = await run(target, Synthetic(keys=1, writes=0.0), callers=1, requests=30)
        assert (result.outcomes["load"], result.outcomes["owner"]) == (1, 29)
        hits, misses = result.latencies["hits"], result.latencies["misses"]
        assert misses.p50_us == misses.max_us
        assert misses.mean_us is not None
        assert misses.mean_us >= 19_000
        assert hits.p50_us is not None
        assert hits.p50_us >= 1_500
        assert result.seconds >= 0.020 + 29 * 0.0015
        assert result.requests_per_s == pytest.approx(30 / result.seconds)

    on_a_loop(measure())


def test_as_many_requests_are_under_way_as_there_are_callers() -> None:
    under_way, most = 0, 0

    async def before(number: int, key: str) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1

    on_a_loop(run(MemoryTarget(before=before), Synthetic(keys=10), callers=7, requests=70))
    assert most == 7


def test_a_duration_ends_the_run_and_what_was_in_flight_is_counted() -> None:
    finished = 0

    async def before(number: int, key: str) -> None:
        nonlocal finished
        await asyncio.sleep(0.03)
        finished += 1

    target = MemoryTarget(before=before)
    result = on_a_loop(run(target, Synthetic(), callers=4, duration_s=0.1))
    assert result.requests == finished == len(target.asked)
    assert result.seconds >= 0.1
    assert result.partial is None


def test_a_target_that_never_waits_still_lets_the_time_run_out_and_others_in() -> None:
    async def measure() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        result = await run(MemoryTarget(), Synthetic(keys=10), callers=2, duration_s=0.05)
        task.cancel()
        assert result.requests > 100
        assert turns > 3

    on_a_loop(measure())


def test_errors_are_counted_by_class_with_the_first_text_of_each_and_the_run_goes_on() -> None:
    async def before(number: int, key: str) -> None:
        if number % 10 == 3:
            raise ValueError(f"number {number}\nsecond line")
        if number % 10 == 7:
            raise TimeoutError

    result = on_a_loop(run(MemoryTarget(before=before), Synthetic(keys=5), callers=1, requests=100))
    assert (result.requests, result.failed) == (100, 20)
    assert sorted(result.errors, key=lambda error: error.name) == [
        ErrorClass("TimeoutError", 10, ""),
        ErrorClass("ValueError", 10, "number 3 second line"),
    ]
    assert result.latencies["all"].count == 100
    assert result.latencies["hits"].count + result.latencies["misses"].count == 80
    assert result.requests_per_s == pytest.approx(80 / result.seconds)


def test_a_stop_in_the_middle_keeps_what_was_measured_and_leaves_no_caller_behind() -> None:
    async def measure() -> None:
        stop = asyncio.Event()

        async def before(number: int, key: str) -> None:
            if number == 50:
                stop.set()
            if number >= 50:
                await asyncio.sleep(3600)

        result = await run(MemoryTarget(before=before), Synthetic(), callers=4, duration_s=3600, stop=stop)
        assert (result.partial, result.requests, result.failed) == ("interrupted", 50, 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_a_loop(measure())


def test_a_run_that_is_cancelled_leaves_no_task_behind() -> None:
    async def measure() -> None:
        arrived = asyncio.Event()

        async def before(number: int, key: str) -> None:
            arrived.set()
            await asyncio.sleep(3600)

        task = asyncio.create_task(
            run(MemoryTarget(before=before), Synthetic(), callers=4, stop=asyncio.Event(), on_progress=lambda now: None)
        )
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_a_loop(measure())


def test_a_trace_that_breaks_off_is_a_partial_result(tmp_path: Path) -> None:
    target = MemoryTarget()
    result = on_a_loop(run(target, trace_of(tmp_path, [1, 2, 3], b"\0"), callers=2))
    assert result.requests == len(target.asked) == 3
    assert result.partial is not None
    assert "ends inside a record" in result.partial


def test_an_empty_trace_asks_nothing_of_the_target(tmp_path: Path) -> None:
    target = MemoryTarget()
    target.reachable = False
    with pytest.raises(TraceError, match="nothing to replay"):
        on_a_loop(run(target, trace_of(tmp_path, [])))


def test_a_target_that_is_not_there_is_not_asked() -> None:
    target = MemoryTarget()
    target.reachable = False
    with pytest.raises(TargetUnavailable):
        on_a_loop(run(target, Synthetic(), requests=1))
    assert target.asked == []


def test_a_target_that_refuses_ends_the_run_at_once() -> None:
    async def before(number: int, key: str) -> None:
        raise TargetRefused("no group of that name")

    target = MemoryTarget(before=before)
    with pytest.raises(TargetRefused, match="no group of that name"):
        on_a_loop(run(target, Synthetic(), callers=8, duration_s=3600))
    assert len(target.asked) <= 8


def test_nodes_that_join_and_leave_are_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_LOOK_S", 0.002)

    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0.002)
        if number == 20:
            target.nodes["new"] = NodeCounters(0, 0)
        if number == 60:
            del target.nodes["old"]

    target = MemoryTarget(nodes=("old", "steady"), before=before)
    result = on_a_loop(run(target, Synthetic(keys=1000), callers=1, requests=120))
    assert {node_id: share.state for node_id, share in result.nodes.items()} == {
        "old": "left", "steady": "stayed", "new": "joined",
    }  # fmt: skip
    assert not result.loads_exact
    assert all(share.requests > 0 for share in result.nodes.values())


def test_nodes_that_answer_no_more_at_the_end_have_left() -> None:
    async def before(number: int, key: str) -> None:
        target.reachable = number < 9

    target = MemoryTarget(before=before)
    result = on_a_loop(run(target, Synthetic(), requests=10, callers=1))
    assert result.nodes == {"a": NodeShare(0, 0, "left")}
    assert not result.loads_exact


def test_progress_tells_rate_hits_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_PROGRESS_S", 0.005)
    told: list[Progress] = []

    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0.002)
        if number == 0:
            raise ValueError

    on_a_loop(run(MemoryTarget(before=before), Synthetic(keys=1), callers=1, requests=50, on_progress=told.append))
    assert len(told) > 2
    last = told[-1]
    assert last.fraction == last.requests / 50
    assert last.failed == 1
    assert last.hits == last.reads - 1
