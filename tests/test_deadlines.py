from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import uvloop
from mesh_fixture import took_less_than

from zmcache.deadlines import RESOLUTION_S, Deadlines

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return asyncio.run if request.param == "asyncio" else uvloop.run


async def reached(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 2.0)


def add(deadlines: Deadlines, due_s: float, callback: Callable[[], None]) -> None:
    deadlines.add(due_s, callback)


def fail() -> None:
    raise ZeroDivisionError


def test_a_deadline_is_kept_never_early_and_at_most_20_ms_late(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop)
        lateness: list[float] = []
        done = asyncio.Event()

        def note(due_s: float) -> None:
            lateness.append(loop.time() - due_s)
            if len(lateness) == 40:
                done.set()

        for n in range(40):
            due_s = loop.time() + 0.003 * n + 0.0007
            deadlines.add(due_s, partial(note, due_s))
        await reached(done)
        assert min(lateness) >= 0
        # One resolution, and room for a noisy machine: most are within it.
        assert sorted(lateness)[20] <= 2 * RESOLUTION_S

    run(main())


def test_a_deadline_that_has_passed_already_is_kept_at_once(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        with took_less_than(0.2):
            Deadlines(loop).add(loop.time() - 5, event.set)
            await reached(event)

    run(main())


def test_an_earlier_deadline_is_not_kept_waiting_by_a_later_one_that_came_first(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, event = Deadlines(loop), asyncio.Event()
        began_s = loop.time()
        with took_less_than(0.3):
            deadlines.add(began_s + 60, lambda: None)
            deadlines.add(began_s + 0.03, event.set)
            await reached(event)
        deadlines.close()

    run(main())


def test_a_callback_that_adds_a_far_deadline_does_not_delay_the_near_ones(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, event = Deadlines(loop), asyncio.Event()
        began_s = loop.time()
        with took_less_than(0.3):
            deadlines.add(began_s + 0.02, partial(add, deadlines, began_s + 60, lambda: None))
            deadlines.add(began_s + 0.06, event.set)
            await reached(event)
        deadlines.close()

    run(main())


def test_a_callback_may_add_a_deadline_that_is_due_at_once(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, event = Deadlines(loop), asyncio.Event()
        deadlines.add(loop.time(), partial(add, deadlines, loop.time() - 1, event.set))
        await reached(event)

    run(main())


def test_a_discarded_callback_is_not_made_and_its_neighbours_are(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, event, calls = Deadlines(loop), asyncio.Event(), list[str]()
        due_s = loop.time() + 0.02

        def unwanted() -> None:
            calls.append("unwanted")

        bucket = deadlines.add(due_s, unwanted)
        deadlines.add(due_s, event.set)
        deadlines.discard(bucket, unwanted)
        deadlines.discard(bucket, unwanted)
        deadlines.discard(bucket + 5, unwanted)
        await reached(event)
        assert calls == []

    run(main())


def test_a_callback_that_raises_is_logged_and_its_neighbours_are_called(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, event = Deadlines(loop), asyncio.Event()
        due_s = loop.time() + 0.02
        deadlines.add(due_s, fail)
        deadlines.add(due_s, event.set)
        await reached(event)

    with caplog.at_level(logging.ERROR, "zmcache"):
        run(main())
    assert "ZeroDivisionError" in caplog.text


def test_nothing_is_called_after_close(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        deadlines, calls = Deadlines(loop), list[int]()
        deadlines.add(loop.time() + 0.01, lambda: calls.append(1))
        deadlines.close()
        deadlines.add(loop.time() + 0.01, lambda: calls.append(2))
        deadlines.close()
        watcher, event = Deadlines(loop), asyncio.Event()
        watcher.add(loop.time() + 0.05, event.set)
        await reached(event)
        assert calls == []

    run(main())
