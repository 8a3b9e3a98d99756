from __future__ import annotations

import pytest

from zmcache.core.pacing import TokenBucket


def test_a_burst_passes_at_once_and_the_next_waits_for_its_token() -> None:
    bucket = TokenBucket(rate=10.0, burst=3.0)
    assert [bucket.take(100.0, 1.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(100.0, 1.0) == pytest.approx(0.1)
    assert bucket.take(100.0, 1.0) == pytest.approx(0.2)


def test_what_would_wait_too_long_is_refused_and_costs_nothing() -> None:
    bucket = TokenBucket(rate=1.0, burst=1.0)
    assert bucket.take(5.0, 0.5) == 0.0
    assert [bucket.take(5.0, 0.5) for _ in range(10)] == [None] * 10
    assert bucket.take(6.0, 0.5) == 0.0


def test_over_time_no_more_pass_than_the_rate_and_one_burst() -> None:
    bucket = TokenBucket(rate=50.0, burst=10.0)
    used_s = [
        now + wait for now in (step / 1000 for step in range(10_000)) if (wait := bucket.take(now, 1.0)) is not None
    ]
    for start in range(9):
        within = sum(start <= at < start + 1 for at in used_s)
        assert within <= 50 + 10 + 1
    assert len(used_s) >= 50 * 10


def test_no_more_than_a_burst_is_saved_up_and_a_clock_that_jumps_back_gives_nothing() -> None:
    bucket = TokenBucket(rate=10.0, burst=2.0)
    assert [bucket.take(1e6, 0.0) for _ in range(3)] == [0.0, 0.0, None]
    assert bucket.take(1e6 - 100, 0.0) is None
