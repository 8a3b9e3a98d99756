"""Tags on several nodes: copies carry them, fills are overtaken by them, and a node that missed an invalidation never gives what is old for long."""

from __future__ import annotations

import asyncio

import pytest
from eventually import eventually
from mesh_fixture import Cluster, mesh_test

from zmcache.core.wire import FILL, PUT, Change


def test_copies_carry_tags_and_are_old_with_them() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", "c") as client:
            items = client.group("items")
            key = cluster.key_of("a", "b")
            await items.set(key, b"v", tags=["t", "u"])
            copy = cluster.group("b").copy_of(key)
            assert copy is not None
            assert (copy.tags, copy.stamp) == ("t\nu", copy.token)
            await items.invalidate_tags("u")
            await cluster.kill("a")
            assert await items.get(key) is None

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2)


def test_what_joins_is_handed_tags_with_the_values_that_have_them() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b") as client:
            items = client.group("items")
            keys = [f"key-{n}" for n in range(40)]
            for key in keys:
                await items.set(key, b"v", tags=["t"])
            await cluster.start("c")
            await eventually(lambda: any(cluster.group("c").copy_of(key) is not None for key in keys))
            assert len(await items.get_many(keys)) == 40
            await eventually(lambda: len(client.ring().members) == 3)
            await items.invalidate_tags("t")
            assert await items.get_many(keys) == {}

    mesh_test(test, "a", "b", loads=False)


def test_what_an_owner_answers_with_tags_is_no_hot_copy_elsewhere() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b") as client:
            items = client.group("items")
            tagged, plain = list(zip(cluster.keys_of("b"), range(2), strict=False))
            await items.set(tagged[0], b"v", tags=["t"])
            await items.set(plain[0], b"v")
            for _ in range(10):
                for key in (tagged[0], plain[0]):
                    assert await cluster.group("a").get(key) == b"v"
            assert cluster.group("a").statistics().hot_entries == 1
            await items.invalidate_tags("t")
            assert await cluster.group("a").get(tagged[0]) is None

    mesh_test(test, "a", "b", loads=False)


def test_a_value_that_was_being_made_when_its_tag_was_invalidated_is_not_kept() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", "c") as one, cluster.client("a", "b", "c") as other:
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def slow() -> bytes:
                begun.set()
                await go_on.wait()
                return b"old"

            making = asyncio.create_task(one.group("items").get_or_set("k", slow, tags=["t"]))
            await begun.wait()
            await other.group("items").invalidate_tags("t")
            # Who asks from now on waits for the value that is being made; it comes too late, and the next of them makes it.
            waiting = asyncio.create_task(other.group("items").get_or_set("k", lambda: b"new", tags=["t"]))
            await asyncio.sleep(0)
            go_on.set()
            assert await waiting == b"new"
            assert await making == b"old"
            assert await one.group("items").get("k") == b"new"

    mesh_test(test, "a", "b", "c", loads=False)


def test_a_value_that_was_being_made_when_another_tag_was_invalidated_is_kept() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", "c") as one, cluster.client("a", "b", "c") as other:
            go_on = asyncio.Event()

            async def slow() -> bytes:
                await other.group("items").invalidate_tags("another")
                go_on.set()
                return b"v"

            assert await one.group("items").get_or_set("k", slow, tags=["t"]) == b"v"
            assert go_on.is_set()
            assert await other.group("items").get("k") == b"v"
            await other.group("items").invalidate_tags("t")
            assert await one.group("items").get("k") is None

    mesh_test(test, "a", "b", "c", loads=False)


def test_who_asks_in_the_process_that_invalidated_does_not_share_what_was_made_before() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", "c") as client:
            items = client.group("items")
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def slow() -> bytes:
                begun.set()
                await go_on.wait()
                return b"old"

            making = asyncio.create_task(items.get_or_set("k", slow, tags=["t"]))
            await begun.wait()
            await items.invalidate_tags("t")
            asking = asyncio.create_task(items.get_or_set("k", lambda: b"new", tags=["t"]))
            await asyncio.sleep(0)
            go_on.set()
            assert await asking == b"new"
            await making

    mesh_test(test, "a", "b", "c", loads=False)


def test_an_old_value_is_not_given_while_a_new_one_is_made() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", "c") as client:
            items = client.group("items")
            await items.get_or_set("k", lambda: b"old", ttl=60, stale_ttl=600, stale_if_error=600, tags=["t"])
            await items.invalidate_tags("t")

            def fails() -> bytes:
                raise OSError("the backend is away")

            with pytest.raises(OSError, match="away"):
                await items.get_or_set("k", fails, stale_ttl=600, stale_if_error=600, tags=["t"])

    mesh_test(test, "a", "b", "c", loads=False)


def test_the_value_of_a_lease_holds_since_the_lease_was_granted() -> None:
    async def test(cluster: Cluster) -> None:
        group = cluster.group("a")
        key = cluster.key_of("a")
        lease = await group.changed(Change(FILL, key), None)
        before = group.moment()
        await group.changed(Change(PUT, key, b"v", token=lease.token, tags="t"), None)
        copy = group.copy_of(key)
        assert copy is not None
        assert copy.stamp == lease.token < before < copy.token

    mesh_test(test, "a", "b", loads=False)


def test_a_program_that_holds_a_node_sets_with_tags_and_invalidates_them_everywhere() -> None:
    async def test(cluster: Cluster) -> None:
        keys = [f"key-{n}" for n in range(30)]
        for key in keys:
            await cluster.group("a").set(key, b"v", tags=["t"])
            assert await cluster.group("b").get(key) == b"v"
        await cluster.group("b").invalidate_tags("t")
        for key in keys:
            for name in "abc":
                assert await cluster.group(name).get(key) is None
                assert cluster.group(name).get_nowait(key) is None

    mesh_test(test, "a", "b", "c", loads=False)


def test_what_a_node_reads_in_its_own_process_is_not_old_by_its_tags() -> None:
    async def test(cluster: Cluster) -> None:
        group, key = cluster.group("a"), cluster.key_of("a")
        await group.set(key, b"v", tags=["t"])
        assert group.get_nowait(key) == b"v"
        await cluster.group("b").invalidate_tags("t")
        assert group.get_nowait(key) is None

    mesh_test(test, "a", "b", loads=False)
