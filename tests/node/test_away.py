"""A node that can reach none of the others sends who asks on to them, answers who has nobody else, and serves again once it has caught up."""

from __future__ import annotations

import pytest
from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test

from zmcache.core.wire import FORWARDED, GET, LAST, SET, Change
from zmcache.errors import PeerUnavailable


async def cut_off_a(cluster: Cluster) -> None:
    """The others, of which the memory network has no half, cannot reach each other either."""
    for name in ("b", "c"):
        cluster.network.cut(endpoint(name))
    await eventually(lambda: cluster.nodes["a"]._parts.away.is_away, within_s=10)


def test_it_sends_who_asks_on_but_answers_who_has_nobody_else() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a")
        async with cluster.client("a", timeout=3) as client:
            items = client.group("items")
            await items.set(key, b"1")
            await cut_off_a(cluster)
            refused = cluster.nodes["a"].statistics()["refused"]
            assert await items.get(key) == b"1"
            assert cluster.nodes["a"].statistics()["refused"] > refused
            # What only the others hold is a miss, as ever, for who cannot ask them.
            assert await items.get(cluster.key_of("b", "c")) is None
            assert await items.get_many([key]) == {key: b"1"}

    mesh_test(test, "a", "b", "c", copies=2, acks=1, loads=False)


def test_without_the_flag_it_says_whom_to_ask() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a")
        async with cluster.client("a", timeout=3) as client:
            await client.group("items").set(key, b"1")
            await cut_off_a(cluster)
            assert client._mesh is not None
            channel = client._mesh.channel_of("a")
            assert channel is not None
            for flags, is_answered in ((0, False), (FORWARDED, False), (FORWARDED | LAST, True)):
                sinks = Sinks()
                channel.open_batch(sinks, GET, "items", flags=flags).add(key, key, client._mesh.clock() + 2)
                await eventually(lambda sinks=sinks: sinks.error or sinks.answered)  # type: ignore[misc]
                assert sinks.answered == is_answered
                assert is_answered or isinstance(sinks.error, PeerUnavailable)

    mesh_test(test, "a", "b", "c", copies=2, acks=1, loads=False)


class Sinks:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.answered = False

    def on_answer(self, batch: object, answer: object) -> None:
        self.answered = True

    def on_failure(self, batch: object, error: Exception) -> None:
        self.error = error


def test_it_serves_again_when_it_has_what_was_written_meanwhile() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", timeout=3) as client:
            key = cluster.key_of("a", "b")
            await client.group("items").set(key, b"old")
            await cut_off_a(cluster)
            # As b does that stands in for it.
            cluster.group("b")._shard.changing.apply(Change(SET, key, b"new"))
            for name in ("b", "c"):
                cluster.network.heal(endpoint(name))
            await eventually(lambda: not cluster.nodes["a"]._parts.away.is_away, within_s=20)
            assert await client.group("items").get(key) == b"new"

    mesh_test(test, "a", "b", "c", copies=2, acks=1, loads=False)


def test_one_copy_is_all_there_is_and_is_given() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a")
        async with cluster.client("a", timeout=3) as client:
            await client.group("items").set(key, b"1")
            await cut_off_a(cluster)
            refused = cluster.nodes["a"].statistics()["refused"]
            assert await client.group("items").get(key) == b"1"
            assert cluster.nodes["a"].statistics()["refused"] == refused

    mesh_test(test, "a", "b", "c", loads=False)


@pytest.mark.parametrize("copies", [1, 2])
def test_of_two_nodes_the_one_that_is_left_serves(copies: int) -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client("a", timeout=3) as client:
            items = client.group("items")
            key = cluster.key_of("a")
            await items.set(key, b"1")
            await cluster.kill("b")
            await eventually(lambda: cluster.nodes["a"]._parts.mesh.states()["b"].value != "up", within_s=10)
            assert not cluster.nodes["a"]._parts.away.is_away
            assert await items.get(key) == b"1"

    mesh_test(test, "a", "b", copies=copies, acks=1, loads=False)
