"""Several processes do one run between them, and none outlives it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import uvloop
from eventually import eventually
from target_worlds import serving
from zmcache_loadgen.errors import TargetRefused, TargetUnavailable
from zmcache_loadgen.load.opening import opened
from zmcache_loadgen.load.plan import Closed, Destination, Open, Plan
from zmcache_loadgen.load.run import measure
from zmcache_loadgen.load.workers import WorkerDied
from zmcache_loadgen.workloads import Synthetic, TraceWorkload, Uniform


def plan(target: str, *, workers: int = 2, loop: Closed | Open | None = None, **given: Any) -> Plan:
    given.setdefault("workload", Synthetic(keys=500, distribution=Uniform()))
    destination = Destination(target=target, group=given.pop("group", "items"))
    return Plan(destination=destination, loop=loop or Closed(callers=8), workers=workers, **given)


async def shown_of(wanted: Plan, stop: asyncio.Event | None = None) -> dict[str, Any]:
    return await measure(wanted, opened, stop=stop or asyncio.Event())


def test_workers_share_the_requests_and_what_they_saw_is_added_up() -> None:
    shown = uvloop.run(shown_of(plan("noop", requests=5001, loop=Closed(callers=9))))
    assert (shown["requests"], shown["workers"], shown["partial"]) == (5001, 2, None)
    assert shown["loads"]["distinct_keys"] == 500
    assert sum(row["requests"] for row in shown["series"]) == 5001
    assert shown["latency_us"]["all"]["count"] == 5001
    assert multiprocessing.active_children() == []


def test_a_trace_is_split_and_no_access_is_lost_or_doubled(tmp_path: Path) -> None:
    trace = tmp_path / "t.txt"
    trace.write_text("".join(f"key-{number % 700}\n" for number in range(3000)))

    async def measured() -> dict[str, Any]:
        async with serving(tmp_path) as address:
            return await shown_of(plan(f"zmcache:{address}", group="filled", workload=TraceWorkload(path=trace)))

    shown = uvloop.run(measured())
    assert (shown["requests"], shown["loads"]["distinct_keys"], shown["loads"]["loaded"]) == (3000, 700, 700)
    assert shown["errors"]["total"] == 0


def test_an_open_loop_of_two_workers_has_the_rate_of_one() -> None:
    shown = uvloop.run(shown_of(plan("noop", loop=Open(rate=400), duration_s=1.0)))
    assert shown["requests"] == 400


def test_a_target_that_lives_in_one_process_is_refused() -> None:
    with pytest.raises(TargetRefused, match="dict: lives in one process"):
        uvloop.run(shown_of(plan("dict", requests=1)))


@pytest.mark.slow
def test_nobody_there_is_the_workers_own_line() -> None:
    async def measured() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        await shown_of(plan(f"zmcache:127.0.0.1:{port}", requests=1))

    with pytest.raises(TargetUnavailable):
        uvloop.run(measured())
    assert multiprocessing.active_children() == []


def test_a_worker_that_is_killed_takes_the_run_with_it_and_the_others_end() -> None:
    async def measured() -> None:
        running = asyncio.create_task(shown_of(plan("noop", loop=Open(rate=100), duration_s=600)))
        await eventually(lambda: len(multiprocessing.active_children()) == 2, within_s=20)
        victim = multiprocessing.active_children()[0].pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(WorkerDied, match="ended by itself"):
            await running

    uvloop.run(measured())
    assert multiprocessing.active_children() == []


def test_a_stop_reaches_all_of_them_and_what_was_measured_is_kept() -> None:
    async def measured() -> dict[str, Any]:
        stop = asyncio.Event()
        rows = 0

        def on_row(row: object) -> None:
            nonlocal rows
            rows += 1
            stop.set()

        wanted = plan("noop", loop=Open(rate=100), duration_s=600)
        shown = await measure(wanted, opened, stop=stop, on_row=on_row)
        assert rows >= 1
        return shown

    shown = uvloop.run(measured())
    assert shown["partial"] == "interrupted"
    assert 0 < shown["requests"] < 1000
