"""The client against real nodes: what its callers notice while nodes join, leave, die and hang."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import uvloop
from eventually import eventually
from mesh_fixture import PATIENT_S, Cluster, endpoint, mesh_test, took_less_than
from scripted_loader import ScriptedLoader, value_of

from zmcache.cache import CacheGroup
from zmcache.client import Client, make_client, parse_addresses
from zmcache.core.calls import UNSET
from zmcache.errors import (
    ConfigError,
    DeadlineExceeded,
    InvalidTtl,
    InvalidValue,
    LifecycleError,
    LoaderFailed,
    PartialResult,
    PeerUnavailable,
    RequestError,
    UnknownGroup,
    ValueTooLarge,
    ZmcacheError,
)
from zmcache.peers.channel import State
from zmcache.transport.memory import MemoryNetwork, MemoryTransport

Test = Callable[[Cluster, Client, CacheGroup[bytes]], Coroutine[Any, Any, None]]


def client_test(test: Test, *names: str, route: str = "owner", timeout: float = PATIENT_S, **options: Any) -> None:
    async def main(cluster: Cluster) -> None:
        async with cluster.client(route=route, timeout=timeout) as client:
            await test(cluster, client, client.group("items"))

    mesh_test(main, *(names or ("a", "b", "c")), **options)


@pytest.mark.parametrize("route", ["owner", "any"])
def test_what_is_set_is_got_until_it_is_deleted(route: str) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for n in range(50):
            key = f"set-{n}"
            await items.set(key, b"%d" % n)
            assert await items.get(key) == b"%d" % n
            assert await items.delete(key) is True
            assert await items.delete(key) is False
        assert cluster.loaded == {}

    client_test(test, route=route)


@pytest.mark.parametrize("route", ["owner", "any"])
def test_any_number_of_keys_is_got_at_once_and_each_is_loaded_once(route: str) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for count in (1, 1000, 1001, 2500):
            keys = [f"many-{count}-{n}" for n in range(count)]
            found = await items.get_many(keys)
            assert found == {key: value_of(key) for key in keys}
            assert list(found) == keys
        assert set(cluster.loaded.values()) == {1}
        assert await items.get_many([]) == {}
        assert await items.get_many(["twice", "twice"]) == {"twice": value_of("twice")}
        for name, loader in cluster.loaders.items():
            assert all(cluster.nodes[name].is_ours(key) for key in loader.loaded)

    client_test(test, route=route)


def test_a_key_that_the_loader_does_not_know_gives_the_default_and_is_left_out_of_get_many() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        assert await items.get("unknown") is None
        assert await items.get("unknown", b"default") == b"default"
        assert await items.get("unknown", 5) == 5
        assert await items.fetch("unknown") is None
        assert await items.get_many(["known", "unknown"]) == {"known": value_of("known")}
        assert cluster.loaded["unknown"] == 1

    client_test(test, make_loader=lambda name: ScriptedLoader(known=lambda key: key == "known"))


def test_fetch_tells_the_source_and_the_remaining_life() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        loaded, again = await items.fetch("k"), await items.fetch("k")
        assert loaded is not None
        assert again is not None
        assert (loaded.value, loaded.source, loaded.ttl_s) == (value_of("k"), "load", None)
        assert again.source == "owner"
        await items.set("short", b"v", ttl=timedelta(seconds=20))
        short = await items.fetch("short")
        assert short is not None
        assert short.ttl_s is not None
        assert 19 < short.ttl_s <= 20

    client_test(test)


def test_through_any_node_a_popular_key_of_another_comes_from_a_hot_copy() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        async with cluster.client("a", route="any") as through_a:
            group = through_a.group("items")
            key = cluster.key_of("b")
            items_got = [await group.fetch(key) for _ in range(3)]
            assert [item.source for item in items_got if item] == ["load", "owner", "hot"]

    client_test(test, hot_ttl_s=30.0)


def test_through_any_node_who_is_asked_last_is_one_who_is_to_hold_the_key_and_none_who_has_just_sent_askers_on() -> (
    None
):
    async def test(cluster: Cluster) -> None:
        async with cluster.client("c", route="any") as through_c:
            route, mesh = through_c._route, through_c._mesh
            assert route is not None
            assert mesh is not None
            for channel in mesh.channels():
                channel.connect()
            await eventually(lambda: all(channel.state is State.UP for channel in mesh.channels()))
            given, key = mesh.contact(endpoint("c")), cluster.key_of("b")
            assert route.last_resort(key) is mesh.channel_of("b")
            assert route.last_resort(cluster.key_of("c")) is mesh.channel_of("c")
            route.refused(given)
            # As a member, too.
            assert route.last_resort(cluster.key_of("c", "a")) is mesh.channel_of("a")
            other = route.other_channel(key, given)
            assert other is not None
            assert other.endpoint != given.endpoint
            assert route.channel(key).endpoint != given.endpoint

    mesh_test(test, "c", "a", "b")


def test_a_get_many_in_which_some_keys_fail_raises_with_what_it_has() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        def fails(keys: list[str]) -> dict[str, bytes]:
            raise RuntimeError("no database")

        cluster.loaders["b"].answer = fails
        keys = [f"partial-{n}" for n in range(1500)]
        theirs = {key for key in keys if cluster.nodes["b"].is_ours(key)}
        with pytest.raises(PartialResult) as caught:
            await items.get_many(keys)
        assert caught.value.errors.keys() == theirs
        assert all(isinstance(error, LoaderFailed) for error in caught.value.errors.values())
        assert caught.value.values == {key: value_of(key) for key in keys if key not in theirs}

    client_test(test)


def test_a_thousand_callers_of_one_cold_key_through_any_node_are_one_load() -> None:
    async def main(cluster: Cluster) -> None:
        for loader in cluster.loaders.values():
            loader.gate.clear()
        calls = []
        clients = [cluster.client(name, route="any") for name in "abc"]
        for client in clients:
            await client.__aenter__()
            calls += [asyncio.create_task(client.group("items").get("cold")) for _ in range(334)]
        await eventually(lambda: bool(cluster.loaded))
        for loader in cluster.loaders.values():
            loader.gate.set()
        assert await asyncio.gather(*calls) == [value_of("cold")] * 1002
        assert cluster.loaded == {"cold": 1}
        for client in clients:
            await client.aclose()

    mesh_test(main, "a", "b", "c")


@pytest.mark.parametrize("timeout", [0.05, 0.25])
def test_a_call_ends_by_its_deadline_and_the_next_one_is_served(timeout: float) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for loader in cluster.loaders.values():
            loader.gate.clear()
        calls = [
            items.get("k", timeout=timeout),
            items.fetch("l", timeout=timeout),
        ]
        with took_less_than(timeout + 0.05):
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [DeadlineExceeded] * 2
        with took_less_than(timeout + 0.05), pytest.raises(PartialResult):
            await items.get_many(["m", "n"], timeout=timeout)
        for loader in cluster.loaders.values():
            loader.gate.set()
        assert await items.get("k") == value_of("k")

    client_test(test)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "soon", True])
def test_a_timeout_that_is_none_is_refused(timeout: Any) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        with pytest.raises(RequestError):
            await items.get("k", timeout=timeout)
        with pytest.raises(RequestError):
            await items.set("k", b"v", timeout=timeout)
        with pytest.raises(RequestError):
            cluster.client(timeout=timeout)

    client_test(test, "a")


@pytest.mark.parametrize(
    "ttl", [0, -1, float("nan"), float("inf"), 1e12, "soon", "", "0s", True, timedelta(0), timedelta(days=-1)]
)
def test_an_expiry_that_is_none_is_refused(ttl: Any) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for group in (items, cluster.group("a")):
            with pytest.raises(InvalidTtl):
                await group.set("k", b"v", ttl=ttl)

    client_test(test, "a")


@pytest.mark.parametrize(
    ("ttl", "expected"),
    [(None, None), (UNSET, 50.0), (0.0001, 0.001), (30, 30.0), (timedelta(hours=1), 3600.0), ("1h30m", 5400.0)],
)
def test_an_expiry_means_what_it_says(ttl: Any, expected: float | None) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for group in (items, cluster.group("a")):
            await group.set("k", b"v", ttl=ttl)
            if expected == 0.001:
                await eventually(lambda: cluster.group("a").get_nowait("k") is None)
                continue
            item = await group.fetch("k")
            assert item is not None
            assert item.ttl_s == expected or (expected is not None and expected - 1 < (item.ttl_s or 0) <= expected)

    client_test(test, "a", ttl_s=50.0)


@pytest.mark.parametrize("value", ["text", 5, bytearray(b"v"), memoryview(b"v")])
def test_a_value_that_is_not_bytes_is_refused(value: Any) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for group in (items, cluster.group("a")):
            with pytest.raises(InvalidValue):
                await group.set("k", value)

    client_test(test, "a")


def test_a_value_over_the_limit_is_refused_here_and_one_at_the_limit_is_stored() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for group in (items, cluster.group("a")):
            with pytest.raises(ValueTooLarge) as caught:
                await group.set("k", b"v" * (2**20 + 1))
            assert (caught.value.size, caught.value.limit) == (2**20 + 1, 2**20)
            await group.set("k", b"v" * 2**20)
            assert await group.get("k") == b"v" * 2**20
            await group.set("empty", b"")
            assert await group.get("empty", b"default") == b""

    client_test(test)


def test_a_group_that_no_node_has_is_named() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        with pytest.raises(UnknownGroup, match="nobody's"):
            await client.group("nobody's").get("k")
        with pytest.raises(UnknownGroup, match="items"):
            cluster.nodes["a"].group("nobody's")
        assert await items.get("k") == value_of("k")

    client_test(test, "a")


@pytest.mark.parametrize("route", ["owner", "any"])
def test_a_node_that_dies_fails_no_get(route: str) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        async with asking(items) as asked:
            await eventually(lambda: asked.count > 300)
            cluster.network.cut(endpoint("b"))
            at = asked.count
            await eventually(lambda: asked.count > at + 500)
            cluster.registry.drop("b")
            at = asked.count
            await eventually(lambda: asked.count > at + 500)
        assert asked.failures == []

    client_test(test, route=route)


@pytest.mark.parametrize("route", ["owner", "any"])
def test_a_request_in_flight_when_its_node_dies_is_asked_once_more_elsewhere(route: str) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        key = cluster.key_of("b", "c")
        cluster.loaders["b"].gate.clear()
        call = asyncio.create_task(items.get(key))
        await eventually(lambda: bool(cluster.loaders["b"].calls))
        with took_less_than(1.0):
            cluster.network.cut(endpoint("b"))
            assert await call == value_of(key)
        assert cluster.loaders["c"].loaded == {key: 1}

    client_test(test, route=route)


def test_writes_in_flight_when_their_node_dies_are_done_by_the_stand_in() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        key = cluster.key_of("b", "c")
        cluster.network.pause(endpoint("b"))
        call = asyncio.create_task(items.set(key, b"written"))
        await asyncio.sleep(0.01)
        cluster.network.cut(endpoint("b"))
        await call
        assert cluster.group("c").get_nowait(key) == b"written"
        assert await items.delete(key) is True

    client_test(test)


def test_when_everybody_is_gone_a_call_fails_at_once_and_works_again_when_they_are_back() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        await items.get_many([f"warm-{n}" for n in range(50)])
        for name in "abc":
            cluster.network.cut(endpoint(name))
        await asyncio.sleep(0.01)
        with took_less_than(0.5), pytest.raises(PeerUnavailable):
            await items.get("k")
        for name in "abc":
            cluster.network.heal(endpoint(name))
        key = "back"
        await eventually(lambda: all(state.value != "down" for state in _states(client)))
        assert await items.get(key) == value_of(key)

    client_test(test)


def test_two_nodes_that_leave_at_once_with_requests_in_flight_fail_none_of_them() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for name in "bc":
            cluster.loaders[name].gate.clear()
        keys = [f"left-{n}" for n in range(100)]
        call = asyncio.create_task(items.get_many(keys))
        await eventually(lambda: all(cluster.loaders[name].running for name in "bc"))
        # The node that stays believes it at once, since neither answers; the client hears of it from that node.
        cluster.network.cut(endpoint("b"))
        cluster.network.cut(endpoint("c"))
        with took_less_than(2.0):
            (found,) = await asyncio.gather(call, return_exceptions=True)
        if isinstance(found, PartialResult):
            # Their stand-ins are each other for some keys: those fail, clearly and at once, until the ring moves.
            assert found.values
            assert all(isinstance(error, PeerUnavailable) for error in found.errors.values())
        else:
            assert found == {key: value_of(key) for key in keys}
        cluster.registry.drop("b", "c")
        await eventually(lambda: len(client.ring().members) == 1, within_s=8.0)
        assert await items.get_many(keys) == {key: value_of(key) for key in keys}

    client_test(test)


def test_the_ring_is_refreshed_when_a_node_joins_and_when_one_leaves() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        async with asking(items) as asked:
            await cluster.start("c")
            await eventually(lambda: len(client.ring().members) == 3)
            await eventually(lambda: cluster.nodes["c"].statistics()["requests"] > 0)
            node = cluster.nodes.pop("b")
            await node.drain()
            await node.stop()
            await cluster.settled()  # whichever of them the client asks
            await eventually(lambda: len(client.ring().members) == 2)
            at = asked.count
            await eventually(lambda: asked.count > at + 200)
        assert asked.failures == []
        topology = await client.topology()
        assert sorted(member.node_id for member in topology.members) == ["a", "c"]
        assert topology.revision == cluster.registry.revision

    client_test(test, "a", "b")


def test_the_only_node_drains_without_failing_a_get() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        async with asking(items) as asked:
            await eventually(lambda: asked.count > 100)
            await cluster.nodes["a"].drain()
        assert asked.failures == []

    client_test(test, "a", drain_timeout_s=1.0)


def test_a_hung_node_is_routed_around_within_two_seconds_and_comes_back_when_it_goes_on() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        keys = [key for key, _ in zip(cluster.keys_of("b", "c"), range(300), strict=False)]
        assert await items.get(keys[0]) == value_of(keys[0])
        assert await cluster.group("c").get(keys[0]) == value_of(keys[0])  # c has a connection to b
        cluster.network.pause(endpoint("b"))
        with took_less_than(2.0):
            assert await items.get(keys[1]) == value_of(keys[1])
        with took_less_than(0.1):
            assert await items.get_many(keys[2:50]) == {key: value_of(key) for key in keys[2:50]}
        assert "b" not in {name for name, loader in cluster.loaders.items() if keys[2] in loader.loaded}
        cluster.network.resume(endpoint("b"))
        await eventually(lambda: all(state.value == "up" for state in _states(client)))
        assert await items.get(keys[60]) == value_of(keys[60])
        assert keys[60] in cluster.loaders["b"].loaded

    client_test(test, timeout=4.0)


def test_a_cancelled_caller_leaves_the_others_of_its_key_and_of_its_batch_alone() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for loader in cluster.loaders.values():
            loader.gate.clear()
        leader = asyncio.create_task(items.get("k"))
        followers = [asyncio.create_task(items.get("k")) for _ in range(10)]
        neighbours = [asyncio.create_task(items.get(f"n{n}")) for n in range(10)]
        await eventually(lambda: bool(cluster.loaded["k"]))
        leader.cancel()
        followers[3].cancel()
        for loader in cluster.loaders.values():
            loader.gate.set()
        results = await asyncio.gather(*followers, return_exceptions=True)
        assert [n for n, result in enumerate(results) if result != value_of("k")] == [3]
        assert await asyncio.gather(*neighbours) == [value_of(f"n{n}") for n in range(10)]
        assert cluster.loaded["k"] == 1

    client_test(test)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("route", ["owner", "any"])
def test_two_thousand_calls_cancelled_at_random_never_get_a_wrong_value_and_leave_nothing_behind(
    run: Callable[[Coroutine[Any, Any, None]], None], route: str
) -> None:
    source = random.Random(5)

    async def slow(keys: list[str]) -> dict[str, bytes]:
        await asyncio.sleep(source.random() * 0.004)
        return {key: value_of(key) for key in keys}

    async def call(items: Any) -> None:
        keys = [f"fuzz-{source.randrange(300)}" for _ in range(source.choice([1, 1, 1, 5]))]
        timeout = source.choice([None, None, 5.0, 0.002])
        try:
            if len(keys) == 1:
                assert await items.get(keys[0], timeout=timeout) == value_of(keys[0])
            else:
                assert await items.get_many(keys, timeout=timeout) == {key: value_of(key) for key in keys}
        except (DeadlineExceeded, PartialResult):
            if timeout != 0.002:
                raise

    async def main() -> None:
        async with (
            Cluster(
                "a", "b", "c", ttl_s=0.02, hot_ttl_s=0.01, make_loader=lambda _: ScriptedLoader(answer=slow)
            ) as cluster,
            cluster.client(route=route) as client,
        ):
            doors = [client.group("items"), cluster.group("a")]
            tasks = []
            for n in range(2000):
                tasks.append(asyncio.create_task(call(source.choice(doors))))
                if source.random() < 0.4:
                    source.choice(tasks[-50:]).cancel()
                if n % 20 == 0:
                    await asyncio.sleep(source.random() * 0.003)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            wrong = [r for r in results if r is not None and not isinstance(r, asyncio.CancelledError)]
            assert wrong == []
            assert sum(result is None for result in results) > 500
            await eventually(lambda: all(node.statistics()["late"] == 0 for node in cluster.nodes.values()))
            await eventually(lambda: all(loader.running == 0 for loader in cluster.loaders.values()))
            assert await client.group("items").get("after") == value_of("after")

    run(main())


def test_statistics_come_from_every_node_that_answers() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        await items.get_many([f"k{n}" for n in range(100)])
        statistics = await client.statistics()
        assert statistics.keys() == {"a", "b", "c"}
        assert sum(node["group.items.loads"] for node in statistics.values()) == 100
        assert sum(node["requests"] for node in statistics.values()) == 100
        cluster.network.cut(endpoint("b"))
        await asyncio.sleep(0.01)
        with took_less_than(1.0):
            assert (await client.statistics(timeout=0.5)).keys() == {"a", "c"}

    client_test(test)


def test_nobody_at_the_address_is_one_clear_error_within_the_connect_timeout() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        with took_less_than(0.5), pytest.raises(PeerUnavailable, match="mem://nowhere"):
            async with make_client("mem://nowhere", lambda: MemoryTransport(network), connect_timeout=0.2):
                pass

    asyncio.run(main())


def test_a_client_waits_for_its_first_node_within_the_connect_timeout() -> None:
    async def main() -> None:
        async with Cluster() as cluster:
            client = cluster.client("a", connect_timeout=5.0)
            opening = asyncio.create_task(client.__aenter__())
            await asyncio.sleep(0.02)
            await cluster.start("a")
            await opening
            assert await client.group("items").get("k") == value_of("k")
            await client.aclose()

    asyncio.run(main())


def test_one_good_address_among_dead_ones_is_enough() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        for route in ("owner", "any"):
            async with cluster.client("nowhere", "a", "gone", route=route) as other:
                assert await other.group("items").get("k") == value_of("k")

    client_test(test, "a")


@pytest.mark.parametrize("addresses", ["", " , ", "host", "host:", "host:port", "host:0", "host:70000", ":7401,host"])
def test_an_address_that_is_none_is_refused_before_anything_runs(addresses: str) -> None:
    with pytest.raises(ConfigError):
        parse_addresses(addresses)


def test_a_route_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="'any'"):
        make_client("mem://a", lambda: None, route="all")  # type: ignore[arg-type,return-value]  # it is never called


def test_a_client_or_node_that_is_not_open_says_so() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        other = cluster.client()
        with pytest.raises(LifecycleError):
            await other.group("items").get("k")
        async with other:
            with pytest.raises(LifecycleError):
                await other.__aenter__()
        for call in (lambda: other.group("items"), other.ring):
            with pytest.raises(LifecycleError):
                call()
        with pytest.raises(LifecycleError):
            await other.topology()
        await other.aclose()
        await cluster.nodes["a"].stop()
        with pytest.raises(LifecycleError):
            cluster.nodes["a"].group("items")
        with pytest.raises(LifecycleError):
            await cluster.nodes["a"].start()

    client_test(test, "a")


def test_another_loop_is_told_that_the_client_is_not_its_own() -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        errors: list[BaseException] = []

        async def elsewhere() -> None:
            for call in (lambda: client.group("items"), lambda: cluster.nodes["a"].group("items")):
                try:
                    call()
                except ZmcacheError as error:
                    errors.append(error)

        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert [type(error) for error in errors] == [LifecycleError] * 2

    client_test(test, "a")


def test_a_forked_process_is_told_to_make_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(cluster: Cluster, client: Client, items: CacheGroup[bytes]) -> None:
        with monkeypatch.context() as forked:
            forked.setattr("os.getpid", lambda: -1)
            for owner in (client, cluster.nodes["a"]):
                with pytest.raises(LifecycleError, match="fork"):
                    owner.group("items")

    client_test(test, "a")


class Asked:
    """What a few callers that never stop have seen."""

    def __init__(self) -> None:
        self.count = 0
        self.failures: list[BaseException] = []


@asynccontextmanager
async def asking(items: Any) -> AsyncIterator[Asked]:
    """Eight callers that get keys, old ones and new, as long as the block runs."""
    asked = Asked()
    stopped = False

    async def ask(worker: int) -> None:
        while not stopped:
            asked.count += 1
            key = f"asking-{worker}-{asked.count % 100}"
            try:
                assert await items.get(key) == value_of(key)
            except Exception as error:
                asked.failures.append(error)
            await asyncio.sleep(0.001)

    workers = [asyncio.create_task(ask(worker)) for worker in range(8)]
    try:
        yield asked
    finally:
        stopped = True
        await asyncio.gather(*workers)


def _states(client: Client) -> list[Any]:
    assert client._mesh is not None
    return list(client._mesh.states().values())
