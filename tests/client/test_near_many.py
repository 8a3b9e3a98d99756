"""`get_many` and near copies: what is here is given from here, the rest is asked for, and both are one answer."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
from eventually import eventually
from mesh_fixture import Cluster, mesh_test

from zmcache.cache import CacheGroup
from zmcache.cache.raw import NearStatistics
from zmcache.client import near as near_module
from zmcache.client.near import NearSettings
from zmcache.peers.following import SILENCE_S

NEAR = NearSettings(1 << 20, 10.0)
# Enough that a part of them travels in bulk to each of two nodes, and few enough that some go one by one.
COUNTS = (5, 80)


def told(items: CacheGroup[Any]) -> NearStatistics:
    statistics = items.near_statistics()
    assert statistics is not None
    return statistics


async def kept(items: CacheGroup[Any], values: dict[str, bytes]) -> None:
    """Get them all, until all come from here."""
    for _ in range(1000):
        before = told(items).hits
        assert await items.get_many(values) == values
        if told(items).hits - before == len(values):
            return
        await asyncio.sleep(0.005)
    raise AssertionError("no copies are kept")


@pytest.mark.parametrize("count", COUNTS)
def test_who_only_ever_asks_for_many_is_given_copies_in_the_order_asked(count: int) -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            items = client.group("items")
            values = {f"k{n}": b"%d" % n for n in range(count)}
            await other.group("items").set_many(values)
            await kept(items, values)
            asked = [*values, *(f"unknown-{n}" for n in range(20)), "None"]
            await other.group("items").set("None", None)
            random.Random(1).shuffle(asked)
            for _ in range(5):
                found = await items.get_many(asked)
                assert list(found.items()) == [(key, values.get(key)) for key in asked if not key.startswith("unknown")]
            before = told(items)
            assert await items.get_many([*values, *values]) == values
            assert (told(items).hits, told(items).misses) == (before.hits + count, before.misses)

    mesh_test(test, loads=False)


def test_one_unpopular_key_leaves_no_copy() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client:
            items = client.group("items")
            values = {f"k{n}": b"1" for n in range(100)}
            await items.set_many(values)
            assert await items.get_many(values) == values
            assert told(items).entries == 0
            assert told(items).misses == 100

    mesh_test(test, loads=False)


@pytest.mark.parametrize("count", COUNTS)
def test_changes_are_seen_ones_own_at_once_and_those_of_others_when_told(count: int) -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            items, far = client.group("items"), other.group("items")
            values = {f"k{n}": b"0" for n in range(count)}
            await items.set_many(values)
            await kept(items, values)
            for n in range(100):
                values["k1"] = b"%d" % n
                await items.set("k1", values["k1"])
                assert await items.get_many(values) == values
            await kept(items, values)
            assert await items.set_many({"k2": b"7", "k3": b"7"}) == []
            values |= {"k2": b"7", "k3": b"7"}
            assert await items.get_many(values) == values
            await items.delete("k3")
            del values["k3"]
            assert await items.get_many([*values, "k3"]) == values
            await kept(items, values)
            await far.set("k1", b"theirs")
            values["k1"] = b"theirs"
            until_s = time.monotonic() + SILENCE_S
            while await items.get_many(values) != values:
                assert time.monotonic() < until_s
            await far.set("k4", b"tagged", tags=["t"])
            values["k4"] = b"tagged"
            await eventually(lambda: told(items).told_old >= 2)
            await kept(items, values)
            await items.invalidate_tags("t")
            del values["k4"]
            assert await items.get_many([*values, "k4"]) == values
            await kept(items, values)
            await items.clear()
            assert await items.get_many(values) == {}

    mesh_test(test, loads=False)


@pytest.mark.parametrize("count", COUNTS)
def test_what_was_asked_for_before_ones_own_change_is_not_kept(count: int) -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client:
            items = client.group("items")
            values = {f"k{n}": b"0" for n in range(count)}
            await items.set_many(values)
            await kept(items, values)
            for n in range(1, 100):
                await items.set_many(dict.fromkeys(values, b"%d" % n))
                asking = [asyncio.create_task(items.get_many(values)) for _ in range(2)]
                await asyncio.sleep(0)
                await items.set("k1", b"mine")
                assert (await items.get_many(values))["k1"] == b"mine"
                await asyncio.gather(*asking)
                assert (await items.get_many(values))["k1"] == b"mine"
                assert await items.get("k1") == b"mine"

    mesh_test(test, loads=False)


@pytest.mark.parametrize("count", COUNTS)
def test_what_is_here_is_given_while_its_owner_hangs_and_a_cancelled_call_leaves_nothing_behind(count: int) -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR, timeout=30.0) as client:
            items = client.group("items")
            values = {f"k{n}": b"0" for n in range(count)}
            others = {f"other{n}": b"1" for n in range(count)}
            await items.set_many(values | others)
            await kept(items, values)
            assert await items.get_many(others) == others
            mesh = client._mesh
            assert mesh is not None
            dispatchers = [node._parts.dispatcher for node in cluster.nodes.values()]
            serving = {dispatcher: dispatcher.on_frame for dispatcher in dispatchers}
            for dispatcher in serving:
                dispatcher.on_frame = lambda peer, frame: None  # type: ignore[method-assign]
            assert await items.get_many(values) == values
            # Some of which nobody has asked for yet, and some that would be kept now.
            call = asyncio.create_task(items.get_many([*values, *others, *(f"new{n}" for n in range(count))]))
            await eventually(lambda: any(channel.unanswered_gets() for channel in mesh.used))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await eventually(lambda: not any(channel.unanswered_gets() for channel in mesh.used))
            for dispatcher, on_frame in serving.items():
                dispatcher.on_frame = on_frame  # type: ignore[method-assign]
            assert await items.get_many([*values, *others]) == values | others

    mesh_test(test, loads=False)


def test_calls_that_are_cancelled_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_module, "_LEAST_PRUNED", 10)

    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client:
            items = client.group("items")
            for n in range(50):
                keys = [f"k{n}-{at}" for at in range(20)]
                for _ in range(3):
                    await items.get_many(keys)
                call = asyncio.create_task(items.get_many(keys))
                await asyncio.sleep(0)
                call.cancel()
                await asyncio.wait([call])
            near = client._raws[0]._near
            assert near is not None
            assert len(near.copies._asked) < 100

    mesh_test(test, loads=False)
