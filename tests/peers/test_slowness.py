"""Who is called slow, by samples that the test makes, one of each peer a beat."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from zmcache.peers.ownloop import OwnLoop
from zmcache.peers.pulse import BEAT_S
from zmcache.peers.slowness import BEATS, FACTOR, FLOOR_S, LEAST_S, LONGEST_S, STALLED_S, Latency, judge

MS = 0.001


class Peers:
    """So many peers, and the time."""

    def __init__(self, count: int) -> None:
        self.peers = [Latency() for _ in range(count)]
        self.now_s = 0.0

    def beats(self, count: int, *samples: Callable[[], float] | float) -> None:
        for _ in range(count):
            self.now_s += BEAT_S
            for peer, sample in zip(self.peers, samples, strict=True):
                peer.add(sample() if callable(sample) else sample)
            judge(self.peers, self.now_s)

    @property
    def slow(self) -> list[bool]:
        return [peer.slow for peer in self.peers]


def test_one_that_is_slower_than_its_peers_is_slow_within_a_few_seconds_and_again_quick_later() -> None:
    peers = Peers(3)
    peers.beats(20, MS, MS, MS)
    peers.beats(10, MS, MS, 50 * MS)
    assert peers.slow == [False, False, True]
    since_s = peers.now_s
    while peers.slow[2]:
        peers.beats(1, MS, MS, MS)
    assert 0.6 * LEAST_S < peers.now_s - since_s < LEAST_S + 3


@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_of_any_number_of_peers_one_may_be_slow(count: int) -> None:
    peers = Peers(count)
    peers.beats(30, *[MS] * (count - 1), 40 * MS)
    assert peers.slow == [False] * (count - 1) + [True]


def test_who_has_nobody_to_be_held_against_is_not_slow() -> None:
    peers = Peers(1)
    peers.beats(50, 90 * MS)
    assert peers.slow == [False]


def test_where_all_are_slow_nobody_is() -> None:
    peers = Peers(4)
    peers.beats(50, 40 * MS, 60 * MS, 50 * MS, 80 * MS)
    assert peers.slow == [False] * 4


def test_what_is_slower_than_its_peers_and_still_quick_is_not_slow() -> None:
    peers = Peers(3)
    peers.beats(100, 0.1 * MS, 0.1 * MS, 0.9 * FLOOR_S)
    assert peers.slow == [False] * 3


def test_what_is_not_several_times_slower_than_its_peers_is_not_slow() -> None:
    peers = Peers(3)
    peers.beats(100, 20 * MS, 20 * MS, 0.9 * FACTOR * 20 * MS)
    assert peers.slow == [False] * 3


@pytest.mark.parametrize("pause", [[0.05], [0.2], [0.5], [0.4, 0.5]], ids=str)
def test_one_pause_makes_nobody_slow(pause: list[float]) -> None:
    peers = Peers(3)
    peers.beats(5, MS, MS, MS)
    for sample in pause:
        peers.beats(1, MS, MS, sample)
    for _ in range(20):
        peers.beats(1, MS, MS, MS)
        assert not peers.slow[2]


def test_one_that_lets_a_ping_wait_for_longer_than_a_pause_is_slow_at_once_and_for_a_while() -> None:
    peers = Peers(3)
    peers.beats(5, MS, MS, MS)
    peers.beats(1, MS, MS, STALLED_S + MS)
    assert peers.slow == [False, False, True]
    peers.beats(int(0.9 * LEAST_S / BEAT_S), MS, MS, MS)
    assert peers.slow[2]
    peers.beats(5, MS, MS, MS)
    assert not peers.slow[2]


def test_where_all_let_pings_wait_nobody_is_slow() -> None:
    peers = Peers(3)
    peers.beats(5, MS, MS, MS)
    peers.beats(2, 0.8, 0.8, 0.8)
    assert peers.slow == [False] * 3


def test_one_that_was_slow_and_did_not_answer_at_all_is_still_slow_when_it_answers_again() -> None:
    peers = Peers(3)
    peers.beats(5, MS, MS, MS)
    peers.beats(1, MS, MS, STALLED_S + MS)
    peers.peers[2].answers_again()
    peers.beats(2, MS, MS, MS)
    assert peers.slow[2]
    peers.beats(20, MS, MS, MS)
    assert not peers.slow[2]


def test_the_first_sample_of_all_is_no_average() -> None:
    peers = Peers(3)
    peers.beats(1, MS, MS, 2.0)
    peers.beats(BEATS + 1, MS, MS, MS)
    assert peers.slow == [False] * 3


def test_a_process_that_is_stopped_every_other_50_ms_is_slow_and_does_not_flap() -> None:
    dice = random.Random(6)

    def stopped_half_the_time() -> float:
        at = dice.uniform(0, 0.1)
        return MS if at > 0.05 else MS + at

    peers = Peers(4)
    changes, before = [], False
    for _ in range(int(600 / BEAT_S)):
        peers.beats(1, MS, MS, MS, stopped_half_the_time)
        if peers.slow[3] != before:
            before = peers.slow[3]
            changes.append(peers.now_s)
    assert changes[0] < 30
    # Each time it is taken back it was quick for a while by chance; the waits grow.
    assert len(changes) < 20
    assert before or len(changes) > 1


def test_one_that_becomes_slow_again_and_again_is_avoided_for_longer_each_time_and_never_longer_than_the_bound() -> (
    None
):
    peers = Peers(3)
    waits = []
    for _ in range(7):
        while not peers.slow[0]:
            peers.beats(1, 60 * MS, MS, MS)
        since_s = peers.now_s
        while peers.slow[0]:
            peers.beats(1, MS, MS, MS)
        waits.append(peers.now_s - since_s)
    assert waits == sorted(waits)
    assert 0.9 * LEAST_S < waits[0] < LEAST_S + 3
    assert LONGEST_S <= waits[-1] < LONGEST_S + 1


def test_the_clock_of_our_own_loop_stands_while_the_loop_does() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        own = OwnLoop(loop, lambda: True)
        own.watch()
        began_s, ran_s = loop.time(), own.ran_s()
        await asyncio.sleep(0.02)
        time.sleep(0.3)  # noqa: ASYNC251 - that is what is tested
        # Before any tick: as who handles a frame in the turn after the pause.
        assert own.ran_s() - ran_s < loop.time() - began_s - 0.25
        await asyncio.sleep(0.05)
        assert own.ran_s() - ran_s < loop.time() - began_s - 0.25
        own.close()

    asyncio.run(test())


def test_the_clock_of_our_own_loop_ticks_no_more_than_it_has_to() -> None:
    async def test() -> None:
        waiting = True
        ticks = 0

        def waits() -> bool:
            nonlocal ticks
            ticks += 1
            return waiting

        own = OwnLoop(asyncio.get_running_loop(), waits)
        own.watch()
        await asyncio.sleep(0.4)
        assert ticks <= 9
        waiting = False
        await asyncio.sleep(0.1)
        before = ticks
        await asyncio.sleep(0.2)
        assert ticks == before

    asyncio.run(test())
