"""By when 19 of 20 answers come, and how many requests may be made twice, by times that the test makes."""

from __future__ import annotations

import math
import random

import pytest

from zmcache.core.hedging import LEAST_S, MOST_S, Allowance, Lateness


class Node:
    """One that answers requests, one a millisecond, after as long as it is told; ``late`` is the share that was late, of those looked at."""

    def __init__(self) -> None:
        self.lateness = Lateness()
        self.now_s = 0.0
        self.late = 0.0

    def answer(self, times_s: list[float]) -> None:
        looked, late = 0, 0
        for took_s in times_s:
            self.now_s += 0.001
            if self.lateness.looks_at(self.now_s):
                is_late = took_s > self.lateness.p95_s
                self.lateness.ended(late=is_late)
                looked, late = looked + 1, late + is_late
        self.late = late / looked


@pytest.mark.parametrize("scale_s", [0.004, 0.020, 0.100])
def test_one_answer_in_twenty_comes_later_whatever_the_times_are(scale_s: float) -> None:
    chance = random.Random(7)
    draw = [chance.lognormvariate(math.log(scale_s), 0.5) for _ in range(200_000)]
    node = Node()
    node.answer(draw[:100_000])
    node.answer(draw[100_000:])
    assert node.late == pytest.approx(0.05, abs=0.015)
    p95_s = sorted(draw)[int(0.95 * len(draw))]
    assert p95_s / 1.6 < node.lateness.p95_s < p95_s * 1.6


def test_a_node_that_becomes_quick_is_seen_to_be_within_seconds() -> None:
    node = Node()
    node.answer([0.050] * 2000)
    assert node.lateness.p95_s > 0.040
    node.answer([0.003] * 12_000)  # twelve seconds
    assert node.lateness.p95_s < 0.005


def test_a_pause_of_a_second_counts_once_and_not_for_each_who_asked_in_it() -> None:
    node = Node()
    node.answer([0.003] * 5000)
    before_s = node.lateness.p95_s
    # A thousand requests in that second, none of them answered in it.
    node.answer([1.0] * 1000)
    assert before_s < node.lateness.p95_s < before_s + 0.2


def test_the_time_stays_within_its_bounds() -> None:
    lateness = Lateness()
    for _ in range(10_000):
        lateness.ended(late=True)
    assert lateness.p95_s == MOST_S
    for _ in range(10_000):
        lateness.ended(late=False)
    assert lateness.p95_s == LEAST_S


def test_no_more_than_the_share_may_be_made_twice() -> None:
    allowance = Allowance(0.05)
    assert not allowance.take()
    taken = 0
    for _ in range(10_000):
        allowance.earn(1)
        taken += allowance.take()
    assert taken == pytest.approx(500, abs=1)


def test_a_quiet_hour_is_not_saved_up_for_a_storm() -> None:
    allowance = Allowance(0.05)
    allowance.earn(1_000_000)
    taken = 0
    while allowance.take():
        taken += 1
    assert taken < 20
