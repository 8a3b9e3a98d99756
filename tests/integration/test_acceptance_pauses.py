"""A node that stands still (a paused machine, a swapped-out process) looks alive to TCP: who reads must not notice even so."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from real_cluster import LEASE_S, real_cluster
from steady_readers import Readers

import zmcache
from zmcache.core.settings import GroupSettings

# Past the lease: the others take it for gone, and it has to find its way back.
PAUSE_S = LEASE_S + 2
TIMEOUT_S = 5.0
# By then everyone who pings it has found that it does not answer, and writes go to who stands in for it.
SUSPECTED_S = 2.0
# What a node holds becomes a copy that lives no longer than this once it may have missed a write.
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
@pytest.mark.parametrize("lease_s", [LEASE_S, 30.0], ids=["past its lease", "within its lease"])
def test_what_was_written_while_its_owner_stood_still_is_not_undone_for_long(tmp_path: Path, lease_s: float) -> None:
    async def main() -> None:
        async with real_cluster(tmp_path, "a", "b", "c", lease_s=lease_s) as cluster:
            others = f"{cluster.addresses['a']},{cluster.addresses['c']}"
            async with zmcache.connect(others, timeout=TIMEOUT_S) as client:
                items, ring = client.group("items"), client.ring()
                key = next(key for key in map(str, range(1000)) if ring.owner(key).node_id == "b")
                await items.set(key, b"before")
                cluster.nodes["b"].send(signal.SIGSTOP)
                try:
                    if lease_s == LEASE_S:
                        await cluster.wait_rest(("a", "c"), 3 * LEASE_S)
                    else:
                        await asyncio.sleep(SUSPECTED_S)
                    await items.set(key, b"meanwhile")
                finally:
                    cluster.nodes["b"].send(signal.SIGCONT)
            await cluster.wait_rest(("a", "b", "c"), LEASE_S + 2)
            # Of nobody but the one that was away: it owns the key and answers for itself.
            async with (
                zmcache.connect(cluster.addresses["b"], route="any") as client,
                asyncio.timeout(SHORT_LIFE_S + 1),
            ):
                while await client.group("items").get(key) == b"before":  # noqa: ASYNC110 - a value sets no event
                    await asyncio.sleep(0.05)

    asyncio.run(main())


@pytest.mark.slow
def test_a_write_that_waited_at_a_node_which_stood_still_does_not_undo_a_later_one_for_long(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            real_cluster(tmp_path, "a", "b", "c", lease_s=30.0) as cluster,
            zmcache.connect(",".join(cluster.addresses.values()), timeout=TIMEOUT_S) as client,
        ):
            items, ring = client.group("items"), client.ring()
            keys = [key for key in map(str, range(10_000)) if ring.owner(key).node_id == "b"][:300]
            await asyncio.gather(*(items.set(key, b"before") for key in keys))
            cluster.nodes["b"].send(signal.SIGSTOP)
            try:
                # Sent to their owner, which does not answer, then to who stands in for it; the second ones only to that.
                await asyncio.gather(*(items.set(key, b"first") for key in keys))
                await asyncio.gather(*(items.set(key, b"second") for key in keys))
            finally:
                cluster.nodes["b"].send(signal.SIGCONT)
            async with zmcache.connect(cluster.addresses["b"], route="any", timeout=TIMEOUT_S) as asking:
                # Of nobody but the owner, and what waited there comes first.
                held = await asyncio.gather(*(asking.group("items").fetch(key) for key in keys))
            lives_s = [item.ttl_s for item in held if item is not None and item.value == b"first"]
            assert [life_s for life_s in lives_s if life_s is None or life_s > SHORT_LIFE_S] == []

    asyncio.run(main())


def test_a_node_that_stood_still_for_a_moment_counts_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with real_cluster(tmp_path, "a", "b") as cluster, zmcache.connect(cluster.addresses["b"]) as client:
            cluster.nodes["b"].send(signal.SIGSTOP)
            await asyncio.sleep(1.3)
            cluster.nodes["b"].send(signal.SIGCONT)
            async with asyncio.timeout(5):
                while (await client.statistics()).get("b", {}).get("standstills") != 1:  # noqa: ASYNC110 - counters set no event
                    await asyncio.sleep(0.05)

    asyncio.run(main())
