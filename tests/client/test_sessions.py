"""When a client believes that it was told everything: neither less, which costs copies and tells watchers of losses that there were not, nor more."""

from __future__ import annotations

import asyncio
import time

from mesh_fixture import Cluster, mesh_test
from test_near import NEAR, eventually_reads, hits, kept
from test_watch import watching

from zmcache.client.following import BEAT_S
from zmcache.node.followers import SILENT_S


def test_news_that_comes_right_behind_the_answer_to_how_much_was_told_is_no_loss() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a")
        followers = cluster.nodes["a"]._followers
        assert followers is not None
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


def test_who_was_forgotten_before_it_was_ever_told_anything_believes_its_copies_no_more() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client(near=NEAR) as client, cluster.client() as other:
            near, far = client.group("items"), other.group("items")
            await far.set("k", b"1")
            await kept(near, "k", b"1")
            owner = cluster.nodes["a"].ring().owner("k").node_id
            followers = cluster.nodes[owner]._followers
            assert followers is not None
            # As long as a program that is suspended says nothing.
            clock = followers._clock
            followers._clock = lambda: clock() + SILENT_S + 1
            followers._sweep()
            followers._clock = clock
            assert len(followers) == 0
            before = hits(near)
            assert await near.get("k") == b"1"
            assert hits(near) == before + 1
            await far.set("k", b"2")
            await asyncio.sleep(0)
            await eventually_reads(near, "k", b"2")

    mesh_test(test, loads=False)
