"""A real cluster under load while everything around it changes: nobody who reads may notice."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from counting_node import CLUSTER
from etcd_access import etcd_client, key_of
from eventually import answered
from real_cluster import LEASE_S, real_cluster
from steady_readers import Readers

import zmcache


def compact(etcd: Any) -> None:
    """Make a history, and make etcd forget it."""
    for number in range(20):
        etcd.put("/elsewhere", str(number))
    etcd.compact(etcd.get("/elsewhere")[1].mod_revision)


async def lease_of(etcd: Any, node_id: str, limit_s: float) -> int:
    """The lease under which a node is registered; it may be about to register anew."""

    async def registration() -> Any:
        return (await asyncio.to_thread(etcd.get, key_of(CLUSTER, node_id)))[1]

    found = await answered(
        registration, lambda found: found is not None, what=f"{node_id} is registered", within_s=limit_s
    )
    return int(found.lease_id)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_no_get_fails_while_nodes_join_leave_and_die_and_etcd_comes_and_goes(tmp_path: Path) -> None:
    away_s = float(os.environ.get("ZMCACHE_TEST_ETCD_AWAY_S", "30"))

    async def main() -> None:
        async with (
            real_cluster(tmp_path, "a", "b", "c") as cluster,
            zmcache.connect(",".join(cluster.addresses.values()), timeout=5) as client,
            Readers(client) as readers,
        ):
            await readers.wait_gets(500)

            await cluster.begin("d")
            await cluster.wait_rest(("a", "b", "c", "d"), LEASE_S)
            await readers.wait_gets(500)

            cluster.nodes["b"].send(signal.SIGTERM)
            assert await asyncio.to_thread(cluster.nodes["b"].wait_end) == 0
            await cluster.wait_rest(("a", "c", "d"), LEASE_S)
            await readers.wait_gets(500)

            os.kill(cluster.etcd.pid, signal.SIGKILL)
            gone_until_s = time.monotonic() + away_s
            while time.monotonic() < gone_until_s:
                await readers.wait_gets(100)
            await cluster.etcd.stop()
            await cluster.etcd.start()
            await cluster.wait_rest(("a", "c", "d"), 15 + LEASE_S)
            await readers.wait_gets(500)

            with etcd_client(cluster.etcd.endpoint) as etcd:
                await asyncio.to_thread(compact, etcd)
                await readers.wait_gets(500)
                await cluster.wait_rest(("a", "c", "d"), LEASE_S)

                lease_id = await lease_of(etcd, "c", 5 * LEASE_S)
                await asyncio.to_thread(etcd.revoke_lease, lease_id)
                await readers.wait_gets(500)
                await cluster.wait_rest(("a", "c", "d"), 2 * LEASE_S)

            cluster.nodes["d"].send(signal.SIGKILL)
            await readers.wait_gets(500)
            await cluster.wait_rest(("a", "c"), 2 * LEASE_S + 2)
            await readers.wait_gets(500)
        assert readers.failures == []
        print(f"{readers.gets} gets, the slowest {readers.slowest_s:.2f} s")

    asyncio.run(main())
