"""etcd that is killed, stopped, emptied, or was never there: each test has an etcd of its own to maltreat."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from etcd_access import etcd_client, key_of
from etcd_fixture import LEASE_S, Listener, joined, member, wait_until, zmcache_threads

from zmcache.discovery import EtcdDiscovery, LastSeen, Snapshot
from zmcache.embedded_etcd import EmbeddedEtcd
from zmcache.errors import DiscoveryError

A, B = member("a", 7401), member("b", 7402)


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody answers: it is taken, but not listened at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


async def kill(etcd: EmbeddedEtcd) -> None:
    """SIGKILL, and wait until the process is gone."""
    pid = etcd.pid
    os.kill(pid, signal.SIGKILL)

    def is_gone() -> bool:
        try:
            return etcd.pid != pid
        except DiscoveryError:
            return True

    await wait_until(is_gone)


def test_the_last_snapshot_stands_while_etcd_is_dead_and_is_right_again_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        async with (
            EmbeddedEtcd() as etcd,
            joined("c", etcd.endpoint, A) as (a, seen_by_a),
            joined("c", etcd.endpoint, B) as (b, seen_by_b),
        ):
            await seen_by_a.wait_ids("a", "b")
            before = (len(seen_by_a.snapshots), len(seen_by_b.snapshots))
            await kill(etcd)
            await wait_until(lambda: not a.statistics().connected)
            await asyncio.sleep(3.0)  # not for something to happen: for nothing to
            assert (len(seen_by_a.snapshots), len(seen_by_b.snapshots)) == before
            with pytest.raises(DiscoveryError, match="away"):
                await b.update(B._replace(weight=3.0))
            await etcd.start()
            await wait_until(lambda: a.statistics().connected and b.statistics().connected)
            # What could not be published is published now.
            await wait_until(lambda: seen_by_a.snapshots[-1].members == (A, B._replace(weight=3.0)))
            async with joined("c", etcd.endpoint, member("new")):
                await seen_by_a.wait_ids("a", "b", "new")
            await seen_by_a.wait_ids("a", "b")
            assert not seen_by_a.ever_missing("a")

    with caplog.at_level(logging.WARNING, "zmcache.discovery"):
        asyncio.run(scenario())
    said = [record.message for record in caplog.records]
    assert len([line for line in said if "is away" in line]) == 2, "once for each of the two nodes"
    assert len([line for line in said if "is back" in line]) == 2


def test_etcd_stopped_for_longer_than_a_lease_is_noticed_and_drops_nobody() -> None:
    async def scenario() -> None:
        async with (
            EmbeddedEtcd() as etcd,
            joined("c", etcd.endpoint, A) as (a, seen_by_a),
            joined("c", etcd.endpoint, B) as (b, seen_by_b),
        ):
            await seen_by_a.wait_ids("a", "b")
            both_seen = len(seen_by_a.snapshots)
            os.kill(etcd.pid, signal.SIGSTOP)
            await wait_until(lambda: not a.statistics().connected and not b.statistics().connected, limit_s=LEASE_S)
            await asyncio.sleep(LEASE_S + 1.0)
            os.kill(etcd.pid, signal.SIGCONT)
            await wait_until(lambda: a.statistics().connected and b.statistics().connected)
            with etcd_client(etcd.endpoint) as client:
                await wait_until(lambda: len(list(client.get_prefix(key_of("c", "")))) == 2)
            await wait_until(lambda: a.statistics().registered and b.statistics().registered)
            assert all(len(s.members) == 2 for s in seen_by_a.snapshots[both_seen:] + seen_by_b.snapshots)

    asyncio.run(scenario())


def test_etcd_that_lost_all_its_data_is_filled_again_and_drops_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            EmbeddedEtcd(folder=tmp_path) as etcd,
            joined("c", etcd.endpoint, A) as (a, seen_by_a),
            joined("c", etcd.endpoint, B) as (b, seen_by_b),
        ):
            await seen_by_a.wait_ids("a", "b")
            with etcd_client(etcd.endpoint) as client:
                for number in range(50):
                    client.put("/elsewhere", str(number))
            await b.update(B._replace(weight=2.0))
            await wait_until(lambda: seen_by_a.snapshots[-1].revision > 50)
            full = len(seen_by_a.snapshots)
            await kill(etcd)
            shutil.rmtree(tmp_path / "data")
            await etcd.start()
            await wait_until(lambda: seen_by_a.losses == 1 and seen_by_b.losses == 1)
            with etcd_client(etcd.endpoint) as client:
                await wait_until(lambda: len(list(client.get_prefix(key_of("c", "")))) == 2)
            assert all(len(snapshot.members) == 2 for snapshot in seen_by_a.snapshots[full - 1 :])
            # And changes go on, at revisions above all that were told before (the listener checks).
            await b.update(B._replace(weight=4.0))
            await wait_until(lambda: seen_by_a.snapshots[-1].members[1].weight == 4.0)
            assert seen_by_a.snapshots[-1].revision > 50
            assert a.statistics().lease_losses == 1

    asyncio.run(scenario())


def test_a_node_that_died_with_the_data_is_dropped_once_the_others_had_time_to_return(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with EmbeddedEtcd(folder=tmp_path) as etcd, joined("c", etcd.endpoint, A) as (_, seen):
            async with joined("c", etcd.endpoint, B):
                await seen.wait_ids("a", "b")
                await kill(etcd)
                shutil.rmtree(tmp_path / "data")
            await etcd.start()
            await wait_until(lambda: seen.losses == 1)
            assert seen.ids == {"a", "b"}
            await seen.wait_ids("a", limit_s=LEASE_S * 2)

    asyncio.run(scenario())


def test_the_second_endpoint_takes_over_when_the_first_is_stopped() -> None:
    async def scenario() -> None:
        # Two etcds that know nothing of each other: enough to see that the other one is gone to.
        async with (
            EmbeddedEtcd() as first,
            EmbeddedEtcd() as second,
            joined("c", [first.endpoint, second.endpoint], A) as (a, seen),
        ):
            assert a.statistics().endpoint == first.endpoint
            os.kill(first.pid, signal.SIGSTOP)
            await wait_until(lambda: a.statistics().endpoint == second.endpoint and a.statistics().connected)
            assert seen.ids == {"a"}
            assert a.statistics().outages == 0

    asyncio.run(scenario())


def test_start_without_etcd_gives_up_with_one_line(nobody: str) -> None:
    async def scenario() -> None:
        discovery, listener = EtcdDiscovery("c", [nobody, "127.0.0.1:1"], start_timeout_s=0.5), Listener()
        started = time.monotonic()
        with pytest.raises(DiscoveryError) as failed:
            await discovery.start(A, listener.on_snapshot, listener.on_lost)
        assert 0.4 < time.monotonic() - started < 2.0
        line = rf"etcd at {re.escape(nobody)}, 127\.0\.0\.1:1 could not be used within 0\.5 s: .*[Rr]efused.*"
        assert re.fullmatch(line, str(failed.value)), str(failed.value)
        assert listener.snapshots == []
        assert zmcache_threads() == []

    asyncio.run(scenario())


def test_start_can_be_cancelled_and_leaves_nothing(nobody: str) -> None:
    async def scenario() -> None:
        discovery, listener = EtcdDiscovery("c", [nobody]), Listener()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(discovery.start(A, listener.on_snapshot, listener.on_lost), 0.3)
        assert zmcache_threads() == []

    asyncio.run(scenario())


def test_start_without_etcd_begins_with_the_members_last_seen_and_goes_on_trying(tmp_path: Path) -> None:
    file = LastSeen(tmp_path / "members.json")

    async def scenario() -> None:
        etcd = EmbeddedEtcd()
        await etcd.start()
        async with joined("c", etcd.endpoint, B), joined("c", etcd.endpoint, A, last_seen=file) as (a, seen):
            await seen.wait_ids("a", "b")
            await a.update(A._replace(state="leaving"))
            await wait_until(lambda: seen.snapshots[-1].members[0].state == "leaving")
            last = seen.snapshots[-1]
        await kill(etcd)
        async with joined("c", etcd.endpoint, A, last_seen=file) as (a, seen):
            # Ourselves as we are now: what was saved says that we were leaving.
            assert seen.snapshots[0].revision >= last.revision
            assert A in seen.snapshots[0].members
            assert not a.statistics().connected
            await etcd.start()
            await wait_until(lambda: a.statistics().registered)
            async with joined("c", etcd.endpoint, member("new")):
                await wait_until(lambda: "new" in seen.ids)
        await etcd.stop()

    asyncio.run(scenario())


def test_members_last_seen_do_not_stand_in_while_etcd_is_there(
    tmp_path: Path, shared_etcd: EmbeddedEtcd, cluster: str
) -> None:
    file = LastSeen(tmp_path / "members.json")
    file.save(cluster, Snapshot(10**9, (A, B)))

    async def scenario() -> None:
        async with joined(cluster, ["127.0.0.1:1", shared_etcd.endpoint], A, last_seen=file) as (_, seen):
            assert seen.ids == {"a"}
        assert file.load(cluster) == seen.snapshots[-1]

    asyncio.run(scenario())


def test_stop_is_quick_while_etcd_hangs_or_is_dead() -> None:
    async def scenario() -> None:
        async with EmbeddedEtcd() as etcd:
            async with joined("c", etcd.endpoint, A), joined("c", etcd.endpoint, B):
                os.kill(etcd.pid, signal.SIGSTOP)
                started = time.monotonic()
            assert time.monotonic() - started < 2 * 2.2
            os.kill(etcd.pid, signal.SIGCONT)
            async with joined("c", etcd.endpoint, A) as (a, _):
                await kill(etcd)
                await wait_until(lambda: not a.statistics().connected)
                started = time.monotonic()
            assert time.monotonic() - started < 1.0
        assert zmcache_threads() == []

    asyncio.run(scenario())


def test_a_loop_closed_without_stop_lets_the_lease_go(shared_etcd: EmbeddedEtcd, cluster: str) -> None:
    async def start_only() -> None:
        discovery = EtcdDiscovery(cluster, [shared_etcd.endpoint], lease_s=LEASE_S)
        await discovery.start(A, lambda _: None, lambda: None)

    asyncio.run(start_only())
    with etcd_client(shared_etcd.endpoint) as client:
        client.put(key_of(cluster, "b"), '{"endpoint": "h:1"}')  # something to tell a loop that is no more
        deadline = time.monotonic() + 10
        while zmcache_threads() or client.get(key_of(cluster, "a"))[0] is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
