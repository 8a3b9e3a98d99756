"""Nodes among which one is slow, hangs or comes back: what the others do, and what they tell of it."""

from __future__ import annotations

import asyncio
from typing import Any

from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test
from stutter import stuttering

from zmcache.peers.channel import State


def figure(cluster: Cluster, name: str, field: str) -> float:
    return cluster.nodes[name].statistics()[field]


def state(cluster: Cluster, name: str, peer: str) -> State:
    return cluster.nodes[name]._parts.mesh.states()[peer]


async def all_connected(cluster: Cluster) -> None:
    for name, node in cluster.nodes.items():
        for channel in node._parts.mesh.used:
            channel.connect()
        await eventually(lambda name=name: all(state(cluster, name, o) is State.UP for o in cluster.nodes if o != name))  # type: ignore[misc]


def test_a_slow_owner_is_looked_past_by_nodes_too_and_still_loads_what_nobody_has() -> None:
    async def test(cluster: Cluster) -> None:
        await all_connected(cluster)
        here, missing = list(zip(range(2), cluster.keys_of("b", "a"), strict=False))
        key, other = here[1], missing[1]
        await cluster.group("b").set(key, b"value")
        async with stuttering(cluster.network, endpoint("b")):
            await eventually(lambda: figure(cluster, "c", "peer.b.slow") == 1, within_s=15)
            assert figure(cluster, "c", "peer.b.state") == 1
            assert figure(cluster, "c", "peer.b.rtt_ms") > 10
            assert figure(cluster, "c", "peers.slow") == 1
            assert figure(cluster, "c", "peer.a.slow") == 0
            assert 0 < figure(cluster, "c", "peer.a.rtt_ms") < 10
            before = figure(cluster, "b", "forwarded")
            assert await cluster.group("c").get(key) == b"value"
            assert figure(cluster, "b", "forwarded") == before
            assert await cluster.group("c").get(other) is not None
            assert cluster.loaders["b"].loaded[other] == cluster.loaded[other] == 1

    mesh_test(test, "a", "b", "c", copies=2, acks=2, hot_share=0.0)


def test_where_the_copy_that_is_looked_at_is_gone_the_slow_owner_answers() -> None:
    async def test(cluster: Cluster) -> None:
        await all_connected(cluster)
        key = cluster.key_of("b", "a")
        await cluster.group("b").set(key, b"value")
        mesh = cluster.nodes["c"]._parts.mesh
        slow = mesh.channel_of("b")
        assert slow is not None
        slow.preferred = False
        asking = asyncio.create_task(cluster.group("c").get(key))
        await asyncio.sleep(0)
        cluster.network.cut(endpoint("a"))
        assert await asking == b"value"
        cluster.network.heal(endpoint("a"))

    mesh_test(test, "a", "b", "c", copies=2, acks=2, hot_share=0.0)


def test_a_node_that_hung_is_counted_and_used_again_after_its_trial_and_then_it_is_compared_with() -> None:
    async def test(cluster: Cluster) -> None:
        await all_connected(cluster)
        key = cluster.key_of("b", "a")
        await cluster.group("a").set(key, b"before")
        cluster.network.pause(endpoint("b"))
        await eventually(lambda: state(cluster, "a", "b") is State.SUSPECT)
        assert figure(cluster, "a", "peer.b.suspicions") == 1
        assert figure(cluster, "a", "peer.b.state") == 0
        await cluster.group("a").set(key, b"meanwhile")
        assert cluster.group("b").get_nowait(key) == b"before"
        cluster.network.resume(endpoint("b"))
        await eventually(lambda: state(cluster, "a", "b") is State.TRIAL)
        await eventually(lambda: state(cluster, "a", "b") is State.UP)
        await eventually(lambda: cluster.group("b").get_nowait(key) == b"meanwhile")

    mesh_test(test, "a", "b", "c", loads=False, copies=2)


def test_who_doubts_while_it_is_still_suspected_is_told_once_it_is_used_again() -> None:
    async def test(cluster: Cluster) -> None:
        await all_connected(cluster)
        key = cluster.key_of("b", "a")
        await cluster.group("b").set(key, b"kept")
        cluster.network.pause(endpoint("b"))
        await eventually(lambda: all(state(cluster, name, "b") is State.SUSPECT for name in "ac"))
        cluster.network.resume(endpoint("b"))
        node = cluster.nodes["b"]
        node.stood_still(2.0)
        assert not node._parts.doubt.is_over
        # Nobody has it in use yet, so nobody can hand over to it in this moment.
        await asyncio.sleep(0.02)
        assert {state(cluster, name, "b") for name in "ac"} <= {State.SUSPECT, State.TRIAL}
        await eventually(lambda: node._parts.doubt.is_over)
        assert {state(cluster, name, "b") for name in "ac"} == {State.UP}
        # It was not given up: what it holds it holds for good.
        item = await cluster.group("b").fetch(key)
        assert item is not None
        assert item.ttl_s is None

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2, moved_ttl_s=4.0)


def test_who_is_asked_to_compare_with_too_many_says_so_and_is_asked_again(monkeypatch: Any) -> None:
    async def test(cluster: Cluster) -> None:
        await all_connected(cluster)
        key = cluster.key_of("a", "b")
        desk = cluster.nodes["b"]._parts.desk
        asked = 0
        compare = desk.compare

        def busy_at_first(request: Any, answer: Any) -> bool:
            nonlocal asked
            asked += 1
            return asked > 1 and compare(request, answer)

        monkeypatch.setattr(desk, "compare", busy_at_first)
        cluster.network.pause(endpoint("b"))
        await eventually(lambda: state(cluster, "a", "b") is State.SUSPECT)
        await cluster.group("a").set(key, b"meanwhile")
        cluster.network.resume(endpoint("b"))
        await eventually(lambda: cluster.group("b").get_nowait(key) == b"meanwhile", within_s=10)
        assert asked > 1

    mesh_test(test, "a", "b", loads=False, copies=2)


def test_a_loop_of_ours_that_stood_still_makes_no_peer_slow_or_suspected() -> None:
    async def test(cluster: Cluster) -> None:
        import time

        await all_connected(cluster)
        for _ in range(6):
            time.sleep(0.7)  # noqa: ASYNC251 - that is what is tested
            await asyncio.sleep(0.3)
        for name in "ac":
            assert figure(cluster, name, "peer.b.suspicions") == 0
            assert figure(cluster, name, "peers.slow") == 0
            assert figure(cluster, name, "peer.b.rtt_ms") < 30

    mesh_test(test, "a", "b", "c")
