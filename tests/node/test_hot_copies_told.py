"""Hot copies on a node: their owners tell when they are old, and what that is worth while news is lost, late, doubled or out of order.

Copies live for a minute here, so that nothing but being told makes one go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test
from news_faults import FAULTS, Wire, read_against_writer
from scripted_loader import value_of

from zmcache.core.ring import SERVING
from zmcache.node import followers as followers_module
from zmcache.peers import following
from zmcache.peers.following import SILENCE_S, Session


async def session(cluster: Cluster, here: str = "a", owner: str = "b") -> Session:
    """That in which the owner tells this node, once it is good."""
    node = cluster.nodes[here]
    channel = node._parts.mesh.channel_of(owner)
    assert channel is not None
    found = node._parts.peers.hearings._sessions.of(channel)
    await eventually(lambda: found.is_good)
    return found


async def copied(cluster: Cluster, key: str, value: bytes | None, here: str = "a") -> None:
    """Get ``key`` there until it is copied."""
    await session(cluster, here, cluster.nodes[here].ring().owner(key).node_id)
    group = cluster.group(here)

    async def is_hot() -> bool:
        item = await group.fetch(key)
        assert (None if item is None else item.value) == value
        return item is not None and item.source == "hot"

    for _ in range(1000):
        if await is_hot():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("no copy is kept")


def told(cluster: Cluster, here: str = "a") -> int:
    return cluster.group(here).statistics().hot_told_old


def test_a_hot_copy_goes_when_its_key_is_changed_at_its_owner_by_whomever() -> None:
    async def test(cluster: Cluster) -> None:
        key, a, b, c = cluster.key_of("b"), cluster.group("a"), cluster.group("b"), cluster.group("c")
        async with cluster.client() as client, cluster.client("a", route="any") as through_a:
            items = client.group("items")
            changes: list[tuple[Callable[[], Any], bytes | None]] = [
                (lambda: b.set(key, b"2"), b"2"),
                (lambda: c.set(key, b"3"), b"3"),
                (lambda: items.set(key, b"4"), b"4"),
                (lambda: items.delete(key), None),
                (lambda: items.add(key, b"6"), b"6"),
                (lambda: items.set(key, b"5", ttl=100), b"5"),
            ]
            await b.set(key, b"1")
            await copied(cluster, key, b"1")
            for change, value in changes:
                await change()
                await eventually(lambda: a.get_nowait(key) is None, within_s=1.0)
                assert await through_a.group("items").get(key) == value
                if value is not None:
                    await copied(cluster, key, value)
            assert told(cluster) == len(changes) - 1  # after the delete there was no copy
            await items.clear()
            assert await a.get(key) is None

    mesh_test(test, "a", "b", "c", loads=False, hot_ttl_s=60.0)


def test_of_a_copy_that_is_made_while_an_owner_is_first_asked_to_tell_it_tells_too() -> None:
    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        for _ in range(2):
            await a.get(key)
        assert a.get_nowait(key) == value_of(key)
        await cluster.group("b").set(key, b"new")
        await eventually(lambda: a.get_nowait(key) is None, within_s=1.0)

    mesh_test(test, hot_ttl_s=60.0)


def test_that_there_is_no_such_key_is_forgotten_when_there_is() -> None:
    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        cluster.loaders["b"].known = lambda _: False
        await session(cluster)
        for _ in range(5):
            assert await a.get(key) is None
        await cluster.group("b").set(key, b"1")
        await eventually(lambda: told(cluster) >= 1, within_s=1.0)
        assert await a.get(key) == b"1"

    mesh_test(test, hot_ttl_s=60.0, negative_ttl_s=60.0)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_read_finds_what_was_replaced_longer_ago_than_is_promised(fault: str) -> None:
    treat, promised_s, seconds = FAULTS[fault]

    async def test(cluster: Cluster) -> None:
        tap, key = Wire(7), cluster.key_of("b")
        a, b = cluster.group("a"), cluster.group("b")
        tap.tap(cluster)
        await b.set(key, b"0")
        await copied(cluster, key, b"0")
        if treat is not None:
            tap.treat = lambda send: treat(tap, send)
        reads, oldest_s = await read_against_writer(a, lambda value: b.set(key, value), seconds, key=key)
        assert reads > 100
        assert tap.heard > 0
        assert oldest_s < promised_s + 0.2, f"{reads} reads, one {oldest_s:.3f} s behind"

    mesh_test(test, loads=False, hot_ttl_s=60.0)


def test_the_copies_of_an_owner_that_cannot_be_reached_are_given_no_more_and_those_of_others_stay() -> None:
    async def test(cluster: Cluster) -> None:
        key, other, a = cluster.key_of("b"), cluster.key_of("c"), cluster.group("a")
        await copied(cluster, key, value_of(key))
        await copied(cluster, other, value_of(other))
        cluster.network.cut(endpoint("b"))
        await eventually(lambda: a.get_nowait(key) is None, within_s=1.0)
        assert a.get_nowait(other) == value_of(other)
        assert a.statistics().hot_lost == 1
        assert await a.get(key) == value_of(key)

    mesh_test(test, "a", "b", "c", hot_ttl_s=60.0)


def test_an_owner_that_does_not_say_how_much_it_has_told_is_not_believed_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "SILENCE_S", 0.7)

    async def test(cluster: Cluster) -> None:
        key, other, a = cluster.key_of("b"), cluster.key_of("c"), cluster.group("a")
        await copied(cluster, key, value_of(key))
        await copied(cluster, other, value_of(other))
        dispatcher = cluster.nodes["b"]._parts.dispatcher
        following_of = dispatcher._following
        dispatcher._following = lambda peer, request: None  # type: ignore[method-assign]
        await eventually(lambda: a.get_nowait(key) is None, within_s=2.0)
        assert a.get_nowait(other) == value_of(other)
        # As it was before there was any news: short-lived, by the group's own setting.
        for _ in range(3):
            assert await a.get(key) == value_of(key)
        assert a.get_nowait(key) == value_of(key)
        dispatcher._following = following_of  # type: ignore[method-assign]

    mesh_test(test, "a", "b", "c", hot_ttl_s=60.0)


@pytest.mark.parametrize("hears", [True, False], ids=["who hears of it", "who has not heard of it"])
def test_a_key_that_another_node_owns_is_not_read_from_a_copy_that_its_former_owner_told_of(*, hears: bool) -> None:
    async def test(cluster: Cluster) -> None:
        keys = [key for key, _ in zip(cluster.keys_of("b"), range(12), strict=False)]
        for key in keys:
            await copied(cluster, key, value_of(key))
        if not hears:
            cluster.registry.views["b"] = tuple(cluster.registry.members.values())
        await cluster.start("c", settle=hears)
        # That it serves, each builds into a ring of its own; while it joined it was a member, too, and owned nothing.
        ring_of_a = cluster.nodes["a"].ring
        await eventually(lambda: (newcomer := ring_of_a().member("c")) is not None and newcomer.state == SERVING)
        moved = [key for key in keys if cluster.nodes["c"].is_ours(key)]
        assert moved
        for key in moved:
            await cluster.group("c").set(key, b"new")
            assert await cluster.group("a").get(key) == b"new"

    mesh_test(test, hot_ttl_s=60.0, join_timeout_s=0.5)  # the newcomer waits for the word of who does not know of it


def test_an_answer_that_comes_after_the_news_of_a_newer_value_is_not_kept() -> None:
    async def test(cluster: Cluster) -> None:
        key, a, b = cluster.key_of("b"), cluster.group("a"), cluster.group("b")
        await copied(cluster, key, value_of(key))
        await b.delete(key)
        await eventually(lambda: a.get_nowait(key) is None)
        cluster.loaders["b"].gate.clear()
        old = asyncio.create_task(a.get(key))
        await eventually(lambda: cluster.loaders["b"].running == 1)
        before = cluster.nodes["b"]._parts.followers
        news = before.told
        await b.set(key, b"new")
        await eventually(lambda: before.told > news)
        cluster.loaders["b"].gate.set()
        assert await old == value_of(key)
        assert a.get_nowait(key) is None
        assert await a.get(key) == b"new"

    mesh_test(test, hot_ttl_s=60.0)


def test_a_value_with_tags_is_copied_by_no_node_however_it_is_told() -> None:
    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        await cluster.group("b").set(key, b"0")
        await copied(cluster, key, b"0")
        await cluster.group("b").set(key, b"1", tags=["t"])
        await eventually(lambda: a.get_nowait(key) is None, within_s=1.0)
        for _ in range(5):
            item = await a.fetch(key)
            assert item is not None
            assert item.source == "owner"
        async with cluster.client() as client:
            await client.group("items").invalidate_tags("t")
            assert await a.get(key) is None

    mesh_test(test, loads=False, hot_ttl_s=60.0)


def test_where_the_owner_tells_nobody_more_copies_live_for_their_time_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers_module, "_FOLLOWERS_MOST", 0)

    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        for _ in range(3):
            await a.get(key)
        assert a.get_nowait(key) == value_of(key)
        await cluster.group("b").set(key, b"new")
        cluster.clock.advance(1.0)
        assert a.get_nowait(key) is None
        assert await a.get(key) == b"new"

    mesh_test(test, hot_ttl_s=1.0)


def test_an_owner_that_nothing_popular_is_asked_of_any_more_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "RESTS_S", 1.2)

    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        await copied(cluster, key, value_of(key))
        assert await a.get(key) == value_of(key)
        found = await session(cluster)
        await eventually(lambda: found.rests)
        assert a.get_nowait(key) is None
        dispatcher = cluster.nodes["b"]._parts.dispatcher
        asked: list[object] = []
        following_of = dispatcher._following
        dispatcher._following = lambda peer, request: asked.append(request)  # type: ignore[method-assign]
        await asyncio.sleep(2 * following.BEAT_S)  # nothing is to happen
        assert not asked
        dispatcher._following = following_of  # type: ignore[method-assign]
        await copied(cluster, key, value_of(key))
        await cluster.group("b").set(key, b"new")
        await eventually(lambda: a.get_nowait(key) is None, within_s=1.0)

    mesh_test(test, hot_ttl_s=60.0)


def test_a_node_that_stops_and_begins_again_with_its_counters_at_zero_is_not_mistaken_for_itself() -> None:
    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        await copied(cluster, key, value_of(key))
        followers = cluster.nodes["b"]._parts.followers
        for follower in list(followers._followers.values()):
            followers._forget(follower)
        followers._incarnation += 1
        await cluster.group("b").set(key, b"anew")
        await eventually(lambda: a.get_nowait(key) is None, within_s=SILENCE_S)
        assert await a.get(key) == b"anew"

    mesh_test(test, hot_ttl_s=60.0)
