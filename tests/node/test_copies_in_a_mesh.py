"""Several nodes hold each value: over the in-memory wire, with nodes that are killed, hang, join and leave."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import islice

import pytest
from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test

from zmcache.core.ring import LEAVING
from zmcache.core.wire import IS_NONE
from zmcache.errors import OutcomeUnknown, TooFewCopies
from zmcache.node import Node


def held_by(cluster: Cluster, key: str) -> dict[str, bytes]:
    """Who has what of ``key`` in memory."""
    found = {name: node.group("items").get_nowait(key) for name, node in cluster.nodes.items()}
    return {name: value for name, value in found.items() if value is not None}


def holders_of(node: Node, key: str, copies: int = 2) -> set[str]:
    return {member.node_id for member in node.ring().owners(key, copies)}


async def settle(cluster: Cluster) -> None:
    """Until nobody has anything to hand over."""
    await cluster.settled()
    for node in cluster.nodes.values():
        await node._parts.handover.wait_settled()


def test_an_acknowledged_set_is_held_by_as_many_as_were_asked_for() -> None:
    async def test(cluster: Cluster) -> None:
        for n in range(50):
            await cluster.group("abc"[n % 3]).set(f"k{n}", b"%d" % n)
            assert held_by(cluster, f"k{n}") == dict.fromkeys(holders_of(cluster.nodes["a"], f"k{n}"), b"%d" % n)

    mesh_test(test, "a", "b", "c", copies=2, acks=2)


def test_every_kind_of_change_reaches_the_copies() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client() as client:
            items, key = client.group("items"), cluster.key_of("a", "b")
            await items.add(key, b"1")
            assert held_by(cluster, key) == {"a": b"1", "b": b"1"}
            await items.incr(key, 41)
            assert held_by(cluster, key) == {"a": b"42", "b": b"42"}
            _, token = await items.gets(key)
            assert await items.cas(key, b"43", token) is True
            assert held_by(cluster, key) == {"a": b"43", "b": b"43"}
            assert await items.touch(key, ttl=50)
            copy = await cluster.group("b").fetch(key)
            assert copy is not None
            assert copy.ttl_s is not None
            assert 40 < copy.ttl_s <= 50
            assert await items.delete(key)
            assert held_by(cluster, key) == {}
            await items.set(key, None)
            assert (await cluster.group("b").outcomes([key], 1.0))[0].status == IS_NONE

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2)


def test_what_was_loaded_is_copied_behind_its_caller_and_not_loaded_again_when_the_owner_is_gone() -> None:
    async def test(cluster: Cluster) -> None:
        keys = list(islice(cluster.keys_of("a"), 200))
        await cluster.group("c").get_many(keys)
        await eventually(lambda: all(len(held_by(cluster, key)) >= 2 for key in keys))
        before = cluster.loaded.total()
        assert before == len(keys)
        await cluster.kill("a")
        for key in keys:
            assert await cluster.group("b").get(key)
        assert (
            cluster.loaded.total() == before - cluster.loaders["a"].loaded.total() + cluster.loaders["a"].loaded.total()
        )
        cluster.registry.drop("a")
        await settle(cluster)
        assert await cluster.group("b").get_many(keys)
        assert cluster.loaded.total() == before

    mesh_test(test, "a", "b", "c", copies=2)


def test_with_two_copies_a_killed_node_loses_nothing_and_after_the_repair_another_one_neither() -> None:
    async def test(cluster: Cluster) -> None:
        values = {f"k{n}": b"%d" % n for n in range(400)}
        async with cluster.client() as client:
            items = client.group("items")
            assert await items.set_many(values) == []
            for gone in "ab":
                await cluster.kill(gone)
                assert await items.get_many(list(values)) == values
                cluster.registry.drop(gone)
                await settle(cluster)
                assert await items.get_many(list(values)) == values
                survivors = cluster.nodes["d"]
                for key, value in values.items():
                    assert held_by(cluster, key) == dict.fromkeys(holders_of(survivors, key), value)

    mesh_test(test, "a", "b", "c", "d", loads=False, copies=2, acks=2, moved_ttl_s=0.1)


def test_a_holder_that_hangs_is_passed_over_for_the_next_one() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a", "b")
        cluster.network.pause(endpoint("b"))
        await cluster.group("a").set(key, b"v", timeout=5)
        assert set(held_by(cluster, key)) == {"a", "c"}
        cluster.network.resume(endpoint("b"))
        await eventually(lambda: "b" in held_by(cluster, key))

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2)


def test_where_too_few_can_hold_it_a_set_says_how_many_do() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a", "b")
        cluster.network.cut(endpoint("b"))
        cluster.network.cut(endpoint("c"))
        async with cluster.client("a") as client:
            for group in (client.group("items"), cluster.group("a")):
                with pytest.raises(TooFewCopies) as caught:
                    await group.set(key, b"v")
                assert isinstance(caught.value, OutcomeUnknown)
                assert "1 of 2" in str(caught.value)
                assert await group.get(key) == b"v"
        for name in "bc":
            cluster.network.heal(endpoint(name))
        await eventually(lambda: "b" in held_by(cluster, key))

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2)


def test_what_was_deleted_while_a_holder_was_away_stays_deleted_when_it_is_back() -> None:
    async def test(cluster: Cluster) -> None:
        keys = list(islice(cluster.keys_of("a", "b"), 30))
        for key in keys:
            await cluster.group("a").set(key, b"old")
        await eventually(lambda: all(held_by(cluster, key).get("b") == b"old" for key in keys))
        cluster.network.cut(endpoint("b"))
        for key in keys[:10]:
            await cluster.group("a").delete(key)
        for key in keys[10:20]:
            await cluster.group("a").set(key, b"new")
        cluster.network.heal(endpoint("b"))
        await eventually(lambda: all("b" not in held_by(cluster, key) for key in keys[:10]))
        await eventually(lambda: all(held_by(cluster, key).get("b") == b"new" for key in keys[10:20]))
        assert all(held_by(cluster, key)["b"] == b"old" for key in keys[20:])

    mesh_test(test, "a", "b", "c", loads=False, copies=2)


def test_what_was_written_on_both_sides_of_a_cut_ends_as_the_last_of_both() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a", "b")
        await cluster.group("a").set(key, b"before")
        cluster.network.cut(endpoint("a"))
        await cluster.group("a").set(key, b"at a")
        await cluster.group("b").set(key, b"at b, later")
        cluster.network.heal(endpoint("a"))
        await eventually(lambda: held_by(cluster, key) == {"a": b"at b, later", "b": b"at b, later"})

    mesh_test(test, "a", "b", loads=False, copies=2)


def test_a_joining_node_is_handed_what_it_is_to_hold_before_it_serves() -> None:
    async def test(cluster: Cluster) -> None:
        values = {f"k{n}": b"%d" % n for n in range(500)}
        for key, value in values.items():
            await cluster.group("a").set(key, value)
        c = await cluster.start("c")
        mine = [key for key in values if c.is_ours(key)]
        assert len(mine) > 50
        assert all(c.group("items").get_nowait(key) == values[key] for key in mine)
        assert await cluster.group("a").get_many(list(values)) == values
        await eventually(lambda: not any(cluster.group("a").get_nowait(key) for key in mine))

    mesh_test(test, "a", "b", loads=False, moved_ttl_s=0.2)


def test_a_leaving_node_hands_over_what_it_holds_before_it_is_gone() -> None:
    async def test(cluster: Cluster) -> None:
        values = {f"k{n}": b"%d" % n for n in range(500)}
        for key, value in values.items():
            await cluster.group("b").set(key, value)
        node = cluster.nodes.pop("a")
        await node.drain()
        await node.stop()
        await settle(cluster)
        assert await cluster.group("b").get_many(list(values)) == values

    mesh_test(test, "a", "b", "c", loads=False)


def test_the_copies_of_what_is_written_while_a_node_joins_reach_it() -> None:
    async def test(cluster: Cluster) -> None:
        for n in range(300):
            await cluster.group("a").set(f"k{n}", b"old")
        going = True

        async def write() -> None:
            n = 0
            while going:
                await cluster.group("b").set(f"k{n % 300}", b"new %d" % n)
                last[f"k{n % 300}"] = b"new %d" % n
                n += 1

        last: dict[str, bytes] = {}
        writing = asyncio.create_task(write())
        await cluster.start("c")
        await cluster.start("d")
        await eventually(lambda: len(last) == 300)
        going = False
        await writing
        async with cluster.client() as client:
            assert await client.group("items").get_many(list(last)) == last

    mesh_test(test, "a", "b", loads=False, moved_ttl_s=0.2)


def test_a_newcomer_asks_the_former_owner_before_it_loads() -> None:
    async def test(cluster: Cluster) -> None:
        keys = [f"k{n}" for n in range(300)]
        await cluster.group("a").get_many(keys)
        b = await cluster.start("b")
        group = b.group("items")
        moved = [key for key in keys if b.is_ours(key)]
        for key in moved[:20]:
            group._shard.store.delete(key, 0.0)  # as if it had come after the ring had moved
        assert await group.get_many(moved[:20]) == await cluster.group("a").get_many(moved[:20])
        assert not cluster.loaders["b"].loaded

    mesh_test(test, "a")


def test_the_copies_of_what_is_asked_for_at_its_owner_outlive_those_of_what_nobody_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zmcache.node.usage._PAUSE_S", 0.1)

    async def test(cluster: Cluster) -> None:
        keys = list(islice(cluster.keys_of("a", "b"), 600))
        popular = keys[:50]
        value = b"v" * 1000
        for key in popular:
            await cluster.group("a").set(key, value)
        told = cluster.nodes["b"].group("items")
        taken: list[str] = []
        note_used = told.note_used
        told.note_used = lambda keys: (taken.extend(keys), note_used(keys))[1]  # type: ignore[method-assign]
        # Told as often as a policy wants to see a key before it believes in it.
        while min(Counter(taken)[key] for key in popular) < 3:
            for key in popular:
                assert cluster.group("a").get_nowait(key) == value
            await asyncio.sleep(0.02)
        for key in keys[50:]:
            await cluster.group("a").set(key, value)
        held = sum("b" in held_by(cluster, key) for key in popular)
        assert held >= 45, f"{held} of 50"
        assert sum("b" in held_by(cluster, key) for key in keys) < 500

    mesh_test(test, "a", "b", loads=False, copies=2, acks=2, budget_bytes=400_000, hot_share=0.0)


def test_a_set_that_its_new_owner_took_by_the_ring_before_lasts_as_long_as_it_was_to() -> None:
    async def test(cluster: Cluster) -> None:
        key, members = cluster.key_of("a"), dict(cluster.registry.members)
        cluster.registry.views["b"] = tuple(members.values())  # which has not heard yet that a leaves
        cluster.registry.put(members["a"]._replace(state=LEAVING))
        await settle(cluster)
        assert [node.ring().owner(key).node_id for node in cluster.nodes.values()] == ["b", "a"]
        await cluster.group("a").set(key, b"v")
        cluster.registry.views.clear()
        cluster.registry.publish()
        await settle(cluster)
        assert (await cluster.group("b").fetch(key)).ttl_s is None  # type: ignore[union-attr]  # it is there
        await asyncio.sleep(0.5)
        assert await cluster.group("b").get(key) == b"v"

    mesh_test(test, "a", "b", loads=False, moved_ttl_s=0.2)
