"""What a node tells of a key, by a clock that the test moves: what is there, what is under way, and why it is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import zmcache
from zmcache.core.explained import NodeExplanation
from zmcache.testing import LocalCache, local


def told_by(test: Callable[[LocalCache], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        async with local(ttl_jitter=0.0, **options) as cache:
            await test(cache)

    asyncio.run(main())


async def explained(cache: LocalCache, key: str) -> NodeExplanation:
    told = await cache.group("items").explain(key)
    assert told.owners == ("mem",)
    (node,) = told.nodes
    assert (node.node_id, node.state) == ("mem", "here")
    return node


def test_what_remains_of_a_life_is_what_the_clock_says() -> None:
    async def test(cache: LocalCache) -> None:
        await cache.group("items").set("k", b"1", ttl=100)
        cache.advance(40)
        (kept,) = (await explained(cache, "k")).found
        assert kept.ttl_s == pytest.approx(60, abs=1)

    told_by(test)


def test_an_entry_whose_time_is_over_is_gone_and_the_next_get_missed_for_that() -> None:
    async def test(cache: LocalCache) -> None:
        items = cache.group("items")
        await items.set("k", b"1", ttl=100)
        cache.advance(101)
        assert (await explained(cache, "k")).found == ()
        assert await items.get("k") is None
        cache.advance(5)
        node = await explained(cache, "k")
        assert node.missed == "its time was over"
        assert node.missed_ago_s == pytest.approx(5, abs=1)

    told_by(test)


def test_an_entry_whose_tag_was_invalidated_is_not_told_and_the_next_get_missed_for_that() -> None:
    async def test(cache: LocalCache) -> None:
        items = cache.group("items")
        await items.set("k", b"1", tags=["user:42"])
        assert len((await explained(cache, "k")).found) == 1
        await items.invalidate_tags("user:42")
        assert (await explained(cache, "k")).found == ()
        assert await items.get("k") is None
        assert (await explained(cache, "k")).missed == "a tag of it was invalidated"

    told_by(test)


def test_an_entry_that_is_evicted_says_so_at_the_next_miss() -> None:
    async def test(cache: LocalCache) -> None:
        items = cache.group("items")
        await items.set("first", bytes(5000))
        for n in range(100):
            await items.set(f"key-{n}", bytes(5000))
        assert await items.get("first") is None
        node = await explained(cache, "first")
        assert node.missed == "it was evicted: there was no room"

    told_by(test, budget="100KiB", policy="lru")


def test_to_be_explained_saves_no_entry_from_eviction() -> None:
    async def test(cache: LocalCache) -> None:
        items = cache.group("items")
        await items.set("first", bytes(5000))
        for n in range(100):
            await items.set(f"key-{n}", bytes(5000))
            await items.explain("first")
        assert (await explained(cache, "first")).found == ()

    told_by(test, budget="100KiB", policy="lru")


def test_a_key_that_the_loader_does_not_know_is_remembered_as_such() -> None:
    async def load(key: str) -> bytes | None:
        return None

    async def test(cache: LocalCache) -> None:
        assert await cache.group("items").get("k") is None
        node = await explained(cache, "k")
        (kept,) = node.found
        assert kept.where == "no such key"
        assert kept.ttl_s == pytest.approx(30, abs=1)
        assert node.missed == "the loader knows no such key"

    told_by(test, loaders={"items": load}, groups=["items"], negative_ttl="30s")


def test_a_load_that_is_under_way_is_told_and_afterwards_how_long_it_took() -> None:
    asked, may_go_on = asyncio.Event(), asyncio.Event()

    async def load(key: str) -> bytes:
        asked.set()
        await may_go_on.wait()
        return b"loaded"

    async def test(cache: LocalCache) -> None:
        call = asyncio.create_task(cache.group("items").get("k"))
        await asked.wait()
        cache.advance(7)
        node = await explained(cache, "k")
        (kept,) = node.found
        assert kept.where == "being loaded"
        assert kept.age_s == pytest.approx(7, abs=1)
        assert node.took_s is None
        may_go_on.set()
        assert await call == b"loaded"
        node = await explained(cache, "k")
        assert [kept.where for kept in node.found] == ["store"]
        assert node.took_s == pytest.approx(7, abs=1)
        assert node.missed is not None
        assert "never seen" in node.missed
        cache.advance(3)
        await cache.group("items").delete("k")
        assert (await explained(cache, "k")).took_s == pytest.approx(7, abs=1)

    told_by(test, loaders={"items": load}, groups=["items"])


def test_a_value_past_its_life_is_told_with_the_time_that_it_is_kept_for_all_the_same() -> None:
    async def test(cache: LocalCache) -> None:
        items = cache.group("items")
        await items.get_or_set("k", lambda: b"1", ttl=10, stale_ttl=20)
        cache.advance(15)
        (kept,) = (await explained(cache, "k")).found
        assert (kept.where, kept.ttl_s, kept.is_fresh) == ("store", 0, False)
        assert kept.kept_s == pytest.approx(15, abs=1)
        assert await items.get("k") is None
        assert (await explained(cache, "k")).missed == "its time was over"

    told_by(test)


def test_a_set_begins_a_new_version_of_a_new_age() -> None:
    async def test(cache: LocalCache) -> None:
        versions = []
        for value in (b"1", b"22"):
            await cache.group("items").set("k", value)
            (kept,) = (await explained(cache, "k")).found
            assert kept.version is not None
            assert kept.age_s is not None
            assert kept.age_s < 30
            assert kept.size == len(value)
            versions.append(kept.version)
        assert versions[0] < versions[1]

    told_by(test)


def test_nothing_can_be_changed_in_what_was_told() -> None:
    async def test(cache: LocalCache) -> None:
        told = await cache.group("items").explain("k")
        with pytest.raises(AttributeError):
            told.key = "other"  # type: ignore[misc]  # that is the point

    told_by(test)


def test_a_connection_that_is_closed_explains_nothing() -> None:
    async def main() -> None:
        async with local() as cache:
            items = cache.group("items")
        with pytest.raises(zmcache.LifecycleError):
            await items.explain("k")

    asyncio.run(main())
