from __future__ import annotations

import math

from zmcache.core.hot import HotCache


def test_only_what_is_asked_for_again_is_copied_and_for_the_hot_expiry_at_most() -> None:
    hot = HotCache(100_000, ttl_s=2.0)
    hot.offer("k", b"v", math.inf, 1.0)
    assert hot.get("k", 1.0) is None
    hot.offer("k", b"v", math.inf, 1.5)
    assert hot.get("k", 3.4) == b"v"
    assert hot.get("k", 3.5) is None


def test_a_copy_never_outlives_the_value_and_one_without_a_life_is_not_kept() -> None:
    hot = HotCache(100_000, ttl_s=2.0)
    for _ in range(2):
        hot.offer("short", b"v", 1.5, 1.0)
        hot.offer("none", b"v", 0.0, 1.0)
    assert hot.get("short", 1.4) == b"v"
    assert hot.get("short", 1.5) is None
    assert hot.get("none", 1.0) is None


def offered(hot: HotCache, key: str, times: int, now_s: float) -> bool:
    for _ in range(times):
        hot.offer(key, bytes(100), math.inf, now_s)
    return hot.contains(key, now_s)


def test_a_copy_takes_the_place_only_of_one_that_is_less_popular() -> None:
    hot = HotCache(3_000, ttl_s=2.0)
    held = [f"k{n}" for n in range(20) if offered(hot, f"k{n}", 4, 1.0)]
    assert 3 <= len(held) < 20, "the others found it full, and were no more popular"
    assert not offered(hot, "as popular", 4, 1.0)
    assert all(hot.contains(key, 1.0) for key in held)
    assert offered(hot, "more popular", 5, 1.0)
    assert sum(hot.contains(key, 1.0) for key in held) == len(held) - 1


def test_what_is_asked_of_copies_makes_them_popular() -> None:
    hot = HotCache(3_000, ttl_s=2.0)
    held = [f"k{n}" for n in range(20) if offered(hot, f"k{n}", 2, 1.0)]
    for key in held:
        for _ in range(5):
            assert hot.read(key, 1.0) is not None
            assert hot.fill([key], [None], [0.0], 1.0) == [0]
    assert not offered(hot, "new", 6, 1.0)
    assert offered(hot, "newer", 13, 1.0)


def test_one_large_copy_does_not_take_the_place_of_all() -> None:
    hot = HotCache(10_000, ttl_s=2.0)
    assert offered(hot, "small", 2, 1.0)
    for _ in range(100):
        hot.offer("large", bytes(5_000), math.inf, 1.0)
    assert not hot.contains("large", 1.0)
    assert hot.contains("small", 1.0)


def test_copies_fill_only_the_gaps_and_say_which() -> None:
    hot = HotCache(100_000, ttl_s=2.0)
    for key in ("a", "b"):
        for _ in range(2):
            hot.offer(key, b"copy of " + key.encode(), math.inf, 1.0)
    values: list[bytes | None] = [b"held", None, None]
    ends = [9.0, 0.0, 0.0]
    assert hot.fill(["a", "b", "c"], values, ends, 1.5) == [1]
    assert values == [b"held", b"copy of b", None]
    assert ends == [9.0, 3.0, 0.0]
