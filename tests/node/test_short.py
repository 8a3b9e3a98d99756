"""Copies short: how many entries have fewer holders than they are to have, as each node counts those that it answers for."""

from __future__ import annotations

from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test
from scripted_loader import ScriptedLoader


def short(cluster: Cluster, *names: str) -> dict[str, float]:
    return {name: cluster.nodes[name].statistics()["group.items.copies_short"] for name in names}


def held_first_with(cluster: Cluster, gone: str, keys: list[str]) -> dict[str, int]:
    """Of each other node: for how many keys it is the first of two holders but ``gone``, who is one of them."""
    ring = cluster.nodes["a"].ring()
    found = dict.fromkeys(sorted({"a", "b", "c"} - {gone}), 0)
    for key in keys:
        first, second = (member.node_id for member in ring.owners(key, 2))
        if gone in (first, second):
            found[second if first == gone else first] += 1
    return found


def test_while_a_holder_is_out_of_reach_its_entries_are_counted_once_each_and_after_the_repair_none() -> None:
    async def test(cluster: Cluster) -> None:
        keys = [f"k{n}" for n in range(300)]
        async with cluster.client() as client:
            assert await client.group("items").set_many(dict.fromkeys(keys, b"v")) == []
        expected = held_first_with(cluster, "c", keys)
        assert 100 < sum(expected.values()) < 300
        cluster.network.pause(endpoint("c"))
        await eventually(lambda: short(cluster, "a", "b") == expected)
        cluster.registry.drop("c")
        await eventually(lambda: short(cluster, "a", "b") == {"a": 0, "b": 0})
        cluster.network.resume(endpoint("c"))

    mesh_test(test, "a", "b", "c", loads=False, copies=2, acks=2)


def test_where_there_are_too_few_nodes_every_entry_is_short_but_no_delete_and_no_missing_key_is_an_entry() -> None:
    async def test(cluster: Cluster) -> None:
        items = cluster.group("a")
        for n in range(10):
            await items.set(f"k{n}", b"v")
        await items.delete("k0")
        assert await items.get("absent") is None
        await eventually(lambda: short(cluster, "a") == {"a": 9})
        await cluster.start("b")
        await eventually(lambda: short(cluster, "a", "b") == {"a": 0, "b": 0})

    mesh_test(test, "a", copies=2, make_loader=lambda _: ScriptedLoader(known=lambda key: key != "absent"))


def test_a_group_of_one_copy_is_never_short() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.group("a").set("k", b"v")
        await cluster.kill("b")
        assert short(cluster, "a") == {"a": 0}

    mesh_test(test, "a", "b", loads=False)


def test_a_node_that_leaves_says_when_it_has_handed_over_and_how_much() -> None:
    async def test(cluster: Cluster) -> None:
        for key, _ in zip(cluster.keys_of("b"), range(50), strict=False):
            await cluster.group("b").set(key, b"v")
        b = cluster.nodes["b"]
        assert b.statistics()["handed_over"] == 0
        await b.drain()
        told = b.statistics()
        assert (told["handed_over"], told["handover.keys"], told["handover.under_way"]) == (1, 50, 0)
        assert cluster.nodes["a"].statistics()["group.items.entries"] == 50
        # What is another's from now on is let go of here, which is neither an eviction nor the end of its life.
        await eventually(lambda: b.statistics()["group.items.let_go"] == 50)
        assert b.statistics()["group.items.entries"] == 0
        assert b.statistics()["group.items.evictions"] == b.statistics()["group.items.expirations"] == 0
        await cluster.nodes.pop("b").stop()

    mesh_test(test, "a", "b", loads=False, moved_ttl_s=0.1)


def test_a_node_says_how_it_is_before_it_serves() -> None:
    async def test(cluster: Cluster) -> None:
        cluster.nodes["a"]._parts.dispatcher.serving = False
        async with cluster.client("b") as client:
            assert (await client.statistics())["a"]["serving"] == 0

    mesh_test(test, "a", "b")
