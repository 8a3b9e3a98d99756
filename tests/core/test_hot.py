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
