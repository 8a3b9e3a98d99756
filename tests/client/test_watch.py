"""Watching keys: what a program is told, in every world, and what happens when owners come, go or fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from cache_worlds import World, in_each_owning_world
from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test

from zmcache.cache import CacheGroup
from zmcache.cache.watching import Update
from zmcache.errors import ConfigError, InvalidKey, LifecycleError, UnknownGroup
from zmcache.inprocess import InProcess

WITHIN_S = 10.0


class Seen:
    """What a watch has told so far."""

    def __init__(self) -> None:
        self.updates: list[Update[Any]] = []
        self.error: Exception | None = None

    @property
    def values(self) -> list[Any]:
        return [update.value for update in self.updates]

    def of(self, key: str) -> list[Any]:
        return [update.value for update in self.updates if update.key == key]


@asynccontextmanager
async def watching(items: CacheGroup[Any], *keys: str) -> AsyncIterator[Seen]:
    """Watch in a task; the block begins when each key's first update has come."""
    seen = Seen()

    async def watch() -> None:
        try:
            async with aclosing(items.watch(*keys)) as updates:
                async for update in updates:
                    seen.updates.append(update)
        except Exception as error:
            seen.error = error

    task = asyncio.create_task(watch())
    try:
        await eventually(lambda: seen.error or {update.key for update in seen.updates} >= set(keys), within_s=WITHIN_S)
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])


@in_each_owning_world
async def test_what_is_there_comes_first_and_then_each_change_whoever_makes_it(world: World) -> None:
    await world.other.set("a", b"1")
    async with watching(world.one, "a", "b") as seen:
        assert (seen.of("a"), seen.of("b")) == ([b"1"], [None])
        for value in (b"2", b"3"):
            await world.other.set("a", value)
            await eventually(lambda value=value: seen.of("a")[-1] == value)  # type: ignore[misc]
        await world.one.set("b", b"x")
        await world.other.delete("a")
        await world.other.set("a", None)
        await eventually(lambda: seen.of("b")[-1] == b"x" and [u.exists for u in seen.updates if u.key == "a"][-2:])
        await eventually(lambda: [u.exists for u in seen.updates if u.key == "a"][-1])
    last = [update for update in seen.updates if update.key == "a"][-1]
    assert (last.value, last.exists) == (None, True)
    versions = [update.version for update in seen.updates if update.key == "a"]
    assert versions == sorted(versions)
    assert not any(update.resumed for update in seen.updates)


@in_each_owning_world
async def test_two_loops_over_one_key_each_see_all_of_it_and_one_may_end(world: World) -> None:
    async with watching(world.one, "k") as first:
        async with watching(world.one, "k") as second:
            await world.other.set("k", b"1")
            await eventually(lambda: first.values[-1] == second.values[-1] == b"1")
        await world.other.set("k", b"2")
        await eventually(lambda: first.values[-1] == b"2")
    assert second.values[-1] == b"1"


@in_each_owning_world
async def test_a_slow_program_gets_the_newest_and_is_told_how_many_it_missed(world: World) -> None:
    updates = world.one.watch("k")
    async with aclosing(updates):
        first = await asyncio.wait_for(anext(updates), WITHIN_S)
        assert (first.value, first.exists) == (None, False)
        for n in range(50):
            await world.other.set("k", b"%d" % n)
        skipped = -1
        while True:
            update = await asyncio.wait_for(anext(updates), WITHIN_S)
            skipped += update.skipped + 1
            if update.value == b"49":
                break
        assert skipped == 49


@in_each_owning_world
async def test_clearing_the_group_is_told(world: World) -> None:
    await world.one.set("k", b"1")
    async with watching(world.one, "k") as seen:
        await world.other.clear()
        await eventually(lambda: not seen.updates[-1].exists)


@in_each_owning_world
async def test_values_are_read_by_the_groups_codec_and_what_it_cannot_read_is_as_good_as_gone(world: World) -> None:
    typed = world.one_cache.group("items", codec="msgpack")
    await typed.set("k", {"bid": 1.5})
    async with watching(typed, "k") as seen:
        assert seen.values == [{"bid": 1.5}]
        await world.other.set("k", b"\xff\xff")
        await eventually(lambda: len(seen.updates) == 2)
    assert (seen.updates[-1].value, seen.updates[-1].exists) == (None, False)


@in_each_owning_world
async def test_wrong_keys_and_a_closed_connection_are_refused(world: World) -> None:
    for keys in ((), ("",), ("x" * 2000,), (1,)):
        with pytest.raises(InvalidKey):
            await anext(world.one.watch(*keys))  # type: ignore[arg-type]
    cache = InProcess()
    items = cache.group("items")
    with pytest.raises(LifecycleError):
        await anext(items.watch("k"))


def test_through_any_node_it_is_refused_in_one_line() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(route="any") as client:
            with pytest.raises(ConfigError, match="owner"):
                await anext(client.group("items").watch("k"))

    mesh_test(test)


def test_a_group_that_no_node_knows_is_told() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client() as client:
            with pytest.raises(UnknownGroup):
                await asyncio.wait_for(anext(client.group("others").watch("k")), WITHIN_S)

    mesh_test(test)


def test_a_new_owner_goes_on_with_what_is_there_and_says_so() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client() as client, cluster.client() as other:
            keys = [f"key-{n}" for n in range(40)]
            await other.group("items").set_many(dict.fromkeys(keys, b"1"))
            async with watching(client.group("items"), *keys) as seen:
                await cluster.start("c")
                moved = [key for key in keys if cluster.nodes["c"].ring().owner(key).node_id == "c"]
                assert moved
                for key in keys:
                    await other.group("items").set(key, b"2")
                await eventually(lambda: all(seen.of(key)[-1] == b"2" for key in keys), within_s=WITHIN_S)
                for key in keys:
                    await other.group("items").set(key, b"3")
                await eventually(lambda: all(seen.of(key)[-1] == b"3" for key in keys), within_s=WITHIN_S)
        assert any(update.resumed for update in seen.updates)

    mesh_test(test, loads=False)


def test_a_connection_that_was_lost_resumes() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        async with cluster.client("a") as client, watching(client.group("items"), key) as seen:
            cluster.network.cut(endpoint("b"))
            cluster.network.heal(endpoint("b"))
            await cluster.group("b").set(key, b"1")
            await eventually(lambda: seen.values[-1] == b"1", within_s=WITHIN_S)
            await cluster.group("b").set(key, b"2")
            await eventually(lambda: seen.values[-1] == b"2", within_s=WITHIN_S)
        assert any(update.resumed for update in seen.updates)

    mesh_test(test, loads=False)


def test_when_the_owner_dies_its_heir_is_watched() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        async with cluster.client("a", "c") as client, watching(client.group("items"), key) as seen:
            await cluster.kill("b")
            cluster.registry.drop("b")
            await cluster.settled()
            await eventually(lambda: "b" not in client.ring(), within_s=WITHIN_S)
            await client.group("items").set(key, b"after")
            await eventually(lambda: seen.values[-1] == b"after", within_s=WITHIN_S)

    mesh_test(test, "a", "b", "c", loads=False)


def test_what_is_watched_no_more_costs_the_owner_nothing() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client() as client:
            async with watching(client.group("items"), "k"):
                assert any(node.group("items").audience for node in cluster.nodes.values())
            await eventually(lambda: not any(node.group("items").audience for node in cluster.nodes.values()))

    mesh_test(test, loads=False)
