"""What was asked of a peer before it became slow is looked for at who holds a copy; the first answer counts."""

from __future__ import annotations

import asyncio
from itertools import islice

from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test

from zmcache.client import Client
from zmcache.client.near import NearSettings
from zmcache.peers.channel import Channel


def channel_to(client: Client, name: str) -> Channel:
    assert client._mesh is not None
    channel = client._mesh.channel_of(name)
    assert channel is not None
    return channel


async def becomes_slow(client: Client, name: str, waiting: int) -> Channel:
    """That many gets are on their way to a node; now it is slow, as its pings tell a beat later."""
    channel = channel_to(client, name)
    await eventually(lambda: sum(len(batch.keys) for batch in channel.unanswered_gets()) >= waiting)
    for batch in channel.unanswered_gets():
        batch.opened_s -= 1.0
    channel.health.latency.slow = True
    channel.health.latency._above, channel.health.latency._until_s = 8, asyncio.get_running_loop().time() + 60
    return channel


def test_gets_on_their_way_to_a_node_that_becomes_slow_are_answered_by_copies_and_its_own_answers_change_nothing() -> (
    None
):
    async def test(cluster: Cluster) -> None:
        keys = list(islice(cluster.keys_of("b"), 60))
        async with cluster.client() as client:
            items = client.group("items")
            for key in keys:
                await items.set(key, key.encode())
            await items.get_many(keys)
            cluster.network.pause(endpoint("b"))
            one = asyncio.ensure_future(items.get(keys[0]))
            many = asyncio.ensure_future(items.get_many(keys))
            slow = await becomes_slow(client, "b", 60)
            assert await one == keys[0].encode()
            assert await many == {key: key.encode() for key in keys}
            assert slow.usable
            assert slow.inflight == 0
            cluster.network.resume(endpoint("b"))
            assert await items.get_many(keys) == {key: key.encode() for key in keys}

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2)


def test_what_no_copy_has_is_not_loaded_there_but_answered_by_the_slow_owner() -> None:
    async def test(cluster: Cluster) -> None:
        here, missing = list(islice(cluster.keys_of("b", "a"), 2))
        async with cluster.client() as client:
            items = client.group("items")
            await items.set(here, b"here")
            await items.get(here)
            cluster.network.pause(endpoint("b"))
            asked = asyncio.ensure_future(items.get_many([here, missing]))
            single = asyncio.ensure_future(items.get(missing))
            await becomes_slow(client, "b", 2)
            a = cluster.nodes["a"]
            before = a.statistics()["forwarded"]
            await eventually(lambda: a.statistics()["forwarded"] > before)
            assert not asked.done()
            assert not single.done()
            cluster.network.resume(endpoint("b"))
            found = await asked
            assert found[here] == b"here"
            assert found[missing] == await single is not None
            assert cluster.loaders["b"].loaded[missing] == cluster.loaded[missing] == 1

    mesh_test(test, "a", "b", "c", copies=2, acks=2)


def test_a_value_with_tags_that_a_look_brings_is_no_hot_copy_and_goes_with_its_tag() -> None:
    async def test(cluster: Cluster) -> None:
        key, c = cluster.key_of("b", "a"), cluster.group("c")
        await cluster.group("b").set(key, b"old", tags=["t"])
        for _ in range(20):
            assert await c.get(key) == b"old"
        cluster.network.pause(endpoint("b"))
        assert await c.get(key) == b"old"
        cluster.network.resume(endpoint("b"))
        assert c.statistics().hot_entries == 0
        mesh = cluster.nodes["c"]._parts.mesh
        await eventually(lambda: all(channel.usable for channel in mesh.channels()), within_s=15)
        await cluster.group("b").invalidate_tags("t")
        assert await c.get(key) is None

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2, hot_ttl_s=5.0)


def test_of_what_a_look_brings_no_near_copy_is_kept() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b", "a")
        async with cluster.client(near=NearSettings(1 << 20, 10.0)) as client:
            items = client.group("items")
            await items.set(key, b"v")
            # Asked for until it is popular, and what is kept then given up by a set of one's own.
            for _ in range(5):
                assert await items.get(key) == b"v"
            await items.set(key, b"v")
            cluster.network.pause(endpoint("b"))
            asked = asyncio.ensure_future(items.get(key))
            slow = await becomes_slow(client, "b", 1)
            assert [batch.kept for batch in slow.unanswered_gets()] == [{0: None}]
            assert await asked == b"v"
            assert items.near_statistics().entries == 0  # type: ignore[union-attr]
            cluster.network.resume(endpoint("b"))

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2)


def test_what_could_not_be_asked_of_another_at_once_is_asked_later() -> None:
    async def test(cluster: Cluster) -> None:
        keys = list(islice(cluster.keys_of("b", "a"), 1010))
        async with cluster.client() as client:
            items = client.group("items")
            assert await items.set_many(dict.fromkeys(keys, b"v")) == []
            await items.get_many(keys)
            cluster.network.pause(endpoint("b"))
            # Ten by themselves and a thousand: more than one look takes.
            few = [asyncio.ensure_future(items.get(key)) for key in keys[:10]]
            await asyncio.sleep(0)
            many = asyncio.ensure_future(items.get_many(keys[10:]))
            slow = await becomes_slow(client, "b", 1010)
            other = channel_to(client, "a")
            other.preferred = False  # just now, nobody else is to be asked either
            assert client._mesh is not None
            client._mesh._look()
            assert sum(len(batch.open_positions()) for batch in slow.unanswered_gets()) == 1010
            other.preferred = True
            assert await asyncio.gather(*few) == [b"v"] * 10
            assert await many == dict.fromkeys(keys[10:], b"v")
            assert slow.inflight == 0
            cluster.network.resume(endpoint("b"))

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2)
