"""What is remembered of deletes, and for how long."""

from __future__ import annotations

from zmcache.core.tombstones import Tombstones


def test_a_tombstone_lasts_for_one_to_two_lives() -> None:
    tombstones = Tombstones(0.0, life_s=100.0)
    tombstones.add("early", 1, 1.0)
    tombstones.add("late", 2, 99.0)
    tombstones.turn(100.0)
    assert (tombstones.version_of("early"), tombstones.version_of("late")) == (1, 2)
    tombstones.turn(199.0)
    assert len(tombstones) == 2
    tombstones.turn(200.0)
    assert len(tombstones) == 0


def test_after_a_long_quiet_all_are_gone_at_once() -> None:
    tombstones = Tombstones(0.0, life_s=100.0)
    tombstones.add("k", 1, 1.0)
    tombstones.turn(1000.0)
    assert tombstones.version_of("k") == 0


def test_where_there_are_too_many_the_oldest_go_and_are_counted() -> None:
    tombstones = Tombstones(0.0, most=100)
    for n in range(160):
        tombstones.add(f"k{n}", n + 1, 0.0)
    assert len(tombstones) == 60
    assert tombstones.version_of("k159") == 160
    assert tombstones.version_of("k0") == 0
    assert tombstones.dropped == 100


def test_the_newer_delete_counts_and_what_is_set_again_has_none() -> None:
    tombstones = Tombstones(0.0, life_s=100.0)
    tombstones.add("k", 1, 1.0)
    tombstones.turn(100.0)
    tombstones.add("k", 5, 101.0)
    assert tombstones.version_of("k") == 5
    tombstones.discard("k")
    assert tombstones.version_of("k") == 0


def test_all_keys_are_visited_in_parts() -> None:
    tombstones = Tombstones(0.0, life_s=100.0)
    keys = [f"k{n}" for n in range(250)]
    for at, key in enumerate(keys):
        tombstones.add(key, 1, 0.0 if at < 100 else 101.0)
    found: list[str] = []
    while part := tombstones.part(len(found), 60):
        found += part
    assert sorted(found) == sorted(keys)
