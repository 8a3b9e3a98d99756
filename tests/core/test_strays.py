from __future__ import annotations

import math

from zmcache.core.store import Store
from zmcache.core.strays import MOST, Strays


def test_a_stray_ends_between_half_its_time_and_all_of_it_unless_it_has_become_ours() -> None:
    store, ours = Store(1_000_000, "lru"), {"late"}
    strays = Strays(store, ours.__contains__, 10.0, 0.0)
    for at_s, key in ((0.0, "first"), (4.9, "late"), (4.9, "last")):
        strays.turn(at_s)
        store.set(key, b"v", math.inf, at_s)
        assert strays.add(key)
    assert strays.turn(5.0) == 0
    assert [store.contains(key, 5.0) for key in ("first", "late", "last")] == [True] * 3
    assert strays.turn(9.9) == 0
    assert strays.turn(10.0) == 2
    assert [store.contains(key, 10.0) for key in ("first", "late", "last")] == [False, True, False]
    assert strays.turn(20.0) == strays.turn(40.0) == 0


def test_where_nobody_called_for_long_all_are_looked_at() -> None:
    store = Store(1_000_000, "lru")
    strays = Strays(store, lambda _: False, 10.0, 0.0)
    store.set("k", b"v", math.inf, 0.0)
    strays.add("k")
    assert strays.turn(100.0) == 1


def test_more_than_there_is_room_for_are_not_taken_and_without_time_none_is() -> None:
    store = Store(1_000_000, "lru")
    strays = Strays(store, lambda _: False, 10.0, 0.0)
    assert all(strays.add(f"k{n}") for n in range(MOST))
    assert not strays.add("one more")
    assert not Strays(store, lambda _: False, 0.0, 0.0).add("k")
