"""Tags on several nodes: copies carry them, fills are overtaken by them, and a node that missed an invalidation never gives what is old for long."""

from __future__ import annotations

import asyncio

import pytest
from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test, took_less_than

from zmcache.core.tags import WHOLE_GROUP
from zmcache.core.wire import COPY, DONE, FILL, LEASED, LOST, PUT, Change
from zmcache.errors import NotAllTold, PeerUnavailable, RequestError, UnknownGroup
from zmcache.node.housekeeping import time_since_boot_s


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


def test_a_slow_maker_whose_value_is_old_does_not_end_the_lease_of_the_next() -> None:
    async def test(cluster: Cluster) -> None:
        group, key = cluster.group("a"), cluster.key_of("a")
        slow = await group.changed(Change(FILL, key, b"", 1), None)
        await eventually(lambda: group._shard.leasing._leases.of(key, group.clock()) is None)
        group.tags.hear(["t"], [group.tags.moment()])
        second = await group.changed(Change(FILL, key), None)
        assert second.status == LEASED
        assert (await group.changed(Change(PUT, key, b"old", token=slow.token, tags="t"), None)).status == LOST
        assert (await group.changed(Change(PUT, key, b"new", token=second.token, tags="t"), None)).status == DONE
        assert group.get_nowait(key) == b"new"

    mesh_test(test, "a", "b", loads=False)


def test_the_value_of_a_lease_holds_since_the_lease_was_granted() -> None:
    async def test(cluster: Cluster) -> None:
        group = cluster.group("a")
        key = cluster.key_of("a")
        lease = await group.changed(Change(FILL, key), None)
        before = group.tags.moment()
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


def trusts(cluster: Cluster, name: str) -> bool:
    return not cluster.group(name)._shard.tagging.doubted


def knows(cluster: Cluster, name: str, tag: str) -> int:
    return cluster.group(name).tags.generations.of(tag)


def test_the_caller_is_told_who_could_not_be_told_and_that_node_hears_of_it_from_the_others() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", "c") as client:
            items = client.group("items")
            keys = {name: cluster.key_of(name) for name in "abc"}
            for key in keys.values():
                await items.set(key, b"v", tags=["t"])
            await eventually(lambda: trusts(cluster, "c"))
            cluster.network.cut(endpoint("c"))
            with pytest.raises(NotAllTold) as caught:
                await items.invalidate_tags("t")
            assert caught.value.nodes == ("c",)
            assert cluster.group("a").get_nowait(keys["a"]) is None
            assert cluster.group("b").get_nowait(keys["b"]) is None
            # Nobody reaches it, but it reaches the others, and asks one of them every second.
            await eventually(lambda: cluster.group("c").get_nowait(keys["c"]) is None)
            assert knows(cluster, "c", "t") == knows(cluster, "a", "t") > 0
            cluster.network.heal(endpoint("c"))

    mesh_test(test, "a", "b", "c", loads=False)


def test_a_node_that_hangs_costs_the_call_its_timeout_and_the_others_are_told() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", "c", timeout=0.4) as client:
            items = client.group("items")
            keys = {name: cluster.key_of(name) for name in "abc"}
            for key in keys.values():
                await items.set(key, b"v", tags=["t"])
            cluster.network.pause(endpoint("c"))
            with took_less_than(0.45), pytest.raises(NotAllTold) as caught:
                await items.invalidate_tags("t")
            assert caught.value.nodes == ("c",)
            assert cluster.group("a").get_nowait(keys["a"]) is cluster.group("b").get_nowait(keys["b"]) is None
            cluster.network.resume(endpoint("c"))
            await eventually(lambda: cluster.group("c").get_nowait(keys["c"]) is None)

    mesh_test(test, "a", "b", "c", loads=False)


def test_a_cache_that_may_be_away_counts_an_invalidation_that_did_not_reach_all() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", on_error="miss") as client:
            cluster.network.cut(endpoint("b"))
            await client.group("items").invalidate_tags("t")
            assert client.failures == 1
            assert knows(cluster, "a", "t")
            cluster.network.heal(endpoint("b"))

    mesh_test(test, "a", "b", loads=False)


def test_where_nobody_can_be_told_the_caller_hears_why() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", timeout=0.5) as client:
            with pytest.raises(UnknownGroup):
                await client.group("nothing").invalidate_tags("t")
            cluster.network.cut(endpoint("a"))
            with pytest.raises(PeerUnavailable):
                await client.group("items").invalidate_tags("t")

    mesh_test(test, "a", loads=False)


def test_a_node_that_was_cut_off_never_gives_what_was_invalidated_meanwhile() -> None:
    async def test(cluster: Cluster) -> None:
        group = cluster.group("a")
        old, good = [key for key, _ in zip(cluster.keys_of("a"), range(2), strict=False)]
        await group.set(old, b"v", tags=["t"])
        await group.set(good, b"v", tags=["u"])
        await eventually(lambda: trusts(cluster, "a"))
        for name in "bc":
            cluster.network.cut(endpoint(name))
        await eventually(lambda: cluster.nodes["a"]._parts.mesh.is_cut_off)
        for name in "bc":
            other = cluster.group(name).tags
            other.hear(["t"], [other.moment()])
        assert group.get_nowait(old) is group.get_nowait(good) is None
        for name in "bc":
            cluster.network.heal(endpoint(name))

        def is_back() -> bool:
            assert group.get_nowait(old) is None
            return group.get_nowait(good) == b"v"

        await eventually(is_back)

    mesh_test(test, "a", "b", "c", loads=False)


def test_a_node_that_stood_still_gives_nothing_with_tags_until_it_has_asked() -> None:
    async def test(cluster: Cluster) -> None:
        group = cluster.group("a")
        old, good, plain = [key for key, _ in zip(cluster.keys_of("a"), range(3), strict=False)]
        await group.set(old, b"v", tags=["t"])
        await group.set(good, b"v", tags=["u"])
        await group.set(plain, b"v")
        await eventually(lambda: trusts(cluster, "a"))
        other = cluster.group("b").tags
        other.hear(["t"], [other.moment()])
        keeper = cluster.nodes["a"]._parts.housekeeping
        keeper._clock = lambda: time_since_boot_s() + 2
        # In this very turn of the loop: nothing else has noticed it.
        assert group.get_nowait(old) is group.get_nowait(good) is None
        assert cluster.nodes["a"].statistics()["standstills"] == 1
        assert group.get_nowait(plain) == b"v"

        def is_back() -> bool:
            assert group.get_nowait(old) is None
            return group.get_nowait(good) == b"v"

        await eventually(is_back)

    mesh_test(test, "a", "b", loads=False)


@pytest.mark.parametrize("lost", ["lease", "restart"])
def test_a_node_that_was_off_the_list_gives_nothing_with_tags_until_it_has_asked(lost: str) -> None:
    async def test(cluster: Cluster) -> None:
        other = cluster.group("b").tags
        copy = cluster.group("b")._shard.changing.copy_of
        key = cluster.key_of("a")
        cluster.group("b")._writing.change_local(
            Change(COPY, key, b"v", -1, token=other.moment(), tags="t", stamp=other.moment())
        )
        old = copy(key)
        assert old is not None
        other.hear(["t"], [other.moment()])
        if lost == "restart":
            await cluster.kill("a")
            cluster.registry.drop("a")
            await cluster.start("a", settle=False)
        else:
            await eventually(lambda: trusts(cluster, "a"))
            cluster.group("a").tags.generations.__init__()  # type: ignore[misc]  # as if it had not heard
            cluster.nodes["a"].lease_lost()
        cluster.group("a")._writing.change_local(old)
        assert cluster.group("a").get_nowait(key) is None
        await eventually(lambda: trusts(cluster, "a"))
        assert cluster.group("a").get_nowait(key) is None
        await cluster.settled()

    mesh_test(test, "a", "b", loads=False)


def test_what_is_set_while_a_node_doubts_is_given() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a")
        cluster.nodes["a"]._parts.repairing.doubt()
        await cluster.group("a").set(key, b"v", tags=["t"])
        assert cluster.group("a").get_nowait(key) == b"v"
        assert not trusts(cluster, "a")

    mesh_test(test, "a", "b", loads=False)


def test_a_node_that_is_left_alone_of_two_does_not_doubt_for_ever() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a")
        await cluster.group("a").set(key, b"v", tags=["t"])
        await cluster.kill("b")
        cluster.nodes["a"]._parts.repairing.doubt()
        assert cluster.group("a").get_nowait(key) is None
        cluster.registry.drop("b")
        await eventually(lambda: cluster.group("a").get_nowait(key) == b"v", within_s=10)

    mesh_test(test, "a", "b", loads=False)


def test_two_nodes_that_each_heard_of_other_tags_come_to_know_the_same() -> None:
    async def test(cluster: Cluster) -> None:
        for name in "abc":
            tags = cluster.group(name).tags
            tags.hear([f"{name}-{n}" for n in range(3000)], [tags.moment()] * 3000)

        def are_equal() -> bool:
            return len({cluster.group(name).tags.generations.digest() for name in "abc"}) == 1

        await eventually(are_equal, within_s=15)
        assert len(cluster.group("a").tags.generations) == 9000

    mesh_test(test, "a", "b", "c", loads=False)


def test_a_node_that_the_caller_does_not_know_of_is_told_by_those_that_do() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a") as client:
            ring = client.ring()
            await cluster.start("c")
            await eventually(lambda: trusts(cluster, "c"))
            mesh = client._mesh
            assert mesh is not None
            mesh.adopt(ring)
            await client.group("items").invalidate_tags("t")
            for _ in range(20):
                await asyncio.sleep(0)
            assert knows(cluster, "c", "t") == knows(cluster, "a", "t") > 0

    mesh_test(test, "a", "b", loads=False)


def test_a_version_that_no_clock_can_have_given_is_refused_and_nothing_is_done() -> None:
    async def test(cluster: Cluster) -> None:
        tags = cluster.group("a").tags
        for rows in ((["t", "u"], [tags.moment(), 2**64 - 1], 0), ([], [], 2**64 - 1)):
            with pytest.raises(RequestError, match="ahead"):
                tags.hear(*rows)
        assert not tags.generations

    mesh_test(test, "a", loads=False)


def test_a_clear_that_a_node_missed_is_made_up_for() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", "c") as client:
            items = client.group("items")
            keys = {name: cluster.key_of(name) for name in "abc"}
            for key in keys.values():
                await items.set(key, b"v")
            cluster.network.cut(endpoint("c"))
            with pytest.raises(NotAllTold):
                await items.clear()
            await eventually(lambda: cluster.group("c").get_nowait(keys["c"]) is None)
            cluster.network.heal(endpoint("c"))

    mesh_test(test, "a", "b", "c", loads=False)


def test_what_was_set_after_a_clear_outlives_it_wherever_that_is_heard_of_late() -> None:
    async def test(cluster: Cluster) -> None:
        group, done = cluster.group("a"), asyncio.Event()
        before, after = [key for key, _ in zip(cluster.keys_of("a"), range(2), strict=False)]
        await group.set(before, b"v")
        version = group.tags.moment()
        await group.set(after, b"v")
        group.tags.hear([WHOLE_GROUP], [version], done=done.set)
        await done.wait()
        assert group.get_nowait(before) is None
        assert group.get_nowait(after) == b"v"

    mesh_test(test, "a", loads=False)
