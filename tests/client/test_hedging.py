"""Gets that are asked of a second node: when, of whom, what counts as an answer, and how many at the most."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eventually import eventually
from fake_node import FakeNode, connected
from mesh_fixture import Cluster, endpoint, mesh_test, took_less_than
from stutter import take_for_slow

import zmcache
import zmcache.sync
from zmcache.cache import CacheGroup
from zmcache.cache.raw import HedgeStatistics
from zmcache.client import Client
from zmcache.core import wire
from zmcache.core.ring import Member, Ring
from zmcache.errors import ConfigError
from zmcache.peers.channel import Channel
from zmcache.transport.memory import MemoryNetwork

MEMBERS = [Member("a", "mem://a"), Member("b", "mem://b")]


def told(items: CacheGroup[Any]) -> HedgeStatistics:
    found = items.hedge_statistics()
    assert found is not None
    return found


async def earn(items: CacheGroup[Any], key: str) -> None:
    """Make gets until some more may be made twice."""
    gets = told(items).gets
    for _ in range(40):
        await items.get(key)
    await eventually(lambda: told(items).gets >= gets + 40)


def test_while_its_owner_stands_still_a_key_is_had_from_a_copy() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b", "a")
        async with cluster.client("c", hedge=0.5) as client:
            items = client.group("items")
            await items.set(key, b"1")
            await earn(items, key)
            sent, won = told(items).sent, told(items).won
            cluster.network.pause(endpoint("b"))
            # Nobody can have noticed by pings in this time that it hangs.
            with took_less_than(0.3):
                assert await items.get(key) == b"1"
            assert (told(items).sent, told(items).won) == (sent + 1, won + 1)
            item = await items.fetch(key)
            assert item is not None
            assert (item.value, item.source) == (b"1", "hot")
            cluster.network.resume(endpoint("b"))
            assert cluster.loaded[key] == 0

    mesh_test(test, "a", "b", "c", copies=2, acks=2)


def test_a_none_is_had_from_a_copy_too() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b", "a")
        async with cluster.client("c", hedge=0.5) as client:
            items = client.group("items")
            await items.set(key, None)
            await earn(items, key)
            cluster.network.pause(endpoint("b"))
            assert await items.get(key, b"default") is None
            cluster.network.resume(endpoint("b"))

    mesh_test(test, "a", "b", "c", copies=2, acks=2)


def test_what_the_copy_does_not_have_is_loaded_once_by_the_owner() -> None:
    async def test(cluster: Cluster) -> None:
        warm, *missing = [key for key, _ in zip(cluster.keys_of("b", "a"), range(6), strict=False)]
        async with cluster.client("c", hedge=1.0) as client:
            items = client.group("items")
            await items.get(warm)
            await earn(items, warm)
            cluster.loaders["b"].gate.clear()
            before = told(items).sent
            calls = [asyncio.create_task(items.get(key)) for key in missing]
            await eventually(lambda: told(items).sent >= before + len(missing))
            # The copies have been asked and have answered that they have nothing; nobody was told so.
            await asyncio.sleep(0.05)
            assert not any(call.done() for call in calls)
            cluster.loaders["b"].gate.set()
            assert all(await asyncio.gather(*calls))
            assert cluster.loaders["a"].loaded.total() == 0
            assert all(cluster.loaded[key] == 1 for key in missing)

    mesh_test(test, "a", "b", "c", copies=2)


def test_where_there_are_no_copies_nothing_is_asked_twice() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        async with cluster.client("a", hedge=1.0) as client:
            items = client.group("items")
            for _ in range(50):
                await items.get(key)
            cluster.network.pause(endpoint("b"))
            call = asyncio.create_task(items.get(key))
            await asyncio.sleep(0.05)
            cluster.network.resume(endpoint("b"))
            await call
            assert told(items) == HedgeStatistics(0, 0, 0, {})

    mesh_test(test)


def test_without_being_asked_for_there_is_none_of_it() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a") as client:
            items = client.group("items")
            await items.get("k")
            assert items.hedge_statistics() is None

    mesh_test(test)


def test_writes_are_never_made_twice() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b", "a")
        async with cluster.client("c", hedge=1.0) as client:
            items = client.group("items")
            await items.set(key, b"1")
            await earn(items, key)
            cluster.network.pause(endpoint("b"))
            sent = told(items).sent
            calls = [asyncio.create_task(call) for call in (items.set(key, b"2"), items.incr("n", initial=1))]
            await asyncio.sleep(0.1)
            assert told(items).sent == sent
            cluster.network.resume(endpoint("b"))
            await asyncio.gather(*calls)

    mesh_test(test, "a", "b", "c", copies=2, acks=2, loads=False)


class Two:
    """Two nodes that a test plays, and a client of both that takes them to hold two copies. ``owner`` of ``k`` is asked first."""

    def __init__(self, network: MemoryNetwork, client: Client, fakes: dict[str, FakeNode]) -> None:
        owner, other = Ring.build(MEMBERS, 1).owners("k", 2)
        self.owner, self.other = fakes[owner.node_id], fakes[other.node_id]
        self.client, self.items = client, client.group("items")

    def channel_to_other(self) -> Channel:
        assert self.client._mesh is not None
        channel = self.client._mesh.channel_of(Ring.build(MEMBERS, 1).owners("k", 2)[1].node_id)
        assert channel is not None
        return channel

    async def begin(self) -> None:
        """Both answer; enough gets that some may be made twice."""
        await earn(self.items, "k")
        self.owner.handle = self.other.handle = lambda peer, request: None
        self.owner.requests.clear()
        self.other.requests.clear()


def with_two(test: Any, **options: Any) -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fakes = {member.node_id: FakeNode(network, member.node_id, members=MEMBERS) for member in MEMBERS}
        for fake in fakes.values():
            fake.handle = fake.echo
        async with connected(network, "mem://a", hedge=1.0, **options) as client:
            assert client._mesh is not None
            client._mesh.copies = {"items": 2}
            two = Two(network, client, fakes)
            await two.begin()
            await test(two)

    asyncio.run(main())


def test_the_copy_is_asked_to_look_and_the_owner_is_told_that_nobody_waits() -> None:
    async def test(two: Two) -> None:
        call = asyncio.create_task(two.items.get("k"))
        await eventually(lambda: bool(two.other.requests))
        peer, hedge = two.other.requests[0]
        assert (hedge.kind, hedge.keys, hedge.flags) == (wire.GET, ["k"], wire.FORWARDED | wire.FILLS)
        assert hedge.deadline_ms > 0
        two.other.answer(peer, hedge.request_id, b"copy")
        assert await call == b"copy"
        await eventually(lambda: len(two.owner.requests) == 2)
        get, cancel = (request for _, request in two.owner.requests)
        assert (cancel.kind, cancel.request_id) == (wire.CANCEL, get.request_id)
        # What the owner says all the same is nobody's business.
        two.owner.answer(two.owner.requests[0][0], get.request_id, b"owner")

    with_two(test)


def test_when_the_owner_answers_after_all_the_copy_is_told_that_nobody_waits() -> None:
    async def test(two: Two) -> None:
        call = asyncio.create_task(two.items.get("k"))
        await eventually(lambda: bool(two.other.requests))
        peer, get = two.owner.requests[0]
        won = told(two.items).won
        two.owner.answer(peer, get.request_id, b"owner")
        assert await call == b"owner"
        await eventually(lambda: len(two.other.requests) == 2)
        hedge, cancel = (request for _, request in two.other.requests)
        assert (cancel.kind, cancel.request_id) == (wire.CANCEL, hedge.request_id)
        assert told(two.items).won == won

    with_two(test)


@pytest.mark.parametrize(
    "row",
    [
        (wire.NO_SUCH_KEY, None),
        (wire.STALE, b"old"),
        (zmcache.PeerUnavailable.code, "away"),
        (zmcache.Busy.code, "busy"),
    ],
)
def test_what_is_no_value_is_no_answer(row: tuple[int, Any]) -> None:
    async def test(two: Two) -> None:
        call = asyncio.create_task(two.items.get("k"))
        await eventually(lambda: bool(two.other.requests))
        peer, hedge = two.other.requests[0]
        two.other.answer(peer, hedge.request_id, row)
        channel = two.channel_to_other()
        await eventually(lambda: not channel.inflight)
        assert not call.done()
        peer, get = two.owner.requests[0]
        two.owner.answer(peer, get.request_id, b"owner")
        assert await call == b"owner"

    with_two(test)


def test_who_joins_a_get_that_is_asked_twice_has_the_same_answer() -> None:
    async def test(two: Two) -> None:
        first = asyncio.create_task(two.items.get("k"))
        await eventually(lambda: bool(two.other.requests))
        second = asyncio.create_task(two.items.get("k"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        peer, get = two.owner.requests[0]
        two.owner.answer(peer, get.request_id, b"owner")
        assert await second == b"owner"

    with_two(test)


def test_when_the_only_caller_goes_both_nodes_are_told() -> None:
    async def test(two: Two) -> None:
        call = asyncio.create_task(two.items.get("k"))
        await eventually(lambda: bool(two.other.requests))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for fake in (two.owner, two.other):
            await eventually(lambda fake=fake: [r.kind for _, r in fake.requests] == [wire.GET, wire.CANCEL])  # type: ignore[misc]

    with_two(test)


def test_a_holder_that_is_slow_or_cannot_be_reached_is_not_asked() -> None:
    async def test(two: Two) -> None:
        take_for_slow(two.channel_to_other())
        sent = told(two.items).sent
        call = asyncio.create_task(two.items.get("k"))
        await eventually(lambda: bool(two.owner.requests))
        await asyncio.sleep(0.05)
        assert told(two.items).sent == sent
        peer, get = two.owner.requests[0]
        two.owner.answer(peer, get.request_id, b"owner")
        assert await call == b"owner"

    with_two(test)


def test_no_more_than_the_share_is_asked_twice_however_slow_the_owner_is() -> None:
    async def test(cluster: Cluster) -> None:
        keys = [key for key, _ in zip(cluster.keys_of("b", "a"), range(400), strict=False)]
        async with cluster.client("c", hedge=0.05, timeout=5) as client:
            items = client.group("items")
            await items.set_many(dict.fromkeys(keys, b"1"))
            await asyncio.gather(*(items.get(key) for key in keys))
            for _ in range(3):
                cluster.network.pause(endpoint("b"))
                calls = [asyncio.create_task(items.get(key)) for key in keys]
                await asyncio.sleep(0.1)
                cluster.network.resume(endpoint("b"))
                await asyncio.gather(*calls)
            await eventually(lambda: told(items).gets == 4 * len(keys))
            assert 0 < told(items).won <= told(items).sent <= 0.05 * 4 * len(keys)

    mesh_test(test, "a", "b", "c", copies=2, acks=2)


@pytest.mark.parametrize(
    ("address", "options", "what"),
    [
        ("mem://?hedge=true", {}, "mem://"),
        ("zmcache://127.0.0.1:1/?hedge=0.05&route=any", {}, "owner"),
        ("zmcache://127.0.0.1:1/?hedge=often", {}, "hedge"),
        ("zmcache://127.0.0.1:1/?hedge=nan", {}, "hedge"),
        ("zmcache://127.0.0.1:1", {"hedge": 1.5}, "hedge"),
        ("zmcache://127.0.0.1:1", {"hedge": "yes"}, "hedge"),
    ],
)
def test_what_cannot_be_hedged_is_refused_before_anything_runs(
    address: str, options: dict[str, Any], what: str
) -> None:
    with pytest.raises(ConfigError, match=what):
        zmcache.connect(address, **options)


@pytest.mark.parametrize("address", ["127.0.0.1:1/?hedge=true", "127.0.0.1:1/?hedge=0.1", "127.0.0.1:1/?hedge=false"])
def test_the_share_may_stand_in_the_address(address: str) -> None:
    zmcache.connect(f"zmcache://{address}")
    zmcache.sync.connect(f"zmcache://{address}", hedge=True)
