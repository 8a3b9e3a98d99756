"""The closed loop asks what the workload says, with so many callers, and tells what became of it."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
from filling_target import FillingTarget, plan_of, run
from zmcache_loadgen.errors import TargetRefused, TargetUnavailable, TraceError
from zmcache_loadgen.load import run as running
from zmcache_loadgen.load.measurement import Row
from zmcache_loadgen.load.plan import Closed
from zmcache_loadgen.targets.base import NodeCounters
from zmcache_loadgen.workloads import Synthetic, TraceWorkload, Uniform, Zipf

T = TypeVar("T")


def on_a_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    return uvloop.run(coroutine)


def uniform(keys: int = 1000, **given: Any) -> Synthetic:
    return Synthetic(keys=keys, distribution=Uniform(), prefix="", **given)


def trace_of(folder: Path, keys: list[int], tail: bytes = b"") -> TraceWorkload:
    path = folder / "t.trace"
    path.write_bytes(struct.pack(f">{len(keys)}I", *keys) + tail)
    return TraceWorkload(path=path)


def test_a_replay_asks_every_key_once_and_counts_hits_loads_and_distinct_keys(tmp_path: Path) -> None:
    keys = [1, 2, 1, 3, 404, 1, 2, 404]
    target = FillingTarget(nodes=("a", "b"), absent=("404",))
    shown = on_a_loop(run(target, plan_of(trace_of(tmp_path, keys), Closed(callers=3))))
    assert Counter(key for key, _ in target.asked) == Counter(map(str, keys))
    assert shown["tiers"] == {"hot": 0, "owner": 3, "load": 3, "found": 0, "absent": 2}
    assert (shown["requests"], shown["reads"], shown["hit_ratio"]) == (8, 8, 3 / 8)
    assert shown["loads"] == {"loaded": 3, "loaded_exact": True, "distinct_keys": 4, "distinct_exact": True}
    assert {name: latency["count"] for name, latency in shown["latency_us"].items()} == {
        "all": 8, "hits": 3, "misses": 5, "writes": 0,
    }  # fmt: skip
    assert (shown["loop"], shown["seed"], shown["partial"]) == ({"kind": "closed", "callers": 3}, None, None)
    assert (shown["errors"]["total"], shown["skipped"], shown["service_us"]) == (0, 0, None)


def test_the_same_seed_asks_the_same_however_many_callers() -> None:
    async def asked(callers: int) -> list[tuple[str, bytes | None]]:
        target = FillingTarget()
        workload = Synthetic(keys=100, distribution=Zipf(0.99), writes=0.2, seed=5)
        shown = await run(target, plan_of(workload, Closed(callers=callers), requests=500))
        assert shown["seed"] == 5
        return target.asked

    assert on_a_loop(asked(1)) == on_a_loop(asked(17))


def test_deletes_batches_and_writes_reach_the_target_and_are_counted_apart() -> None:
    async def measured() -> None:
        target = FillingTarget()
        shown = await run(target, plan_of(uniform(50, writes=0.2, deletes=0.1), requests=1000))
        written = sum(value is not None for _, value in target.asked)
        assert 150 < written < 250
        assert 50 < len(target.deleted) < 150
        assert shown["latency_us"]["writes"]["count"] == written + len(target.deleted)
        assert shown["requests"] == shown["reads"] + shown["latency_us"]["writes"]["count"] == 1000

        batched = FillingTarget()
        shown = await run(batched, plan_of(uniform(50, batch=10), requests=20))
        assert (shown["requests"], len(batched.asked)) == (20, 200)
        assert shown["loads"]["distinct_keys"] == len({key for key, _ in batched.asked})

    on_a_loop(measured())


def test_a_load_phase_writes_every_key_once_and_is_not_in_the_figures() -> None:
    target = FillingTarget()
    shown = on_a_loop(run(target, plan_of(uniform(300), requests=100, load_first=True)))
    written = [key for key, value in target.asked if value is not None]
    assert sorted(map(int, written)) == list(range(300))
    assert (shown["requests"], shown["tiers"]["owner"], shown["hit_ratio"]) == (100, 100, 1.0)
    assert shown["latency_us"]["writes"]["count"] == 0


def test_what_begins_in_the_warm_up_does_not_count() -> None:
    """Only the warm-up's requests are slow, and none of them is in the latencies."""
    target = FillingTarget()
    began: list[float] = []

    async def before(number: int, key: str) -> None:
        began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.05 if began[-1] - began[0] < 0.15 else 0.001)

    target._before = before
    plan = plan_of(uniform(10), Closed(callers=4), duration_s=0.2, warmup_s=0.25)
    start_s = time.monotonic()
    shown = on_a_loop(run(target, plan))
    whole_s = time.monotonic() - start_s
    counted = sum(moment - began[0] >= 0.25 for moment in began)
    assert 0 < shown["requests"] <= counted + 4
    assert shown["requests"] < len(target.asked)
    assert 0.05 < shown["seconds"] < whole_s - 0.2
    assert shown["warmup_s"] == 0.25


def test_a_number_of_requests_is_that_of_those_that_count() -> None:
    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0.001)

    target = FillingTarget(before=before)
    shown = on_a_loop(run(target, plan_of(uniform(10), Closed(callers=4), requests=50, warmup_s=0.1)))
    assert len(target.asked) > 55
    assert 50 <= shown["requests"] <= 54  # what was on its way to a caller when warm-up ended counts, too


def test_latencies_of_hits_and_misses_are_those_of_the_calls() -> None:
    """Waits are counted from below only: this machine may be slow, and no call is shorter than its own wait."""

    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0.020 if key == "0" and number == 0 else 0.002)

    shown = on_a_loop(run(FillingTarget(before=before), plan_of(uniform(1), Closed(callers=1), requests=30)))
    assert (shown["tiers"]["load"], shown["tiers"]["owner"]) == (1, 29)
    hits, misses = shown["latency_us"]["hits"], shown["latency_us"]["misses"]
    assert misses["p50"] == pytest.approx(misses["max"], rel=0.002)  # a place of the histogram
    assert misses["mean"] >= 19_000
    assert hits["p50"] >= 1_500
    assert shown["seconds"] >= 0.020 + 29 * 0.0015
    assert shown["requests_per_s"] == pytest.approx(30 / shown["seconds"], rel=0.01)


def test_as_many_requests_are_under_way_as_there_are_callers() -> None:
    under_way, most = 0, 0

    async def before(number: int, key: str) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1

    on_a_loop(run(FillingTarget(before=before), plan_of(uniform(10), Closed(callers=7), requests=70)))
    assert most == 7


def test_a_duration_ends_the_run_and_what_was_in_flight_is_counted() -> None:
    finished = 0

    async def before(number: int, key: str) -> None:
        nonlocal finished
        await asyncio.sleep(0.03)
        finished += 1

    target = FillingTarget(before=before)
    shown = on_a_loop(run(target, plan_of(uniform(), Closed(callers=4), duration_s=0.1)))
    assert shown["requests"] == finished == len(target.asked)
    assert shown["seconds"] >= 0.1
    assert shown["partial"] is None


def test_a_target_that_never_waits_still_lets_the_time_run_out_and_others_in() -> None:
    async def measured() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        shown = await run(FillingTarget(), plan_of(uniform(10), Closed(callers=2), duration_s=0.05))
        task.cancel()
        assert shown["requests"] > 100
        assert turns > 3

    on_a_loop(measured())


def test_errors_are_counted_by_class_with_the_first_text_of_each_and_the_run_goes_on() -> None:
    async def before(number: int, key: str) -> None:
        if number % 10 == 3:
            raise ValueError(f"number {number}\nsecond line")
        if number % 10 == 7:
            raise TimeoutError

    shown = on_a_loop(run(FillingTarget(before=before), plan_of(uniform(5), Closed(callers=1), requests=100)))
    assert shown["requests"] == 100
    assert shown["errors"] == {
        "total": 20,
        "by_class": {
            "ValueError": {"count": 10, "first": "number 3 second line"},
            "TimeoutError": {"count": 10, "first": ""},
        },
    }
    latency = shown["latency_us"]
    assert latency["all"]["count"] == 100
    assert latency["hits"]["count"] + latency["misses"]["count"] == 80
    assert shown["requests_per_s"] == pytest.approx(80 / shown["seconds"], rel=0.01)


def test_a_stop_in_the_middle_keeps_what_was_measured_and_leaves_no_task_behind() -> None:
    async def measured() -> None:
        stop = asyncio.Event()

        async def before(number: int, key: str) -> None:
            if number == 50:
                stop.set()
            if number >= 50:
                await asyncio.sleep(3600)

        shown = await run(
            FillingTarget(before=before), plan_of(uniform(), Closed(callers=4), duration_s=3600), stop=stop
        )
        assert (shown["partial"], shown["requests"], shown["errors"]["total"]) == ("interrupted", 50, 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_a_loop(measured())


def test_a_run_that_is_cancelled_leaves_no_task_behind() -> None:
    async def measured() -> None:
        arrived = asyncio.Event()

        async def before(number: int, key: str) -> None:
            arrived.set()
            await asyncio.sleep(3600)

        task = asyncio.create_task(run(FillingTarget(before=before), plan_of(uniform(), duration_s=3600)))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_a_loop(measured())


def test_a_trace_that_breaks_off_is_a_partial_result(tmp_path: Path) -> None:
    target = FillingTarget()
    shown = on_a_loop(run(target, plan_of(trace_of(tmp_path, [1, 2, 3], b"\0"), Closed(callers=2))))
    assert shown["requests"] == len(target.asked) == 3
    assert "ends inside a record" in shown["partial"]


def test_an_empty_trace_asks_nothing_of_the_target(tmp_path: Path) -> None:
    target = FillingTarget()
    with pytest.raises(TraceError, match="nothing to replay"):
        on_a_loop(run(target, plan_of(trace_of(tmp_path, []))))
    assert target.asked == []


def test_a_target_that_is_not_there_is_not_asked() -> None:
    target = FillingTarget()
    target.reachable = False
    with pytest.raises(TargetUnavailable):
        on_a_loop(run(target, plan_of(uniform(), requests=1)))
    assert target.asked == []


def test_a_target_that_refuses_ends_the_run_at_once() -> None:
    async def before(number: int, key: str) -> None:
        raise TargetRefused("no group of that name")

    target = FillingTarget(before=before)
    with pytest.raises(TargetRefused, match="no group of that name"):
        on_a_loop(run(target, plan_of(uniform(), Closed(callers=8), duration_s=3600)))
    assert len(target.asked) <= 8


def test_nodes_that_join_and_leave_are_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_LOOK_S", 0.002)

    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0.002)
        if number == 20:
            target.nodes["new"] = NodeCounters(0, 0)
        if number == 60:
            del target.nodes["old"]

    target = FillingTarget(nodes=("old", "steady"), before=before)
    shown = on_a_loop(run(target, plan_of(uniform(), Closed(callers=1), requests=120)))
    assert {node_id: node["state"] for node_id, node in shown["nodes"].items()} == {
        "old": "left", "steady": "stayed", "new": "joined",
    }  # fmt: skip
    assert not shown["loads"]["loaded_exact"]
    assert all(node["requests"] > 0 for node in shown["nodes"].values())


def test_nodes_that_answer_no_more_at_the_end_have_left() -> None:
    async def before(number: int, key: str) -> None:
        target.reachable = number < 9

    target = FillingTarget(before=before)
    shown = on_a_loop(run(target, plan_of(uniform(), Closed(callers=1), requests=10)))
    assert shown["nodes"] == {"a": {"requests": 0, "loads": 0, "state": "left"}}
    assert not shown["loads"]["loaded_exact"]


def test_each_second_is_told_as_it_ends_and_the_seconds_add_up_to_the_run() -> None:
    told: list[Row] = []

    async def before(number: int, key: str) -> None:
        await asyncio.sleep(0.002)
        if number % 100 == 0:
            raise ValueError

    plan = plan_of(uniform(1), Closed(callers=1), duration_s=1.3)
    shown = on_a_loop(run(FillingTarget(before=before), plan, on_row=told.append))
    assert [row["second"] for row in shown["series"]] == [row.second for row in told] == [0, 1]
    for name, total in (
        ("requests", shown["requests"]),
        ("reads", shown["reads"]),
        ("errors", shown["errors"]["total"]),
    ):
        assert sum(row[name] for row in shown["series"]) == total
    assert all(row["p50_us"] >= 1_500 for row in shown["series"])
