from __future__ import annotations

import pytest

from zmcache.core.popularity import _MAX_COUNTED, Popularity


def test_requests_within_the_window_count_in_full() -> None:
    popularity = Popularity(1.0)
    assert popularity.count("k", 10.0) == 1
    assert popularity.count("other", 10.1) == 1
    assert popularity.count("k", 10.2) == 2
    assert (popularity.rate("k", 10.3), popularity.rate("nobody", 10.3)) == (2, 0)


def test_the_window_before_counts_by_how_much_of_it_is_within_reach() -> None:
    popularity = Popularity(1.0)
    for _ in range(4):
        popularity.count("k", 10.0)
    assert popularity.rate("k", 11.0) == 4
    assert popularity.rate("k", 11.25) == pytest.approx(3.0)
    assert popularity.count("k", 11.5) == pytest.approx(3.0)
    assert popularity.rate("k", 12.0) == pytest.approx(1.0)


def test_after_a_long_silence_nothing_is_popular() -> None:
    popularity = Popularity(1.0)
    for _ in range(5):
        popularity.count("k", 10.0)
    assert popularity.count("k", 100.0) == 1


def test_a_scan_of_more_keys_than_are_counted_is_bounded_and_a_popular_key_outlives_it() -> None:
    popularity = Popularity(1.0)
    for n in range(_MAX_COUNTED * 2):
        popularity.count(f"scan-{n}", 10.0)
    assert len(popularity._counts) <= _MAX_COUNTED
    popularity.count("k", 10.5)
    assert popularity.rate("k", 10.5) == 0
    popularity.count("k", 11.1)
    assert popularity.count("k", 11.2) == 2
