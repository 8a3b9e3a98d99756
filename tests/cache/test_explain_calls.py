"""What a program is told of a key, the same over each kind of connection."""

from __future__ import annotations

import asyncio

import pytest
from cache_worlds import World, in_each_world
from mesh_fixture import Cluster, mesh_test

import zmcache
from zmcache.core.explained import Kept, NodeExplanation


def only(node: NodeExplanation) -> Kept:
    (kept,) = node.found
    return kept


def owner(explanation: zmcache.Explanation) -> NodeExplanation:
    assert explanation.nodes[0].node_id == explanation.owners[0]
    return explanation.nodes[0]


@in_each_world
async def test_a_value_is_explained_by_its_owner(world: World) -> None:
    await world.other.set("k", b"12345", ttl=100)
    told = await world.one.explain("k")
    assert (told.group, told.key, told.near) == ("items", "k", None)
    node = owner(told)
    assert node.error is None
    assert node.state in ("here", "up")
    assert node.same_ring
    kept = only(node)
    assert (kept.where, kept.size, kept.is_fresh) == ("store", 5, True)
    assert kept.age_s is not None
    assert 0 <= kept.age_s < 30
    assert kept.ttl_s is not None
    assert 60 < kept.ttl_s <= 100
    assert kept.ttl_s == kept.kept_s
    assert kept.version


@in_each_world
async def test_what_does_not_end_has_no_remaining_life(world: World) -> None:
    await world.one.set("k", None, ttl=None)
    kept = only(owner(await world.one.explain("k")))
    assert (kept.where, kept.ttl_s, kept.kept_s, kept.is_fresh, kept.size) == ("store", None, None, True, 0)


@in_each_world
async def test_a_miss_says_why(world: World) -> None:
    assert owner(await world.one.explain("k")).missed is None
    assert await world.one.get("k") is None
    node = owner(await world.one.explain("k"))
    assert node.missed is not None
    assert node.missed.startswith("it was never seen there")
    assert node.missed_ago_s is not None
    await world.one.set("k", b"1")
    await world.one.delete("k")
    assert await world.one.get("k") is None
    node = owner(await world.one.explain("k"))
    assert node.missed == "it was deleted"
    assert only(node).where == "deleted"


@in_each_world
async def test_a_cleared_group_says_so_of_what_was_there(world: World) -> None:
    await world.one.set("k", b"1")
    await world.one.clear()
    assert await world.one.get("k") is None
    assert owner(await world.one.explain("k")).missed == "the group was cleared"


@in_each_world
async def test_a_value_that_a_caller_makes_is_leased_to_it(world: World) -> None:
    begun, made = asyncio.Event(), asyncio.Event()

    async def make() -> bytes:
        begun.set()
        await made.wait()
        return b"1"

    call = asyncio.create_task(world.other.get_or_set("k", make))
    await begun.wait()
    kept = only(owner(await world.one.explain("k")))
    assert kept.where == "being made by a caller"
    assert kept.ttl_s is not None
    assert 0 < kept.ttl_s <= 10
    made.set()
    await call
    node = owner(await world.one.explain("k"))
    assert only(node).where == "store"
    assert node.took_s is not None


@in_each_world
async def test_explaining_counts_as_nothing(world: World) -> None:
    await world.one.set("k", b"1")
    before = [await world.figure(name) for name in ("hits", "hot_hits", "misses", "loads", "asked", "entries")]
    for key in ("k", "nothing"):
        await world.one.explain(key)
    after = [await world.figure(name) for name in ("hits", "hot_hits", "misses", "loads", "asked", "entries")]
    assert after == before


@in_each_world
async def test_a_key_that_cannot_be_is_refused(world: World) -> None:
    with pytest.raises(zmcache.InvalidKey):
        await world.one.explain("")


def test_a_group_that_no_node_knows_is_said_to_be_unknown() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client() as client:
            with pytest.raises(zmcache.UnknownGroup):
                await client.group("others").explain("k")

    mesh_test(test)
