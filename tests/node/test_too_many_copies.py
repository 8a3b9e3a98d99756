"""More is written than a holder of copies takes in: reads of it are served all the same, and what it lacks is made up for."""

from __future__ import annotations

import asyncio
from itertools import islice

from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test

from zmcache.core.wire import Limits


def test_what_a_busy_holder_was_not_sent_it_is_given_later_and_reads_find_room_meanwhile() -> None:
    async def test(cluster: Cluster) -> None:
        keys = list(islice(cluster.keys_of("a", "b"), 60))
        read = cluster.key_of("b", "c")
        await cluster.group("a").get(read)
        cluster.network.pause(endpoint("b"))
        async with asyncio.timeout(1):
            await asyncio.gather(*(cluster.group("a").set(key, b"written") for key in keys))
        reading = asyncio.create_task(cluster.group("a").get(read))
        await asyncio.sleep(0.02)
        assert not reading.done()  # and not refused
        cluster.network.resume(endpoint("b"))
        assert await reading is not None
        held = cluster.group("b").get_nowait
        assert sum(held(key) is not None for key in keys) < len(keys)
        await eventually(lambda: all(held(key) == b"written" for key in keys), within_s=10)

    mesh_test(test, "a", "b", "c", copies=2, limits=Limits(inflight_requests=40), hot_share=0.0)


def test_nodes_whose_messages_hold_little_compare_and_hand_over_all_the_same() -> None:
    async def test(cluster: Cluster) -> None:
        keys = list(islice(cluster.keys_of("a", "b"), 40))
        cluster.network.pause(endpoint("b"))
        await eventually(lambda: cluster.nodes["a"].statistics()["peer.b.suspicions"] == 1)
        for key in keys:
            await cluster.group("a").set(key, b"x" * 900)
        assert cluster.group("b").get_nowait(keys[0]) is None
        cluster.network.resume(endpoint("b"))
        held = cluster.group("b").get_nowait
        await eventually(lambda: all(held(key) is not None for key in keys), within_s=10)

    limits = Limits(keys=10, value_bytes=1000, message_bytes=4096, inflight_requests=12)
    mesh_test(test, "a", "b", copies=2, loads=False, limits=limits)
