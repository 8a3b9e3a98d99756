"""What the store promises beyond the model: figures, refusals, slices, and charges that come out even."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Callable

import msgpack
import pytest

from zmcache.core.charge import charge_of
from zmcache.core.eviction import entry_overhead
from zmcache.core.store import Reader, Store

ABSENT = "absent"
OVERHEAD = entry_overhead("lru")
ONE = charge_of("k00", b"v", OVERHEAD)


def filled(count: int, *, budget_bytes: int = 1 << 20, end: float = math.inf) -> Store:
    store = Store(budget_bytes, "lru")
    for number in range(count):
        assert store.set(f"k{number:02d}", b"v", end, 0.0)
    return store


def test_an_entry_larger_than_the_budget_leaves_the_older_one_in_place() -> None:
    store = filled(1, budget_bytes=2 * ONE)
    assert not store.set("k00", bytes(3 * ONE), math.inf, 0.0)
    assert store.get("k00", 0.0) == b"v"
    assert store.statistics().refused == 1
    assert not Store(0, "lru").set("k", b"", math.inf, 0.0)


def test_an_entry_that_has_ended_already_is_not_kept_nor_what_it_replaces() -> None:
    store = filled(1)
    assert store.set("k00", b"new", 5.0, 5.0)
    assert store.get("k00", 5.0) is None
    assert store.set("k00", b"new", math.nan, 5.0)
    assert (len(store), store.used_bytes) == (0, 0)


def test_an_expired_entry_is_never_served_by_any_call() -> None:
    store = filled(4, end=10.0)
    assert store.get("k00", 9.999) == b"v"
    assert store.contains("k00", 9.999)
    assert not store.contains("k00", 10.0)
    assert store.get("k00", 10.0) is None
    assert store.lookup("k01", 10.0) is None
    assert store.get_many(["k02", "k99"], 10.0) == ([None, None], [0.0, 0.0])
    assert not store.delete("k03", 10.0)
    assert (len(store), store.used_bytes) == (0, 0)


def test_many_at_once_come_with_their_ends_whether_all_some_or_none_of_them_ever_end() -> None:
    store = filled(3)
    keys = ["k00", "k01", "k02"]
    assert store.get_many(keys, 1e9) == ([b"v"] * 3, [math.inf] * 3)
    store.set("k01", b"w", 20.0, 0.0)
    assert store.get_many(keys, 10.0) == ([b"v", b"w", b"v"], [math.inf, 20.0, math.inf])
    assert store.get_many(keys, 20.0) == ([b"v", None, b"v"], [math.inf, 0.0, math.inf])
    assert store.get_many([], 20.0) == ([], [])
    for key in keys:
        store.set(key, b"x", 40.0, 20.0)
    assert store.get_many(keys, 30.0) == ([b"x"] * 3, [40.0] * 3)


def test_looking_whether_a_key_is_there_is_no_use_of_it() -> None:
    store = filled(3, budget_bytes=3 * ONE)
    assert store.contains("k00", 0.0)
    before = store.statistics()
    store.set("k99", b"v", math.inf, 0.0)
    assert not store.contains("k00", 0.0)
    assert (before.hits, before.misses) == (0, 0)


def test_overwriting_counts_as_a_use() -> None:
    store = filled(3, budget_bytes=3 * ONE)
    store.set("k00", b"w", math.inf, 0.0)
    store.set("k99", b"v", math.inf, 0.0)
    assert store.contains("k00", 0.0)
    assert not store.contains("k01", 0.0)


def test_a_use_of_an_entry_that_went_does_not_count_for_the_next_in_its_place() -> None:
    store = filled(3, budget_bytes=3 * ONE)
    store.get("k00", 0.0)
    store.delete("k00", 0.0)
    store.set("k90", b"v", math.inf, 0.0)  # takes the place that was just used
    store.get("k01", 0.0)
    store.get("k02", 0.0)
    store.set("k91", b"v", math.inf, 0.0)
    assert [store.contains(key, 0.0) for key in ("k90", "k01", "k02", "k91")] == [False, True, True, True]


def test_hits_and_misses_are_counted_to_the_last() -> None:
    store = filled(2)
    for _ in range(1500):
        store.get("k00", 0.0)
    store.get_many(["k00", "k01", "nobody"], 0.0)
    store.lookup("nobody", 0.0)
    figures = store.statistics()
    assert (figures.hits, figures.misses, figures.entries) == (1502, 2, 2)
    assert (figures.used_bytes, figures.budget_bytes) == (2 * ONE, 1 << 20)


def test_a_smaller_budget_is_reached_in_slices_and_no_set_stops_for_all_of_it() -> None:
    store = filled(1_000)
    store.resize(10 * ONE)
    assert store.set("k-a", b"v", math.inf, 0.0)
    assert 950 < len(store) < 1_000
    before = len(store)
    assert store.evict(30) == 30 == before - len(store)
    while store.evict(30):
        assert store.contains("k-a", 0.0)
    assert 0 < store.used_bytes <= 10 * ONE
    store.resize(20 * ONE)
    assert store.set("k-b", b"v", math.inf, 0.0)
    assert len(store) == 11


def test_one_large_value_takes_the_place_of_as_many_small_ones_as_it_needs() -> None:
    store = filled(50, budget_bytes=50 * ONE)
    assert store.set("large", bytes(20 * ONE), math.inf, 0.0)
    assert store.used_bytes <= 50 * ONE
    assert store.get("large", 0.0) is not None
    assert 28 <= len(store) - 1 <= 30


def test_a_large_value_that_takes_the_place_of_thousands_does_not_stop_for_all_of_them() -> None:
    budget = 10_000 * ONE
    store = filled(10_000, budget_bytes=budget)
    size = 200 * ONE
    assert store.set("large", bytes(size), math.inf, 0.0)
    assert len(store) - 1 > 10_000 - 100, "the slack is a thirty-second of the budget"
    assert budget < store.used_bytes <= budget * 33 / 32
    for number in range(5):
        assert store.set(f"large-{number}", bytes(size), math.inf, 0.0)
        assert store.used_bytes <= budget * 33 / 32, "beyond the slack it has to"
    for number in range(100):
        assert store.set(f"small-{number}", b"v", math.inf, 0.0)
    assert store.used_bytes <= budget, "what comes afterwards evicts the rest"


@pytest.mark.parametrize("key", ["ключ", "clé", "🔑" * 5, "plain"])
def test_a_charge_does_not_depend_on_who_has_looked_at_the_key(key: str) -> None:
    before = charge_of(key + "!", b"", OVERHEAD)
    asked = key + "!"
    msgpack.packb(asked)  # leaves its UTF-8 in the string
    assert charge_of(asked, b"", OVERHEAD) == before >= sys.getsizeof(asked) + sys.getsizeof(b"")


def test_places_are_used_again_and_no_memory_is_charged_for_what_has_gone() -> None:
    store = Store(100 * ONE, "lru")
    for number in range(30_000):
        store.set(f"k{number % 1000:02d}", b"v", 10.0, 0.0)
        if number % 7 == 0:
            store.delete(f"k{number % 1000:02d}", 0.0)
    keys, cursor = store.visit(None, 4096)
    assert cursor is None, "about a hundred places were ever needed, in shards of their own"
    assert store.used_bytes == sum(charge_of(key, b"v", OVERHEAD) for key in keys)
    for key in keys:
        store.delete(key, 0.0)
    assert (len(store), store.used_bytes, store.visit(None, 4096)) == (0, 0, ([], None))


def test_a_shortened_life_ends_sooner_and_never_later() -> None:
    store = filled(2, end=50.0)
    store.shorten("k00", 20.0)
    store.shorten("k01", 90.0)
    store.shorten("nobody", 1.0)
    assert store.lookup("k00", 0.0) == (b"v", 20.0)
    assert store.lookup("k01", 0.0) == (b"v", 50.0)
    assert store.expire(21.0) == 1
    assert store.expire(51.0) == 1


def test_what_holds_the_entries_is_not_tracked_by_the_collector() -> None:
    store = filled(2_000, end=9.0, budget_bytes=1_000 * ONE)
    store.delete("k00", 0.0)
    store.set("k00", b"v", 9.0, 0.0)
    gc.collect()
    assert not any(map(gc.is_tracked, store._slots.shards))
    for holder in (store._slots._keys, store._slots.values, store._wheel._heads):
        assert not gc.is_tracked(holder)


def reader_of(store: Store, clock: Callable[[], float], copies: dict[str, bytes]) -> Reader:
    return store.reader(clock, lambda mark, default: default, copies.get)


def test_a_reader_gives_what_get_gives_and_its_default_where_there_is_nothing() -> None:
    now_s = 0.0
    store = filled(3, end=10.0)
    store.set("gone", ABSENT, math.inf, 0.0)
    read = reader_of(store, lambda: now_s, {"copied": b"copy"})
    assert read("k00") == read("k00", b"default") == b"v"
    assert (read("gone"), read("gone", b"default")) == (None, b"default")
    assert (read("copied"), read("nowhere"), read("nowhere", b"default")) == (b"copy", None, b"default")
    now_s = 10.0
    assert read("k00", b"default") == b"default"
    assert "k00" not in store.visit(None, 100)[0]
    assert store.statistics().hits == 4


def test_a_reader_sees_an_end_that_is_given_to_the_only_entry_later() -> None:
    now_s = 0.0
    store = filled(2)
    read = reader_of(store, lambda: now_s, {})
    store.shorten("k00", 5.0)
    now_s = 5.0
    assert (read("k00"), read("k01")) == (None, b"v")
    store.set("k01", b"new", 6.0, now_s)
    store.set("k01", b"newer", math.inf, now_s)
    store.set("k02", b"short", 7.0, now_s)
    now_s = 8.0
    assert (read("k01"), read("k02")) == (b"newer", None)


def test_what_a_reader_reads_is_used_and_not_the_next_to_go() -> None:
    store = filled(3, budget_bytes=3 * ONE)
    read = reader_of(store, lambda: 0.0, {})
    for number in range(3000):
        read(f"k{number % 2:02d}")
    store.set("k99", b"v", math.inf, 0.0)
    assert (read("k00"), read("k01"), read("k02")) == (b"v", b"v", None)


def test_what_cannot_be_hashed_is_not_there() -> None:
    store = filled(1)
    assert store.get([], 0.0) is None  # type: ignore[arg-type]  # what an untyped program may do
    with pytest.raises(LookupError):
        store.reader(lambda: 0.0, lambda mark, default: default, not_a_key)([])  # type: ignore[call-overload]


def not_a_key(key: str) -> bytes | None:
    raise LookupError(key)
