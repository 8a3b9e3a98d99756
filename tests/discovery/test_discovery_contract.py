"""What `Discovery` promises, held by every kind of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from etcd_fixture import LEASE_S, Listener, member

from zmcache.core.ring import Member
from zmcache.discovery import Discovery, EtcdDiscovery, StaticDiscovery
from zmcache.errors import DiscoveryError

ME = member("me", zone="attic", weight=2.0)
Make = Callable[[], Discovery]


@pytest.fixture(params=["static", "etcd"])
def make(request: pytest.FixtureRequest, cluster: str) -> Make:
    if request.param == "static":
        return lambda: StaticDiscovery([ME])
    endpoint = request.getfixturevalue("shared_etcd").endpoint
    return lambda: EtcdDiscovery(cluster, [endpoint], lease_s=LEASE_S)


def test_start_delivers_this_node_as_it_was_described_before_it_returns(make: Make) -> None:
    async def scenario() -> None:
        discovery, listener = make(), Listener()
        await discovery.start(ME, listener.on_snapshot, listener.on_lost)
        assert [snapshot.members for snapshot in listener.snapshots] == [(ME,)]
        await discovery.stop()

    asyncio.run(scenario())


def test_snapshots_come_on_the_thread_of_the_loop(make: Make) -> None:
    async def scenario() -> None:
        discovery, listener = make(), Listener()
        await discovery.start(ME, listener.on_snapshot, listener.on_lost)
        assert listener.threads == {threading.get_ident()}
        await discovery.stop()

    asyncio.run(scenario())


def test_stop_may_be_called_twice_and_before_start_and_nothing_is_delivered_after_it(make: Make) -> None:
    async def scenario() -> None:
        await make().stop()
        discovery, listener = make(), Listener()
        await discovery.start(ME, listener.on_snapshot, listener.on_lost)
        await asyncio.gather(discovery.stop(), discovery.stop())
        await discovery.stop()
        assert len(listener.snapshots) == 1
        assert listener.losses == 0

    asyncio.run(scenario())


def test_watching_without_registering_delivers_too(make: Make) -> None:
    async def scenario() -> None:
        discovery, listener = make(), Listener()
        await discovery.start(None, listener.on_snapshot, listener.on_lost)
        assert len(listener.snapshots) == 1
        await discovery.stop()

    asyncio.run(scenario())


def test_an_update_that_cannot_be_published_is_refused(make: Make) -> None:
    async def scenario() -> None:
        discovery, listener = make(), Listener()
        await discovery.start(ME, listener.on_snapshot, listener.on_lost)
        await discovery.stop()
        with pytest.raises(DiscoveryError):
            await discovery.update(ME._replace(state="leaving"))

    asyncio.run(scenario())


def test_a_static_list_never_changes_its_revision_or_members() -> None:
    async def scenario() -> None:
        both = (Member("a", "127.0.0.1:1"), Member("b", "127.0.0.1:2"))
        discovery, listener = StaticDiscovery(both), Listener()
        await discovery.start(both[0], listener.on_snapshot, listener.on_lost)
        assert listener.snapshots == [(0, both)]

    asyncio.run(scenario())
