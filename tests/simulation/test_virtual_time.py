"""Time jumps to what comes next; a process that is stopped does everything later, one that is killed nothing more."""

from __future__ import annotations

import asyncio

import pytest
from virtual_time import TICK_S, ProcessLoop, TimeStandsStill, World


class Diary:
    """Two processes, and what happened in them, when."""

    def __init__(self) -> None:
        self.world = World()
        self.one = ProcessLoop(self.world, "one", began_s=-1000)
        self.two = ProcessLoop(self.world, "two", began_s=-7)
        self.notes: list[tuple[float, str]] = []

    def note(self, what: str) -> None:
        self.notes.append((round(self.world.now, 3), what))

    async def sleeps(self, what: str, *pauses_s: float) -> None:
        try:
            for pause_s in pauses_s:
                await asyncio.sleep(pause_s)
                self.note(what)
        finally:
            self.note(f"{what} ends")


def test_an_hour_takes_no_time_and_things_come_in_order() -> None:
    diary = Diary()
    diary.one.spawn(diary.sleeps("one", 3600.0))
    diary.two.spawn(diary.sleeps("two", 1.0, 1.0))
    diary.world.run(4000.0)
    assert diary.notes == [(1.0, "two"), (2.0, "two"), (2.0, "two ends"), (3600.0, "one"), (3600.0, "one ends")]
    assert diary.world.now == 4000.0


def test_what_is_due_at_the_same_time_comes_in_the_order_in_which_it_was_planned() -> None:
    diary = Diary()
    for name in "abc":
        diary.world.at(1.0, diary.note, name)
    diary.world.run(2.0)
    assert [what for _, what in diary.notes] == ["a", "b", "c"]


def test_each_process_has_a_clock_and_a_running_loop_of_its_own() -> None:
    diary = Diary()
    seen: list[object] = []

    async def look() -> None:
        seen.append(asyncio.get_running_loop())
        seen.append(asyncio.get_running_loop().time())

    diary.one.spawn(look())
    diary.two.spawn(look())
    diary.world.run(1.0)
    assert seen == [diary.one, 1000.0, diary.two, 7.0]


def test_a_timer_is_never_early() -> None:
    diary = Diary()
    wrong: list[float] = []

    def check(due_s: float) -> None:
        if not due_s <= diary.one.time() < due_s + 2 * TICK_S:
            wrong.append(due_s)

    for at in range(1, 200):
        due_s = diary.one.time() + at / 7
        diary.one.call_at(due_s, check, due_s)
    diary.world.run(100.0)
    assert wrong == []


def test_a_stopped_process_does_everything_later_and_in_order() -> None:
    diary = Diary()
    diary.one.spawn(diary.sleeps("one", 1.0, 1.0))
    diary.two.spawn(diary.sleeps("two", 1.5))
    diary.world.at(0.5, diary.one.stop_process)
    diary.world.at(0.7, diary.one.arrive, diary.note, "a frame")
    diary.world.at(5.0, diary.one.continue_process)
    diary.world.run(10.0)
    assert diary.notes == [
        (1.5, "two"),
        (1.5, "two ends"),
        (5.0, "a frame"),
        (5.0, "one"),
        (6.0, "one"),
        (6.0, "one ends"),
    ]
    assert diary.one.stood_s == 4.5


def test_a_killed_process_does_nothing_more_not_even_its_finally() -> None:
    diary = Diary()
    task = diary.one.spawn(diary.sleeps("one", 1.0, 1.0))
    diary.world.at(1.5, diary.one.kill)
    diary.world.at(1.7, diary.one.arrive, diary.note, "a frame")
    diary.world.run(10.0)
    assert diary.notes == [(1.0, "one")]
    assert not task.done()


def test_what_runs_in_a_thread_takes_its_time() -> None:
    diary = Diary()

    async def work() -> None:
        diary.note(await asyncio.get_running_loop().run_in_executor(None, lambda: "done"))

    diary.one.spawn(work())
    diary.world.run(1.0)
    assert diary.notes == [(0.001, "done")]


def test_an_exception_that_nobody_sees_is_kept() -> None:
    diary = Diary()
    diary.world.at(1.0, diary.one.arrive, lambda: 1 / 0)
    diary.world.run(2.0)
    assert [type(error["exception"]) for error in diary.one.errors] == [ZeroDivisionError]


def test_timeouts_and_tasks_of_asyncio_work_in_it() -> None:
    diary = Diary()

    async def hurry() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await asyncio.gather(asyncio.sleep(1.0), asyncio.sleep(60.0))
        diary.note("too late")

    diary.one.spawn(hurry())
    diary.world.run(100.0)
    assert diary.notes == [(2.0, "too late")]
    assert not diary.one.errors


def test_what_is_done_over_and_over_in_one_moment_is_told() -> None:
    diary = Diary()

    def again() -> None:
        diary.one.call_soon(again)

    diary.one.arrive(again)
    with pytest.raises(TimeStandsStill):
        diary.world.run(1.0)
