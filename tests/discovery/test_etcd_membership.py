"""Members through a real etcd that is well: who is seen, what people write under the prefix, and how watches fail."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from etcd_access import etcd_client, key_of
from etcd_fixture import LEASE_S, Listener, joined, member, wait_until, zmcache_threads

from zmcache.discovery import EtcdDiscovery, Snapshot
from zmcache.discovery.etcd.connection import Connection, Watch, WatchBatch, WatchEnded
from zmcache.discovery.etcd.etcd3_import import load_etcd3
from zmcache.embedded_etcd import EmbeddedEtcd
from zmcache.errors import ConfigError, LifecycleError

A, B, C = member("a", 7401), member("b", 7402), member("c", 7403)


def test_nodes_see_each_other_come_change_and_leave(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        async with joined(cluster, shared_etcd.endpoint, A) as (_, seen_by_a):
            async with joined(cluster, shared_etcd.endpoint, B) as (b, seen_by_b):
                await seen_by_a.wait_ids("a", "b")
                assert seen_by_b.ids == {"a", "b"}
                await b.update(B._replace(state="leaving"))
                await wait_until(lambda: seen_by_a.snapshots[-1].members[1].state == "leaving")
                await wait_until(lambda: seen_by_a.snapshots[-1] == seen_by_b.snapshots[-1])
                started = time.monotonic()
            assert time.monotonic() - started < 1.0
            await seen_by_a.wait_ids("a", limit_s=1.0)

    asyncio.run(scenario())


def test_clusters_in_one_etcd_do_not_see_each_other(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        async with (
            joined(f"{cluster}x", shared_etcd.endpoint, A),
            joined(cluster, shared_etcd.endpoint, B) as (_, seen),
        ):
            assert seen.ids == {"b"}

    asyncio.run(scenario())


def test_the_record_is_json_a_person_can_read(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        async with joined(cluster, shared_etcd.endpoint, member("é", zone="z1", weight=0.5)):
            with etcd_client(shared_etcd.endpoint) as client:
                value, _ = client.get(key_of(cluster, "é"))
        assert json.loads(value) == {
            "endpoint": "127.0.0.1:7401", "weight": 0.5, "zone": "z1", "state": "serving", "protocol": 16,
        }  # fmt: skip

    asyncio.run(scenario())


def test_stop_leaves_no_key_and_no_thread(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        async with joined(cluster, shared_etcd.endpoint, A) as (discovery, _):
            assert discovery.statistics().registered
            with pytest.raises(LifecycleError):
                await discovery.start(A, lambda _: None, lambda: None)
        with etcd_client(shared_etcd.endpoint) as client:
            assert client.get(key_of(cluster, "a")) == (None, None)
        assert zmcache_threads() == []

    asyncio.run(scenario())


GARBAGE = [
    b"", b"\xff\xfe", b"not json", b"[]", b"null", b"7", b"{}", b'{"endpoint": 7}', b'{"endpoint": ""}',
    b'{"endpoint": "h:1", "weight": 0}', b'{"endpoint": "h:1", "weight": 1e9}', b'{"endpoint": "h:1", "weight": NaN}',
    b'{"endpoint": "h:1", "weight": true}', b'{"endpoint": "h:1", "state": "dreaming"}', b'{"endpoint": "h:1", "zone": []}',
    b'{"endpoint": "h:1", "protocol": 1.5}', b"[" * 100_000,
]  # fmt: skip


def test_garbage_under_the_prefix_is_said_once_and_harms_nobody(
    shared_etcd: EmbeddedEtcd, cluster: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with etcd_client(shared_etcd.endpoint) as client:
            for number, value in enumerate(GARBAGE):
                client.put(key_of(cluster, f"g{number}"), value)
            client.put(key_of(cluster, "one/two"), '{"endpoint": "h:1"}')
            client.put(key_of(cluster, ""), '{"endpoint": "h:1"}')
            async with joined(cluster, shared_etcd.endpoint, A, resync_s=0.1) as (a, seen):
                assert seen.ids == {"a"}
                for value in GARBAGE:
                    client.put(key_of(cluster, "late"), value)
                client.put(key_of(cluster, "b"), '{"endpoint": "h:2", "colour": "a newer node says more"}')
                await seen.wait_ids("a", "b")
                client.put(key_of(cluster, "b"), "spoiled")
                await seen.wait_ids("a")
                resyncs = a.statistics().resyncs
                await wait_until(lambda: a.statistics().resyncs >= resyncs + 2)
                assert a.statistics().connected
                assert a.statistics().ignored_records >= len(GARBAGE)

    with caplog.at_level(logging.WARNING, "zmcache.discovery"):
        asyncio.run(scenario())
    said = [record.message for record in caplog.records if "ignored" in record.message]
    assert len([line for line in said if key_of(cluster, "g0") in line]) == 1
    assert len(said) <= 20, "the log was flooded"


def test_changes_arrive_after_etcd_was_compacted(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        async with joined(cluster, shared_etcd.endpoint, A) as (_, seen):
            with etcd_client(shared_etcd.endpoint) as client:
                for number in range(20):
                    client.put("/elsewhere", str(number))
                client.compact(client.get_response("/elsewhere").header.revision, physical=True)
            async with joined(cluster, shared_etcd.endpoint, B):
                await seen.wait_ids("a", "b")

    asyncio.run(scenario())


def test_a_watch_from_a_compacted_revision_ends_and_says_so(shared_etcd: EmbeddedEtcd) -> None:
    told: list[WatchBatch | WatchEnded] = []

    async def scenario() -> None:
        with etcd_client(shared_etcd.endpoint) as client:
            for number in range(3):
                client.put("/elsewhere", str(number))
            client.compact(client.get_response("/elsewhere").header.revision)
        conn = Connection(load_etcd3(), shared_etcd.endpoint, 2.0)
        watch = conn.watch(b"/zmcache/", 1, told.append)
        await wait_until(lambda: bool(told))
        watch.cancel()
        conn.close()

    asyncio.run(scenario())
    assert len(told) == 1
    assert isinstance(told[0], WatchEnded)
    assert "compacted" in told[0].cause


def test_a_watch_that_is_cut_off_is_opened_anew_and_misses_nothing(
    shared_etcd: EmbeddedEtcd, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Watch] = []
    real = Connection.watch

    def remember(self: Connection, *args: Any) -> Watch:
        opened.append(real(self, *args))
        return opened[-1]

    async def scenario() -> None:
        async with joined(cluster, shared_etcd.endpoint, A) as (a, seen):
            await wait_until(lambda: bool(opened))
            opened[0]._call.cancel()
            async with joined(cluster, shared_etcd.endpoint, B):
                await seen.wait_ids("a", "b")
            await seen.wait_ids("a")
            await wait_until(lambda: a.statistics().watch_restarts == 1)
            assert a.statistics().outages == 0

    monkeypatch.setattr(Connection, "watch", remember)
    asyncio.run(scenario())


def test_a_watch_that_hangs_in_silence_is_found_out_by_listing(
    shared_etcd: EmbeddedEtcd, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Connection.watch
    monkeypatch.setattr(Connection, "watch", lambda self, _, revision, put: real(self, b"/silence/", revision, put))

    async def scenario() -> None:
        async with (
            joined(cluster, shared_etcd.endpoint, A, resync_s=0.2) as (a, seen),
            joined(cluster, shared_etcd.endpoint, B),
        ):
            await seen.wait_ids("a", "b")
            await wait_until(lambda: a.statistics().watch_restarts >= 1)

    asyncio.run(scenario())


def test_a_dead_endpoint_is_passed_over(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        async with joined(cluster, ["127.0.0.1:1", shared_etcd.endpoint], A) as (a, seen):
            assert seen.ids == {"a"}
            assert a.statistics().endpoint == shared_etcd.endpoint
            assert a.statistics().outages == 0

    asyncio.run(scenario())


def test_many_nodes_agree_on_members_and_revision(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def scenario() -> None:
        nodes = [EtcdDiscovery(cluster, [shared_etcd.endpoint], lease_s=LEASE_S) for _ in range(8)]
        seen = [Listener() for _ in nodes]
        await asyncio.gather(
            *(
                node.start(member(f"n{number}"), listener.on_snapshot, listener.on_lost)
                for number, (node, listener) in enumerate(zip(nodes, seen, strict=True))
            )
        )

        def last() -> set[Snapshot]:
            return {listener.snapshots[-1] for listener in seen}

        await wait_until(lambda: len(last()) == 1 and len(next(iter(last())).members) == 8, last)
        await asyncio.gather(*(node.stop() for node in nodes))

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("cluster_name", "endpoints", "settings"),
    [
        ("a/b", ["h:1"], {}), ("", ["h:1"], {}), ("c", [], {}), ("c", "h:1", {}), ("c", ["h"], {}), ("c", ["h:x"], {}),
        ("c", ["http://h:1"], {}), ("c", ["h:0"], {}), ("c", ["h:1"], {"lease_s": 0}), ("c", ["h:1"], {"resync_s": -1}),
    ],
)  # fmt: skip
def test_settings_that_can_never_work_are_refused(cluster_name: str, endpoints: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        EtcdDiscovery(cluster_name, endpoints, **settings)
