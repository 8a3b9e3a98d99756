"""Tags and those who hear of keys: near copies of what has an invalidated tag are dropped, and who watches is told that it is gone."""

from __future__ import annotations

import pytest
from cache_worlds import World, in_each_owning_world
from eventually import eventually
from mesh_fixture import Cluster, mesh_test
from test_near import NEAR, eventually_reads, hits, kept
from test_watch import watching

from zmcache.core.recall import EVICTED


def test_near_copies_of_what_has_the_tag_are_dropped_and_others_stay() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            near, far = client.group("items"), other.group("items")
            for n in range(10):
                await far.set(f"key-{n}", b"v", tags=[f"parity:{n % 2}"])
                await kept(near, f"key-{n}", b"v")
            await far.invalidate_tags("parity:1")
            for n in range(1, 10, 2):
                await eventually_reads(near, f"key-{n}", None)
            before = hits(near)
            for n in range(0, 10, 2):
                assert await near.get(f"key-{n}") == b"v"
            assert hits(near) == before + 5

    mesh_test(test, loads=False)


def test_ones_own_invalidation_is_seen_at_once() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client:
            items = client.group("items")
            for n in range(5):
                await items.set("k", b"%d" % n, tags=["t"])
                await kept(items, "k", b"%d" % n)
                await items.invalidate_tags("t")
                assert await items.get("k") is None

    mesh_test(test, loads=False)


def test_a_near_copy_is_dropped_though_its_owner_has_evicted_the_entry_meanwhile() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            near, far = client.group("items"), other.group("items")
            key = cluster.key_of("a")
            await far.set(key, b"v", tags=["t"])
            await kept(near, key, b"v")
            cluster.group("a")._shard.store.end(key, EVICTED)
            assert await near.get(key) == b"v"
            await far.invalidate_tags("t")
            await eventually_reads(near, key, None)

    mesh_test(test, loads=False)


def test_what_is_known_of_tags_is_forgotten_with_those_who_wanted_to_hear() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            near, far = client.group("items"), other.group("items")
            key = cluster.key_of("a")
            audience = cluster.group("a").audience
            await far.set(key, b"v", tags=["t", "u"])
            await kept(near, key, b"v")
            assert audience._tags.of("t") == [key]
            await far.set(key, b"w", tags=["u"])
            assert audience._tags.all() == []
            await kept(near, key, b"w")
            assert audience._tags.of("t") == []
            assert audience._tags.of("u") == [key]
            await far.invalidate_tags("u")
            assert audience._tags.all() == []

    mesh_test(test, loads=False)


@in_each_owning_world
async def test_who_watches_is_told_that_what_has_the_tag_is_gone_and_what_comes_next(world: World) -> None:
    await world.one.set("k", b"1", tags=["t"])
    await world.one.set("other", b"1", tags=["another"])
    async with watching(world.other, "k", "other") as seen:
        await world.one.invalidate_tags("t")
        await eventually(lambda: seen.of("k") == [b"1", None])
        assert not [update for update in seen.updates if update.key == "k"][-1].exists
        await world.one.set("k", b"2", tags=["t"])
        await eventually(lambda: seen.of("k") == [b"1", None, b"2"])
        await world.one.invalidate_tags("t")
        await eventually(lambda: seen.of("k") == [b"1", None, b"2", None])
        assert seen.of("other") == [b"1"]


@pytest.mark.parametrize("copies", [1, 2])
def test_who_watches_is_told_whatever_the_number_of_copies(copies: int) -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client() as client:
            items = client.group("items")
            async with watching(items, "k") as seen:
                await items.set("k", b"1", tags=["t"])
                await eventually(lambda: seen.of("k") == [None, b"1"])
                await items.invalidate_tags("t")
                await eventually(lambda: seen.of("k") == [None, b"1", None])

    mesh_test(test, "a", "b", "c", loads=False, copies=copies)
