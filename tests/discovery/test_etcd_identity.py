"""A node's own key in a real etcd: lost, edited, taken over, contested."""

from __future__ import annotations

import asyncio
import time

import pytest
from etcd_access import etcd_client, key_of
from etcd_fixture import LEASE_S, Listener, joined, member, wait_until

from zmcache.discovery import EtcdDiscovery
from zmcache.embedded_etcd import EmbeddedEtcd
from zmcache.errors import DiscoveryError

A, B, C = member("a", 7401), member("b", 7402), member("c", 7403)


def test_a_lease_revoked_by_hand_is_told_and_made_anew_under_the_same_id(
    shared_etcd: EmbeddedEtcd, cluster: str
) -> None:
    async def scenario() -> None:
        async with (
            joined(cluster, shared_etcd.endpoint, A) as (a, seen_by_a),
            joined(cluster, shared_etcd.endpoint, B) as (_, seen_by_b),
        ):
            await seen_by_a.wait_ids("a", "b")
            with etcd_client(shared_etcd.endpoint) as client:
                _, before = client.get(key_of(cluster, "a"))
                client.revoke_lease(before.lease_id)
                await wait_until(lambda: seen_by_a.losses == 1)
                await wait_until(lambda: client.get(key_of(cluster, "a"))[0] is not None)
                _, after = client.get(key_of(cluster, "a"))
            await wait_until(lambda: seen_by_b.snapshots[-1].revision == after.mod_revision)
            assert seen_by_b.ids == {"a", "b"}
            assert after.lease_id not in (0, before.lease_id)
            assert not seen_by_a.ever_missing("a")
            assert a.statistics().lease_losses == 1

    asyncio.run(scenario())


def test_a_key_deleted_by_hand_comes_back(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        async with joined(cluster, shared_etcd.endpoint, A) as (_, seen):
            with etcd_client(shared_etcd.endpoint) as client:
                client.delete(key_of(cluster, "a"))
                await wait_until(lambda: seen.losses == 1)
                await wait_until(lambda: client.get(key_of(cluster, "a"))[0] is not None)
            assert not seen.ever_missing("a")

    asyncio.run(scenario())


def test_a_key_edited_by_hand_returns_to_its_lease(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        async with joined(cluster, shared_etcd.endpoint, A, resync_s=0.2) as (_, seen):
            with etcd_client(shared_etcd.endpoint) as client:
                client.put(key_of(cluster, "a"), '{"endpoint": "127.0.0.1:7401", "weight": 9}')
                await wait_until(lambda: client.get(key_of(cluster, "a"))[1].lease_id != 0)
            await wait_until(lambda: seen.snapshots[-1].members == (A,))
            assert seen.losses == 0

    asyncio.run(scenario())


def test_a_restarted_node_takes_its_id_over_at_once(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        with etcd_client(shared_etcd.endpoint) as client:
            client.put(key_of(cluster, "a"), '{"endpoint": "127.0.0.1:7401"}', lease=client.lease(60))
            started = time.monotonic()
            async with joined(cluster, shared_etcd.endpoint, A) as (_, seen):
                assert time.monotonic() - started < 1.0
                assert seen.snapshots[-1].members == (A,)

    asyncio.run(scenario())


def test_a_node_that_moved_waits_for_its_old_lease_to_run_out(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        with etcd_client(shared_etcd.endpoint) as client:
            client.put(key_of(cluster, "a"), '{"endpoint": "127.0.0.1:9"}', lease=client.lease(2))
        async with joined(cluster, shared_etcd.endpoint, A) as (_, seen):
            assert seen.snapshots[-1].members == (A,)

    asyncio.run(scenario())


def test_a_second_node_of_the_same_id_is_refused_and_the_first_unharmed(
    shared_etcd: EmbeddedEtcd, cluster: str
) -> None:
    async def scenario() -> None:
        async with joined(cluster, shared_etcd.endpoint, A) as (_, seen):
            second = EtcdDiscovery(cluster, [shared_etcd.endpoint], lease_s=LEASE_S)
            with pytest.raises(DiscoveryError, match=r"^node id 'a' is taken by a live node at 127\.0\.0\.1:7401$"):
                await second.start(member("a", 9), Listener().on_snapshot, lambda: None)
            assert seen.snapshots[-1].members == (A,)
            assert seen.losses == 0

    asyncio.run(scenario())


def test_an_id_usurped_while_we_run_is_told_and_not_fought_over(
    shared_etcd: EmbeddedEtcd, cluster: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with joined(cluster, shared_etcd.endpoint, A) as (a, seen):
            with etcd_client(shared_etcd.endpoint) as client:
                client.put(key_of(cluster, "a"), '{"endpoint": "127.0.0.1:9"}')
                await wait_until(lambda: seen.losses == 1)
                await wait_until(lambda: seen.snapshots[-1].members == (member("a", 9),))
                assert not a.statistics().registered
                with pytest.raises(DiscoveryError, match="taken"):
                    await a.update(A)
                client.delete(key_of(cluster, "a"))
            await wait_until(lambda: a.statistics().registered)
            await wait_until(lambda: seen.snapshots[-1].members == (A,))

    asyncio.run(scenario())
    assert [record for record in caplog.records if "node id 'a' is taken" in record.message]


def test_updates_for_another_node_or_while_only_watching_are_refused(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        async with (
            joined(cluster, shared_etcd.endpoint, A) as (a, _),
            joined(cluster, shared_etcd.endpoint, None) as (watcher, seen),
        ):
            with pytest.raises(DiscoveryError, match="cannot speak for"):
                await a.update(B)
            with pytest.raises(DiscoveryError, match="only watches"):
                await watcher.update(A)
            assert seen.ids == {"a"}

    asyncio.run(scenario())
