"""When a client believes that it was told everything: neither less, which costs copies and tells watchers of losses that there were not, nor more."""

from __future__ import annotations

import time

from eventually import eventually
from mesh_fixture import Cluster, mesh_test
from test_near import NEAR, Wire, kept
from test_watch import watching

from zmcache.client.near import NearSettings
from zmcache.node.followers import SILENT_S
from zmcache.peers.following import BEAT_S


def test_news_that_comes_right_behind_the_answer_to_how_much_was_told_is_no_loss() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a")
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            near, far = client.group("items"), other.group("items")
            await far.set("kept", b"1")
            await kept(near, "kept", b"1")
            async with watching(near, key) as seen:
                until_s = time.monotonic() + 3 * BEAT_S
                number = 0
                while time.monotonic() < until_s:
                    number += 1
                    await far.set(key, b"%d" % number)
            assert len(seen.updates) > 100
            assert not any(update.resumed for update in seen.updates)
            told = near.near_statistics()
            assert told is not None
            assert told.lost == 0

    mesh_test(test, loads=False)


def test_a_value_that_did_not_come_is_told_of_however_soon_it_was_after_another_that_did_not() -> None:
    async def test(cluster: Cluster) -> None:
        tap = Wire(7)
        tap.tap(cluster)
        async with cluster.client() as client, cluster.client() as other:
            far = other.group("items")
            async with watching(client.group("items"), "k") as seen:
                tap.treat = tap.lose
                until_s = time.monotonic() + 2 * BEAT_S
                number = 0
                while time.monotonic() < until_s:
                    number += 1
                    await far.set("k", b"%d" % number)
                tap.treat = lambda send: send()
                await eventually(lambda: seen.values[-1] == b"%d" % number)
            before = 0
            for update in seen.updates[1:]:
                assert update.value is not None
                if not update.resumed:
                    assert before < int(update.value) <= before + update.skipped + 1, f"after {before}"
                before = int(update.value)
            assert any(update.resumed for update in seen.updates)

    mesh_test(test, loads=False)


def test_who_was_suspended_and_forgotten_before_it_was_told_anything_believes_its_copies_no_more() -> None:
    async def test(cluster: Cluster) -> None:
        away_s = 0.0
        long = NearSettings(1 << 20, 600.0)
        async with (
            cluster.client(near=long, clock=lambda: time.monotonic() + away_s) as client,
            cluster.client() as other,
        ):
            near, far = client.group("items"), other.group("items")
            await far.set("k", b"1")
            await kept(near, "k", b"1")
            owner = cluster.nodes["a"].ring().owner("k").node_id
            followers = cluster.nodes[owner]._parts.followers
            # So long does it say nothing, and hear nothing.
            away_s = SILENT_S + 2
            clock = followers._clock
            followers._clock = lambda: clock() + away_s
            followers._sweep()
            assert len(followers) == 0
            await far.set("k", b"2")
            # It hears first that the node is well, and reads only then.
            session = next(each for each in client._sessions._sessions.values() if each.channel.name == owner)
            await eventually(lambda: session.is_good)
            assert await near.get("k") == b"2"

    mesh_test(test, loads=False)
