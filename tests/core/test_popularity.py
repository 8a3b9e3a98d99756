from __future__ import annotations

from zmcache.core.popularity import _MAX_COUNTED, Popularity


def test_a_key_is_popular_from_its_second_request_within_the_window() -> None:
    popularity = Popularity(1.0)
    assert not popularity.is_popular("k", 10.0)
    assert not popularity.is_popular("other", 10.1)
    assert popularity.is_popular("k", 10.2)
    assert popularity.is_popular("k", 10.3)


def test_a_request_in_the_window_before_counts_and_one_before_that_does_not() -> None:
    popularity = Popularity(1.0)
    popularity.is_popular("k", 10.0)
    assert popularity.is_popular("k", 11.5)
    popularity = Popularity(1.0)
    popularity.is_popular("k", 10.0)
    popularity.is_popular("tick", 11.1)
    popularity.is_popular("tick", 12.2)
    assert not popularity.is_popular("k", 12.3)


def test_after_a_long_silence_nothing_is_popular() -> None:
    popularity = Popularity(1.0)
    popularity.is_popular("k", 10.0)
    popularity.is_popular("k", 10.0)
    assert not popularity.is_popular("k", 100.0)


def test_a_scan_of_more_keys_than_are_counted_is_bounded_and_a_popular_key_outlives_it() -> None:
    popularity = Popularity(1.0)
    for n in range(_MAX_COUNTED * 2):
        popularity.is_popular(f"scan-{n}", 10.0)
    assert len(popularity._counts) <= _MAX_COUNTED
    assert not popularity.is_popular("k", 10.5)
    popularity.is_popular("k", 11.1)
    assert popularity.is_popular("k", 11.2)
