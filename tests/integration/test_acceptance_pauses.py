"""A node that stands still (a paused machine, a swapped-out process) looks alive to TCP: who reads must not notice even so."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from eventually import eventually
from real_cluster import LEASE_S, Readers, real_cluster

import zmcache
from zmcache.core.settings import GroupSettings

# Past the lease: the others take it for gone, and it has to find its way back.
PAUSE_S = LEASE_S + 2
TIMEOUT_S = 5.0
# What a node holds becomes a copy that lives no longer than this once the ring has moved, or its lease is lost.
SHORT_LIFE_S = GroupSettings().moved_ttl_s


@pytest.mark.slow
def test_no_get_fails_while_a_node_stands_still_and_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with real_cluster(tmp_path, "a", "b", "c") as cluster:
            nodes = ",".join(cluster.addresses.values())
            async with (
                zmcache.connect(nodes, timeout=TIMEOUT_S) as by_owner,
                zmcache.connect(nodes, timeout=TIMEOUT_S, route="any") as by_any,
                Readers(by_owner) as straight,
                Readers(by_any, callers=17) as around,
            ):
                await asyncio.gather(straight.wait_gets(1000), around.wait_gets(1000))
                cluster.nodes["b"].send(signal.SIGSTOP)
                try:
                    await asyncio.sleep(PAUSE_S)
                finally:
                    cluster.nodes["b"].send(signal.SIGCONT)
                await asyncio.gather(straight.wait_gets(1000), around.wait_gets(1000))
                await cluster.wait_rest(("a", "b", "c"), LEASE_S + 2)
                await asyncio.gather(straight.wait_gets(1000), around.wait_gets(1000))
        for readers in (straight, around):
            print(f"{readers.gets} gets, the slowest {readers.slowest_s:.2f} s")
            assert readers.failures == []
            assert readers.slowest_s < TIMEOUT_S

    asyncio.run(main())


@pytest.mark.slow
def test_what_was_written_while_its_owner_stood_still_is_read_soon_after_it_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with real_cluster(tmp_path, "a", "b", "c") as cluster:
            others = f"{cluster.addresses['a']},{cluster.addresses['c']}"
            async with zmcache.connect(others, timeout=TIMEOUT_S) as client:
                items = client.group("items")
                ring = client.ring()
                key = next(key for key in map(str, range(1000)) if ring.owner(key).node_id == "b")
                await items.set(key, b"before")
                cluster.nodes["b"].send(signal.SIGSTOP)
                try:
                    await cluster.wait_rest(("a", "c"), 3 * LEASE_S)
                    await eventually(lambda: {m.node_id for m in client.ring().members} == {"a", "c"}, within_s=10)
                    await items.set(key, b"meanwhile")
                    assert await items.get(key) == b"meanwhile"
                finally:
                    cluster.nodes["b"].send(signal.SIGCONT)
                await cluster.wait_rest(("a", "b", "c"), LEASE_S + 2)
                await eventually(lambda: client.ring().owner(key).node_id == "b", within_s=10)
                async with asyncio.timeout(SHORT_LIFE_S + 1):
                    while await items.get(key) == b"before":  # noqa: ASYNC110 - a value sets no event
                        await asyncio.sleep(0.05)

    asyncio.run(main())
