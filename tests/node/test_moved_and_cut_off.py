"""A node that is to hold a key only since the ring moved, and lacks it, does not say that there is no such key: others may hold it."""

from __future__ import annotations

import asyncio
from itertools import islice

import pytest
from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test
from scripted_loader import value_of

from zmcache.core.ring import LEAVING
from zmcache.peers.mesh import Mesh


def mesh_of(cluster: Cluster, name: str) -> Mesh:
    return cluster.nodes[name]._parts.mesh


def key_held_by_c_and_a_and_then_b(cluster: Cluster) -> str:
    ring = cluster.nodes["a"].ring()
    return next(
        key
        for key in cluster.keys_of("c", "a")
        if [member.node_id for member in ring.owners(key, 3)] == ["c", "a", "b"]
    )


async def hang(cluster: Cluster, *names: str) -> None:
    """Nothing comes from these any more; b alone hears that c leaves, and so is to hold what c held."""
    for name in names:
        cluster.network.pause(endpoint(name))
    members = dict(cluster.registry.members)
    members["c"] = members["c"]._replace(state=LEAVING)
    cluster.registry.views["b"] = tuple(members.values())
    cluster.registry.publish()
    await cluster.settled()


# All others: b takes itself for the one that is away. But for d: it does not.
@pytest.mark.parametrize("hung", ["acd", "ac"])
@pytest.mark.parametrize("loads", [False, True])
def test_who_asks_it_when_it_loses_those_who_hold_the_key_is_given_the_value(hung: str, loads: bool) -> None:
    async def test(cluster: Cluster) -> None:
        key = key_held_by_c_and_a_and_then_b(cluster)
        async with cluster.client("b", route="any", timeout=8) as client:
            items = client.group("items")
            await items.set(key, b"v")
            await hang(cluster, *hung)
            assert [member.node_id for member in cluster.nodes["b"].ring().owners(key, 2)] == ["a", "b"]
            waits = asyncio.create_task(items.get(key))
            await eventually(lambda: not mesh_of(cluster, "b").reaches_holder(key, 1))
            asked_then = asyncio.create_task(items.get(key))
            done, _ = await asyncio.wait([waits, asked_then], timeout=0.2)
            assert {task.result() for task in done} <= {b"v"}
            for name in hung:
                cluster.network.resume(endpoint(name))
            assert await waits == b"v"
            assert await asked_then == b"v"

    mesh_test(test, "a", "b", "c", "d", loads=loads, copies=2, acks=2)


def test_once_it_can_ask_those_it_could_not_reach_they_give_it_what_it_lacks() -> None:
    async def test(cluster: Cluster) -> None:
        key = key_held_by_c_and_a_and_then_b(cluster)
        await cluster.group("a").set(key, b"v")
        b = mesh_of(cluster, "b")
        await hang(cluster, "a", "c")
        await eventually(lambda: not b.reaches_holder(key, 1) and not b.catches_up)
        assert b.known_ring is not b.ring
        assert not b.would_know(key, 2)
        cluster.registry.views.clear()
        cluster.registry.put(cluster.registry.members["c"]._replace(state=LEAVING))
        await cluster.settled()
        for name in "ac":
            cluster.network.resume(endpoint(name))
        await eventually(lambda: b.known_ring is b.ring, within_s=10)
        assert cluster.nodes["b"].group("items").get_nowait(key) == b"v"

    mesh_test(test, "a", "b", "c", "d", loads=False, copies=2, acks=2)


def test_of_those_who_are_gone_for_good_no_word_is_waited_for() -> None:
    async def test(cluster: Cluster) -> None:
        key = key_held_by_c_and_a_and_then_b(cluster)
        b = mesh_of(cluster, "b")
        await hang(cluster, "a", "c")
        await eventually(lambda: not b.reaches_holder(key, 1))
        assert not b.would_know(key, 2)
        cluster.registry.views.clear()
        await cluster.kill("a")
        await cluster.kill("c")
        cluster.registry.drop("a", "c")
        await cluster.settled()
        async with cluster.client("b", route="any") as client:
            assert await client.group("items").get(key) is None
        assert b.would_know(key, 2)

    mesh_test(test, "a", "b", "c", "d", loads=False, copies=2, acks=2)


def test_who_has_an_older_ring_than_the_one_who_asks_gives_its_word_when_it_has_that_ring_too() -> None:
    async def test(cluster: Cluster) -> None:
        key = key_held_by_c_and_a_and_then_b(cluster)
        await cluster.group("a").set(key, b"v")
        node, b = cluster.nodes["b"], mesh_of(cluster, "b")
        late = cluster.registry.watchers.pop("a")
        cluster.registry.put(cluster.registry.members["c"]._replace(state=LEAVING))
        # By the ring that c leaves all others have told b that it has what they have for it; what it is to be given now a has to send.
        await eventually(lambda: b.ring.epoch.revision == cluster.registry.revision)
        await eventually(lambda: node._parts.doubt._unheard == {"a"})
        assert b.known_ring is not b.ring
        cluster.registry.watchers["a"] = late
        late.deliver()
        await eventually(lambda: b.known_ring is b.ring)
        assert node.group("items").get_nowait(key) == b"v"

    mesh_test(test, "a", "b", "c", "d", loads=False, copies=2, acks=2)


@pytest.mark.parametrize("loads", [False, True])
def test_while_one_hangs_and_another_has_left_in_order_others_are_told_of_what_is_not_there(loads: bool) -> None:
    async def test(cluster: Cluster) -> None:
        ring = cluster.nodes["a"].ring()
        keys = [
            key
            for key in islice(cluster.keys_of("b", "c"), 60)
            if [member.node_id for member in ring.owners(key, 3)] == ["b", "c", "a"]
        ]
        cluster.network.pause(endpoint("c"))
        await eventually(
            lambda: "c" not in {channel.name for channel in mesh_of(cluster, "d").channels() if channel.usable}
        )
        b = cluster.nodes.pop("b")
        await b.drain()
        await b.stop()
        await eventually(lambda: all(len(cluster.nodes[name].ring()) == 3 for name in "ad"))
        d = cluster.group("d")
        for key in keys:
            assert await d.get(key) == (value_of(key) if loads else None)
        assert not cluster.loaded or set(cluster.loaded.values()) == {1}
        cluster.network.resume(endpoint("c"))

    mesh_test(test, "a", "b", "c", "d", loads=loads, copies=2, acks=1, drain_timeout_s=1.0)
