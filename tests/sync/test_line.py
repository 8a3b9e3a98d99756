"""How threads are let go: in their turn, and all of them where one does not do its part."""

from __future__ import annotations

import asyncio
from _thread import LockType, allocate_lock
from types import SimpleNamespace

import pytest
from eventually import eventually

from zmcache.sync.line import CROWDED_FOR_S, Line


def taken(count: int) -> list[LockType]:
    locks = [allocate_lock() for _ in range(count)]
    for lock in locks:
        lock.acquire()
    return locks


def still_waiting(locks: list[LockType]) -> list[bool]:
    return [lock.locked() for lock in locks]


def test_each_lets_the_next_one_go() -> None:
    async def play() -> None:
        line = Line()
        line.begin(asyncio.get_running_loop())
        locks = taken(3)
        for lock in locks:
            line.let_go(lock)
        assert still_waiting(locks) == [False, True, True]
        line.pass_on()
        assert still_waiting(locks) == [False, False, True]
        line.pass_on()
        line.pass_on()
        (late,) = taken(1)
        line.let_go(late)
        assert still_waiting([*locks, late]) == [False] * 4
        line.end()

    asyncio.run(play())


def test_where_one_does_not_the_loop_lets_all_go() -> None:
    async def play() -> None:
        line = Line()
        line.begin(asyncio.get_running_loop())
        locks = taken(5)
        for lock in locks:
            line.let_go(lock)
        await eventually(lambda: not any(still_waiting(locks)))
        again = taken(3)
        for lock in again:
            line.let_go(lock)
        assert still_waiting(again) == [False, True, True]
        await eventually(lambda: not any(still_waiting(again)))

    asyncio.run(play())


def test_at_the_end_and_afterwards_nobody_waits_for_another() -> None:
    async def play() -> None:
        line = Line()
        line.begin(asyncio.get_running_loop())
        locks = taken(3)
        for lock in locks:
            line.let_go(lock)
        line.end()
        late = taken(2)
        for lock in late:
            line.let_go(lock)
        assert not any(still_waiting([*locks, *late]))

    asyncio.run(play())


def test_among_threads_that_compute_there_is_no_line_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        line = Line()
        line.begin(asyncio.get_running_loop())
        now_s, kept_s = 100.0, 0.005
        aside: list[float] = []

        def sleep(seconds: float) -> None:
            nonlocal now_s
            aside.append(now_s)
            now_s += kept_s

        monkeypatch.setattr("zmcache.sync.line.time", SimpleNamespace(monotonic=lambda: now_s, sleep=sleep))

        def waiting_of_three() -> int:
            locks = taken(3)
            for lock in locks:
                line.let_go(lock)
            waiting = sum(still_waiting(locks))
            for _ in range(3):
                line.pass_on()
            line.step_aside()
            return waiting

        assert [waiting_of_three() for _ in range(3)] == [2, 0, 0]
        assert aside == [100.0]
        now_s, kept_s = now_s + CROWDED_FOR_S, 0.00005
        assert [waiting_of_three() for _ in range(3)] == [0, 2, 2]
        assert len(aside) == 4
        (alone,) = taken(1)
        line.let_go(alone)
        line.step_aside()
        assert len(aside) == 4
        line.end()

    asyncio.run(play())
