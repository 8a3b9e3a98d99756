from __future__ import annotations

import math

from zmcache.core.store import Store
from zmcache.core.strays import MOST, SLICE_KEYS, Strays


def test_a_stray_ends_between_half_its_time_and_all_of_it_unless_it_may_stay_by_then() -> None:
    store, ours = Store(1_000_000, "lru"), {"late"}
    strays = Strays(store, ours.__contains__, 10.0, 0.0)
    for at_s, key in ((0.0, "first"), (4.9, "late"), (4.9, "last")):
        strays.turn(at_s)
        store.set(key, b"v", math.inf, at_s)
        assert strays.add(key)
    for at_s in (5.0, 9.9):
        strays.turn(at_s)
        assert [store.contains(key, at_s) for key in ("first", "late", "last")] == [True] * 3
    strays.turn(10.0)
    assert [store.contains(key, 10.0) for key in ("first", "late", "last")] == [False, True, False]
    strays.turn(20.0)
    strays.turn(40.0)
    assert strays.ended == 2


def test_where_nobody_called_for_long_all_are_looked_at_a_slice_at_a_time() -> None:
    store, count = Store(10_000_000, "lru"), 2 * SLICE_KEYS + 1
    strays = Strays(store, lambda _: False, 10.0, 0.0)
    for n in range(count):
        store.set(f"k{n}", b"v", math.inf, 0.0)
        strays.add(f"k{n}")
    assert [strays.turn(100.0) for _ in range(3)] == [True, True, False]
    assert strays.ended == count


def test_more_than_there_is_room_for_are_not_taken_and_without_time_none_is() -> None:
    store = Store(1_000_000, "lru")
    strays = Strays(store, lambda _: False, 10.0, 0.0)
    assert all(strays.add(f"k{n}") for n in range(MOST))
    assert not strays.add("one more")
    strays.clear()
    assert strays.add("one more")
    assert not Strays(store, lambda _: False, 0.0, 0.0).add("k")
