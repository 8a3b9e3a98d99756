"""One node has another on trial that all the rest use: what the two write and hold meanwhile reaches whoever asks."""

from __future__ import annotations

from eventually import answered, eventually
from mesh_fixture import Cluster, endpoint, mesh_test

from zmcache.core import wire
from zmcache.peers.channel import State


async def distrust(cluster: Cluster, name: str, peer: str) -> None:
    """From now on ``name`` has ``peer`` on trial, for longer than any test lasts."""
    mesh = cluster.nodes[name]._parts.mesh
    channel = mesh.channel_of(peer)
    assert channel is not None
    channel.connect()
    await eventually(lambda: channel.is_connected)
    channel._become(State.TRIAL)
    channel.health._left = 1_000_000


async def handed_over(cluster: Cluster, name: str) -> None:
    """What that node had to hand over when it joined has been."""
    handover = cluster.nodes[name]._parts.handover
    await handover.wait_settled()


async def value_at(cluster: Cluster, name: str, key: str) -> bytes | None:
    return await cluster.group(name).get(key)


def test_who_is_to_hold_it_and_is_on_trial_is_told_what_is_written() -> None:
    async def test(cluster: Cluster) -> None:
        key, gone = list(zip(range(2), cluster.keys_of("c", "b"), strict=False))
        for each in (key[1], gone[1]):
            await cluster.group("c").set(each, b"before")
        await distrust(cluster, "c", "b")
        await handed_over(cluster, "c")  # or that would tell b
        await cluster.group("c").set(key[1], b"after")
        await cluster.group("c").delete(gone[1])
        b = cluster.nodes["b"].group("items")
        await eventually(lambda: b.get_nowait(key[1]) == b"after" and b.get_nowait(gone[1]) is None)
        assert cluster.nodes["c"]._parts.mesh.states()["b"] is State.TRIAL

    mesh_test(test, "a", "b", "c", "d", loads=False, copies=2, acks=2)


def test_what_a_node_holds_in_the_place_of_one_whom_it_distrusts_is_not_told_when_the_others_write_without_it() -> None:
    async def test(cluster: Cluster) -> None:
        key = next(
            key for key in cluster.keys_of("b", "c") if cluster.nodes["a"].ring().owners(key, 3)[2].node_id == "d"
        )
        d = cluster.nodes["d"].group("items")
        cluster.network.cut(endpoint("b"))
        await cluster.group("a").set(key, b"written without b", timeout=5)
        assert d.get_nowait(key) == b"written without b"
        cluster.network.heal(endpoint("b"))
        await distrust(cluster, "d", "b")
        await eventually(lambda: cluster.nodes["b"].group("items").get_nowait(key) == b"written without b")
        await cluster.group("b").set(key, b"written without d", timeout=5)
        await answered(
            lambda: value_at(cluster, "d", key),
            lambda value: value == b"written without d",
            what="what d is told of it",
            within_s=5,
        )
        # Whoever is sent on to d is told the same.
        mesh = cluster.nodes["a"]._parts.mesh
        d_from_a = mesh.channel_of("d")
        assert d_from_a is not None
        asked = d_from_a.query(
            wire.GET, mesh.clock() + 3, "items", flags=wire.FORWARDED, make=lambda head: wire.Get(*head, [key], None)
        )
        answer = await asked
        assert isinstance(answer, wire.Answer)
        assert answer.values == [b"written without d"]
        mesh_of_d = cluster.nodes["d"]._parts.mesh
        # Where nobody else can be reached, what d has is better than nothing.
        for name in "abc":
            cluster.network.cut(endpoint(name))
        await eventually(lambda: not mesh_of_d.reaches_holder(key, 2))
        assert await value_at(cluster, "d", key) == b"written without d"

    mesh_test(test, "a", "b", "c", "d", loads=False, copies=2, acks=2, moved_ttl_s=0.3, hot_share=0.0)
