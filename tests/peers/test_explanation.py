"""Who is asked to explain a key, and how those look who do not answer, or hold what others own."""

from __future__ import annotations

import asyncio
from typing import Any

from eventually import eventually
from fake_node import FakeNode, connected
from mesh_fixture import Cluster, endpoint, mesh_test, took_less_than

from zmcache.cache import CacheGroup
from zmcache.client.near import NearSettings
from zmcache.core import wire
from zmcache.errors import ProtocolError
from zmcache.peers.channel import State
from zmcache.transport.memory import MemoryNetwork


def test_the_holders_are_told_of_in_order_and_both_hold_what_was_set() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b", "c")
        async with cluster.client("a") as client:
            await client.group("items").set(key, b"1")
            told = await client.group("items").explain(key)
            assert told.owners == ("b", "c")
            assert [node.node_id for node in told.nodes] == ["b", "c"]
            versions = {kept.version for node in told.nodes for kept in node.found if kept.where == "store"}
            assert len(versions) == 1

    mesh_test(test, "a", "b", "c", copies=2, acks=2)


def test_an_embedded_node_tells_of_itself_and_of_the_owners() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        await cluster.group("a").set(key, b"1")
        told = await cluster.group("a").explain(key)
        assert told.owners == ("b",)
        assert [(node.node_id, node.state) for node in told.nodes] == [("b", "up"), ("a", "here")]
        told = await cluster.group("b").explain(key)
        assert [(node.node_id, node.state) for node in told.nodes] == [("b", "here")]
        assert told.nodes[0].found[0].where == "store"

    mesh_test(test, loads=False)


def test_a_popular_key_of_another_is_a_hot_copy_where_it_was_asked_for() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        await cluster.group("b").set(key, b"123")

        async def is_hot() -> bool:
            await cluster.group("a").get(key)
            here = (await cluster.group("a").explain(key)).nodes[1]
            return [kept.where for kept in here.found] == ["hot copy"]

        for _ in range(100):
            if await is_hot():
                break
            await asyncio.sleep(0.001)
        here = (await cluster.group("a").explain(key)).nodes[1]
        assert here.found[0].size == 3
        assert here.found[0].age_s is not None
        assert here.found[0].age_s < 60
        assert here.missed == "another node owns it, and no copy was there"

    mesh_test(test, loads=False, hot_ttl_s=60.0)


def test_a_client_tells_of_its_own_near_copy() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NearSettings(1 << 20, 10.0)) as client:
            items = client.group("items")
            await items.set("k", b"123")
            while (near := (await items.explain("k")).near) is None:
                await items.get("k")
                await asyncio.sleep(0.005)
            assert (near.where, near.size) == ("near copy", 3)
            assert near.ttl_s is not None
            assert 0 < near.ttl_s <= 10
            assert near.age_s is not None
            assert near.age_s < 60

    mesh_test(test, loads=False)


def test_who_goes_through_any_node_hears_of_that_one_too_and_of_nobody_twice() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        async with cluster.client("a", route="any") as client:
            told = await client.group("items").explain(key)
            assert [node.node_id for node in told.nodes] == ["b", "a"]
        async with cluster.client("b", route="any") as client:
            told = await client.group("items").explain(key)
            assert [node.node_id for node in told.nodes] == ["b"]

    mesh_test(test)


def test_a_suspected_node_is_told_of_as_such_and_the_others_answer() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b", "c")
        async with cluster.client("a") as client:
            items = client.group("items")
            await items.set(key, b"1")
            assert client._mesh is not None
            channel = client._mesh.channel_of("b")
            assert channel is not None
            cluster.network.cut(endpoint("b"))
            await eventually(lambda: channel.state is State.DOWN)
            told = await items.explain(key)
            owner, other = told.nodes
            assert (owner.node_id, owner.state) == ("b", "down")
            assert owner.error is not None
            assert "PeerUnavailable" in owner.error
            assert (other.node_id, other.state, other.error) == ("c", "up", None)
            assert [kept.where for kept in other.found] == ["store"]

    mesh_test(test, "a", "b", "c", copies=2, acks=2)


async def explained_by(fake: FakeNode, items: CacheGroup[bytes], timeout: float) -> Any:
    (node,) = (await items.explain("k", timeout=timeout)).nodes
    assert node.found == ()
    return node


def test_one_that_does_not_answer_in_time_is_named_and_the_call_does_not_fail() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)
        async with connected(network) as client:
            with took_less_than(0.5):
                node = await explained_by(fake, client.group("items"), 0.1)
            assert node.node_id == "fake"
            assert "DeadlineExceeded" in node.error

    asyncio.run(main())


def test_a_node_of_an_older_version_is_named_with_what_it_says() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)

        def refuse(peer: bytes, request: Any) -> None:
            head = (wire.VERSION, wire.REFUSAL, request.request_id, 0, *fake.header, 0, "")
            fake.send(peer, wire.encode(wire.Refusal(*head, ProtocolError.code, "unknown kind 40")))

        fake.handle = refuse
        async with connected(network) as client:
            node = await explained_by(fake, client.group("items"), 1.0)
            assert node.error == "ProtocolError: unknown kind 40"

    asyncio.run(main())


def test_what_a_newer_node_says_in_words_of_its_own_is_no_reason_to_fail() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)

        def explain(peer: bytes, request: Any) -> None:
            head = (wire.VERSION, wire.EXPLAINED, request.request_id, 0, *fake.header, 0, "fake")
            fake.send(peer, wire.encode(wire.Explained(*head, [99], [1], [1], [1], [1], [1], 99, 1000, 5)))

        fake.handle = explain
        async with connected(network) as client:
            node = await explained_by(fake, client.group("items"), 1.0)
            assert (node.error, node.missed_ago_s, node.took_s) == (None, 1.0, 0.000005)
            assert "no word" in node.missed

    asyncio.run(main())


def test_a_key_that_was_moved_away_says_so_where_it_was() -> None:
    async def test(cluster: Cluster) -> None:
        keys = [f"key-{n}" for n in range(50)]
        for key in keys:
            await cluster.group("a").set(key, b"1")
        node = await cluster.start("b")
        moved = [key for key in keys if node.ring().owner(key).node_id == "b"]
        a = cluster.group("a")
        await eventually(lambda: not any(a.version_of(key) for key in moved))
        assert moved
        assert await a.get(moved[0]) == b"1"
        here = (await a.explain(moved[0])).nodes[1]
        assert here.missed == "it was moved away: the ring gave it to other nodes"

    mesh_test(test, "a", loads=False, moved_ttl_s=0.1)
