"""A client of a mesh in which a node is slow and not dead: whom it reads from, and whom it writes to."""

from __future__ import annotations

import asyncio
from itertools import islice

from eventually import eventually
from fake_node import FakeNode, connected
from mesh_fixture import Cluster, endpoint, mesh_test, took_less_than
from stutter import PAUSE_S, stuttering, take_for_slow

from zmcache.client import Client
from zmcache.core import wire
from zmcache.core.ring import Member
from zmcache.errors import Busy
from zmcache.transport.memory import MemoryNetwork


def is_slow(client: Client, name: str) -> bool:
    assert client._mesh is not None
    channel = client._mesh.channel_of(name)
    assert channel is not None
    return channel.health.latency.slow


def asked(cluster: Cluster, name: str) -> int:
    """Keys that this node was asked for by clients."""
    return int(cluster.nodes[name].statistics()["requests"])


def test_while_its_owner_is_slow_a_key_is_read_from_a_copy_loaded_by_its_owner_and_written_there() -> None:
    async def test(cluster: Cluster) -> None:
        keys = list(islice(cluster.keys_of("b", "a"), 60))
        async with cluster.client("a", timeout=3) as client:
            items = client.group("items")
            for key in keys[:50]:
                await items.set(key, b"set")
            async with stuttering(cluster.network, endpoint("b")):
                await eventually(lambda: is_slow(client, "b"), within_s=15)
                before = asked(cluster, "b")
                with took_less_than(20 * PAUSE_S / 4):
                    for key in keys[:20]:
                        assert await items.get(key) == b"set"
                    assert await items.get_many(keys[:50]) == dict.fromkeys(keys[:50], b"set")
                assert asked(cluster, "b") == before
                # What no copy has is loaded once, by its owner.
                assert await items.get(keys[55]) is not None
                assert cluster.loaders["b"].loaded[keys[55]] == cluster.loaded[keys[55]] == 1
                await items.set(keys[0], b"anew")
                assert asked(cluster, "b") == before + 1
                assert await items.get(keys[0]) == b"anew"

    mesh_test(test, "a", "b", "c", copies=2, acks=2)


def test_where_there_are_no_copies_or_all_are_slow_the_owner_is_asked() -> None:
    async def alone(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        async with cluster.client("a", timeout=3) as client:
            assert client._mesh is not None
            channel = client._mesh.channel_of("b")
            assert channel is not None
            take_for_slow(channel)
            assert await client.group("items").get(key) is not None
            assert cluster.loaders["b"].loaded[key] == 1
            assert asked(cluster, "b") == 1

    async def all_slow(cluster: Cluster) -> None:
        key = cluster.key_of("b", "a")
        async with cluster.client("c", timeout=3) as client:
            assert client._mesh is not None
            for name in "ab":
                channel = client._mesh.channel_of(name)
                assert channel is not None
                take_for_slow(channel)
            assert await client.group("items").get(key) is not None
            assert asked(cluster, "b") == 1

    mesh_test(alone, "a", "b", "c")
    mesh_test(all_slow, "a", "b", "c", copies=2)


def test_a_client_that_goes_any_way_goes_past_a_node_that_is_slow() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", "b", "c", route="any") as client:
            assert client._mesh is not None
            take_for_slow(client._mesh.contact(endpoint("b")))
            items = client.group("items")
            for n in range(30):
                await items.get(f"k{n}")
            assert asked(cluster, "b") == 0
            assert asked(cluster, "a") == asked(cluster, "c") == 15
            for name in "ac":
                take_for_slow(client._mesh.contact(endpoint(name)))
            for n in range(30):
                await items.get(f"k{n}")
            assert asked(cluster, "b") > 0

    mesh_test(test, "a", "b", "c")


def test_a_client_hears_of_copies_with_the_topology_and_does_without() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network, members=[Member("fake", "mem://fake")])
        fake.handle = fake.echo
        async with connected(network) as client:
            assert client._mesh is not None
            assert client._mesh.copies == {}

            def with_copies(peer: bytes, request_id: int) -> None:
                head = (wire.VERSION, wire.MEMBERS, request_id, 0, *fake.header, 0, "")
                members = ["fake"], ["mem://fake"], [1.0], [""], ["serving"]
                fake.send(peer, wire.encode(wire.Members(*head, *members, ["items"], [3])))

            fake.topology = with_copies
            fake.revision = 2
            await client.group("items").get("k")
            await eventually(lambda: client._mesh is not None and client._mesh.copies == {"items": 3})

    asyncio.run(main())


def test_a_client_that_is_told_busy_slows_down_and_its_other_groups_do_not() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)

        def handle(peer: bytes, request: wire.Get) -> None:
            if request.group == "items":
                fake.answer(peer, request.request_id, *[(Busy.code, "busy")] * len(request.keys))
            else:
                fake.echo(peer, request)

        fake.handle = handle
        async with connected(network) as client:
            items, others = client.group("items"), client.group("others")
            loop = asyncio.get_running_loop()
            until_s, refused = loop.time() + 0.7, 0
            while loop.time() < until_s:
                # A caller who does not wait before asking again.
                try:
                    await items.get("k")
                except Busy:
                    refused += 1
            assert 3 <= refused <= 12
            with took_less_than(0.1):
                assert await others.get("k") == b"k"
            fake.handle = fake.echo
            assert await items.get("k") == b"k"

    asyncio.run(main())
