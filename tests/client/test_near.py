"""Near copies: when a get leaves this process, and how old what it finds here may be while news is lost, late, doubled or out of order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from cache_worlds import World, in_each_world
from mesh_fixture import Cluster, endpoint, mesh_test
from news_faults import FAULTS, Wire, read_against_writer

import zmcache
from zmcache.cache import CacheGroup
from zmcache.client.near import NearSettings
from zmcache.core import wire
from zmcache.core.wire import Limits
from zmcache.errors import ConfigError
from zmcache.peers.following import SILENCE_S

NEAR = NearSettings(1 << 20, 10.0)


def hits(items: CacheGroup[Any]) -> int:
    told = items.near_statistics()
    assert told is not None
    return told.hits


async def kept(items: CacheGroup[Any], key: str, value: object) -> None:
    """Get ``key`` until it comes from here."""

    async def is_near() -> bool:
        before = hits(items)
        assert await items.get(key) == value
        return hits(items) > before

    for _ in range(1000):
        if await is_near():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("no copy is kept")


def test_a_popular_key_is_read_here_until_anybody_changes_it() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            near, far = client.group("items"), other.group("items")
            changes: list[tuple[Callable[[], Any], object]] = [
                (lambda: far.set("k", b"2"), b"2"),
                (lambda: far.delete("k"), None),
                (lambda: far.add("k", b"3"), b"3"),
                (lambda: cluster.group("a").set("k", b"4"), b"4"),
                (lambda: far.set("k", b"5", ttl=100), b"5"),
            ]
            await far.set("k", b"1")
            await kept(near, "k", b"1")
            for change, value in changes:
                await change()
                await eventually_reads(near, "k", value)
                if value is not None:
                    await kept(near, "k", value)
            await far.clear()
            await eventually_reads(near, "k", None)

    mesh_test(test, loads=False)


def test_the_owner_notes_what_is_popular_of_what_it_is_asked_for_in_one_message() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client:
            items = client.group("items")
            names = ["popular", *(f"k{n}" for n in range(300))]
            await items.set_many({name: name.encode() for name in names})
            await kept(items, "popular", b"popular")
            await items.set("popular", b"new")
            before = hits(items)
            # The first get of each but one, all in one turn of the loop, and in bulk.
            found = await asyncio.gather(*map(items.get, names[:150]))
            assert found == [b"new", *(name.encode() for name in names[1:150])]
            assert len(await items.get_many(names[150:])) == 151
            assert await items.get("popular") == b"new"
            assert hits(items) == before + 1
            (follower,) = cluster.nodes["a"]._parts.followers._followers.values()
            assert list(follower.kept) == [("items", "popular")]

    mesh_test(test, "a", loads=False)


async def eventually_reads(items: CacheGroup[Any], key: str, value: object) -> None:
    """In much less than a copy lives."""
    until_s = time.monotonic() + SILENCE_S
    while await items.get(key) != value:
        assert time.monotonic() < until_s
        await asyncio.sleep(0)


def test_ones_own_changes_are_seen_at_once() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client:
            items = client.group("items")
            for n in range(300):
                await items.set("k", b"%d" % n)
                for _ in range(3):
                    assert await items.get("k") == b"%d" % n
            await items.set("k", b"7")
            await kept(items, "k", b"7")
            assert await items.incr("k") == 8
            assert await items.get("k") == b"8"
            await kept(items, "k", b"8")
            assert await items.set_many({"k": b"9"}) == []
            assert await items.get("k") == b"9"
            await kept(items, "k", b"9")
            await items.delete("k")
            assert await items.get("k") is None

    mesh_test(test, loads=False)


def test_a_value_ends_here_when_it_ends_at_its_owner() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR, clock=cluster.clock) as client:
            items = client.group("items")
            await items.set("k", b"1", ttl=1.5)
            await kept(items, "k", b"1")
            cluster.clock.advance(1.5)
            assert await items.get("k") is None

    mesh_test(test, loads=False)


def test_copies_stay_within_their_bytes_and_what_is_asked_for_once_takes_none() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NearSettings(64 * 1024, 10.0)) as client:
            items = client.group("items")
            keys = [f"key-{n}" for n in range(500)]
            await items.set_many(dict.fromkeys(keys, bytes(1000)))
            for key in keys:
                await items.get(key)
            told = items.near_statistics()
            assert told is not None
            assert (told.entries, told.hits) == (0, 0)
            for _ in range(4):
                for key in keys:
                    await items.get(key)
            told = items.near_statistics()
            assert told is not None
            assert 0 < told.used_bytes <= 64 * 1024

    mesh_test(test, loads=False)


def test_cached_functions_read_near_copies_too() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            calls: list[int] = []
            items = client.group("items", codec="msgpack")

            @items.cached(key="user:{n}", ttl=60)
            async def user(n: int) -> dict[str, int]:
                calls.append(n)
                return {"n": n, "calls": len(calls)}

            for _ in range(200):
                assert await user(1) == {"n": 1, "calls": 1}
                await asyncio.sleep(0.001)
            assert hits(items)
            await other.group("items").delete("user:1")
            until_s = time.monotonic() + SILENCE_S
            while (await user(1))["calls"] == 1:
                assert time.monotonic() < until_s
                await asyncio.sleep(0)

    mesh_test(test, loads=False)


@in_each_world
async def test_without_asking_for_it_nothing_is_kept(world: World) -> None:
    await world.one.set("k", b"1")
    for _ in range(10):
        await world.one.get("k")
    assert world.one.near_statistics() is None


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mem://?near=1MiB", "mem://"),
        ("zmcache://127.0.0.1:1/?near=1MiB&route=any", "owner"),
        ("zmcache://127.0.0.1:1/?near=much", "near"),
        ("zmcache://127.0.0.1:1/?near_ttl=5s", "near"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(address: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        zmcache.connect(address)


# -- when news does not come as it was sent ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_no_read_finds_what_was_replaced_longer_ago_than_is_promised(fault: str) -> None:
    treat, promised_s, seconds = FAULTS[fault]

    async def test(cluster: Cluster) -> None:
        tap = Wire(7)
        tap.tap(cluster)
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            near = client.group("items")
            await other.group("items").set("k", b"0")
            await kept(near, "k", b"0")
            if treat is not None:
                tap.treat = lambda send: treat(tap, send)
            reads, oldest_s = await read_against_writer(
                near, lambda value: other.group("items").set("k", value), seconds
            )
            assert reads > 1000
            assert tap.heard > 0
            assert oldest_s < promised_s + 0.2, f"{reads} reads, one {oldest_s:.3f} s behind"

    mesh_test(test, loads=False)


def test_connections_that_break_and_an_owner_that_begins_anew_with_its_counters_at_zero() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR, timeout=1.0) as client, cluster.client(timeout=1.0) as other:
            near, far = client.group("items"), other.group("items")
            await far.set("k", b"0")
            await kept(near, "k", b"0")
            owner = cluster.nodes["a"].ring().owner("k").node_id

            def disturb(look: int) -> None:
                if look % 40 == 0:
                    cluster.network.cut(endpoint(owner))
                    cluster.network.heal(endpoint(owner))

            async def write(value: bytes) -> None:
                for _ in range(100):
                    try:
                        await far.set("k", value)
                        return
                    except zmcache.MeshError:
                        await asyncio.sleep(0.01)
                raise AssertionError("nothing can be written")

            reads, oldest_s = await read_against_writer(near, write, 2.0, disturb)
            assert reads > 100
            assert oldest_s < SILENCE_S + 0.2
            node = cluster.nodes[owner]
            # As a process that was started in its place, and has told nobody anything yet.
            followers = node._parts.followers
            for follower in list(followers._followers.values()):
                followers._forget(follower)
            followers._incarnation += 1
            await far.set("k", b"anew")
            await eventually_reads(near, "k", b"anew")

    mesh_test(test, loads=False)


def test_news_of_an_unknown_group_or_of_nothing_that_is_kept_harms_nobody() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client:
            items = client.group("items")
            await items.set("k", b"1")
            await kept(items, "k", b"1")
            assert client._mesh is not None
            channel = client._mesh.owner_channel("k")
            assert channel is not None
            for group in ("items", "others", ""):
                header = wire.header(wire.NEWS, 0, channel.epoch, group=group)
                channel.on_frame(wire.encode(wire.News(*header, 1, 99, ["x"], [None], [-1], [0], [wire.OLD_FLAG], [0])))
                channel.on_frame(wire.encode(wire.News(*header, 1, 2**63, [], [], [], [], [], [])))
            assert await items.get("k") == b"1"

    mesh_test(test, loads=False)


@pytest.mark.parametrize("column", range(10, 16))
def test_garbage_in_a_news_is_a_bad_frame(column: int) -> None:
    header = wire.header(wire.NEWS, 0, (1, 2), group="items")
    news = [*header, 1, 1, ["k"], [b"v"], [-1], [1], [0], [0]]
    for garbage in ([1, 2], "x", None, [[]], [1.5], {}):
        if news[column] == garbage:
            continue
        broken = list(news)
        broken[column] = garbage
        with pytest.raises(wire.BadFrame):
            wire.decode(wire.encode(tuple(broken)), Limits())  # type: ignore[arg-type]


def test_fetch_tells_that_it_came_from_here_and_what_is_left_of_its_life() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client:
            items = client.group("items")
            await items.set("k", b"1", ttl=5)
            await kept(items, "k", b"1")
            item = await items.fetch("k")
            assert item is not None
            assert (item.value, item.source) == (b"1", "hot")
            assert item.ttl_s is not None
            assert 0 < item.ttl_s <= 5

    mesh_test(test, loads=False)
