"""Versions: newer is newer, on one node, between nodes, and whatever the clocks do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zmcache.core.versions import AHEAD_MOST_S, MAX_VERSION, Versions, newer, wall_s_of

DAY_S = 24 * 3600.0


class Clock:
    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def test_a_node_gives_each_version_once_and_the_later_ones_are_newer_though_no_time_passes() -> None:
    clock = Clock()
    versions = Versions("a", 1_800_000_000.0, clock)
    given_ = [versions.next() for _ in range(1000)]
    clock.now_s += 0.001
    given_.append(versions.next())
    assert given_ == sorted(set(given_))
    assert all(0 < version <= MAX_VERSION for version in given_)
    assert abs(wall_s_of(given_[-1]) - 1_800_000_000.001) < 0.001


def test_what_was_seen_is_older_than_what_is_given_next_even_with_a_clock_an_hour_behind() -> None:
    ahead, behind = Versions("a", 1_800_003_600.0, Clock()), Versions("b", 1_800_000_000.0, Clock())
    seen = ahead.next()
    assert behind.next() < seen
    behind.seen(seen)
    assert behind.next() > seen


def test_the_wall_clock_is_read_once_and_then_time_goes_by_the_monotonic_one() -> None:
    clock = Clock(50.0)
    versions = Versions("a", 1_800_000_000.0, clock)
    first = versions.next()
    clock.now_s = 60.0
    assert abs(wall_s_of(versions.next()) - wall_s_of(first) - 10.0) < 0.001


def test_a_version_from_beyond_tomorrow_is_not_believed() -> None:
    here = Versions("a", 1_800_000_000.0, Clock())
    assert here.is_believable(Versions("b", 1_800_000_000.0 + AHEAD_MOST_S - 1, Clock()).next())
    assert not here.is_believable(Versions("b", 1_800_000_000.0 + 2 * DAY_S, Clock()).next())
    assert not here.is_believable(MAX_VERSION)


def test_two_nodes_give_different_versions_at_the_same_moment() -> None:
    clock = Clock()
    assert len({Versions(name, 1_800_000_000.0, clock).next() for name in "abcdef"}) == 6


values = st.none() | st.binary(max_size=3)
versions_ = st.integers(0, 3)


@given(versions_, values, versions_, values)
def test_of_two_different_things_exactly_one_is_the_newer(
    one: int, a: bytes | None, other: int, b: bytes | None
) -> None:
    if (one, a) == (other, b):
        assert not newer(one, a, other, b)
    else:
        assert newer(one, a, other, b) is not newer(other, b, one, a)
    if one != other:
        assert newer(one, a, other, b) is (one > other)
