"""Many keys of one call: as many as one likes, and each of them told of."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from cache_worlds import World, in_each_world
from eventually import eventually
from fake_node import FakeNode, connected
from mesh_fixture import Cluster, mesh_test, took_less_than
from scripted_loader import ScriptedLoader, value_of

from zmcache.cache import CacheGroup
from zmcache.cache.lanes import keys_at_once, parts_of
from zmcache.core.settings import GroupSettings
from zmcache.core.wire import SET, Change, Limits
from zmcache.errors import (
    DeadlineExceeded,
    InvalidKey,
    PartialResult,
    PeerUnavailable,
    RequestError,
    UnknownGroup,
    ValueTooLarge,
)
from zmcache.inprocess import InProcess
from zmcache.transport.memory import MemoryNetwork

# A hundredth of the default, so that a test need not be a hundred times as large.
FEW = Limits(
    keys=10, inflight_requests=100, value_bytes=10_000, message_bytes=80_000, inflight_bytes=640_000, key_bytes=100
)


def test_a_call_of_many_more_keys_than_may_be_in_flight_is_answered_as_a_small_one_is() -> None:
    async def test(cluster: Cluster) -> None:
        values = {f"k{n}": b"%d" % n for n in range(1000)}
        for route in ("owner", "any"):
            async with cluster.client(route=route) as client:
                items = client.group("items")
                assert await items.set_many(values) == []
                assert list((await items.get_many(reversed(values))).items()) == list(reversed(values.items()))
                assert await items.delete_many(values) == 1000
                assert await items.get_many(values) == {}
                assert client.failures == 0

    mesh_test(test, "a", "b", limits=FEW, loads=False)


def test_a_call_of_many_more_bytes_than_may_be_in_flight_is_carried_out() -> None:
    async def test(cluster: Cluster) -> None:
        async with cluster.client() as client:
            items = client.group("items")
            values = {f"k{n}": b"x" * 9_000 for n in range(300)}
            assert await items.set_many(values) == []
            assert await items.get_many([f"k{n}" for n in range(0, 300, 60)]) == {
                f"k{n}": b"x" * 9_000 for n in range(0, 300, 60)
            }

    mesh_test(test, "a", limits=FEW, loads=False)


def test_many_single_calls_at_once_wait_for_room_and_none_is_refused() -> None:
    async def test(cluster: Cluster) -> None:
        ran = 0

        async def fill() -> bytes:
            nonlocal ran
            ran += 1
            await asyncio.sleep(0.001)
            return b"made"

        async with cluster.client() as client:
            items = client.group("items")
            await asyncio.gather(*(items.set(f"k{n}", b"%d" % n) for n in range(500)))
            found = await asyncio.gather(*(items.get(f"k{n}") for n in range(500)))
            assert found == [b"%d" % n for n in range(500)]
            assert await asyncio.gather(*(items.incr(f"k{n}", 1) for n in range(500))) == [n + 1 for n in range(500)]
            # More leases than an owner grants at once, as well.
            assert set(await asyncio.gather(*(items.get_or_set(f"m{n}", fill) for n in range(500)))) == {b"made"}
            assert ran == 500
            assert client.failures == 0

    mesh_test(test, "a", limits=FEW, loads=False, max_queued=80)


def test_in_one_process_many_loads_and_fills_at_once_wait_as_well() -> None:
    async def fill() -> bytes:
        await asyncio.sleep(0.001)
        return b"made"

    async def main() -> None:
        settings = GroupSettings(max_queued=80)
        async with InProcess(settings=settings, loaders={"items": ScriptedLoader()}, limits=FEW) as cache:
            items = cache.group("items")
            keys = [f"k{n}" for n in range(500)]
            assert await items.get_many(keys) == {key: value_of(key) for key in keys}
            made = cache.group("made")
            assert set(await asyncio.gather(*(made.get_or_set(key, fill) for key in keys))) == {b"made"}

    asyncio.run(main())


def test_a_large_call_leaves_room_for_others_and_ends_by_its_deadline_with_what_it_has() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)
        async with connected(network, limits=FEW) as client:
            items = client.group("items")
            many = asyncio.create_task(items.get_many([f"slow{n}" for n in range(400)], timeout=0.15))
            await eventually(lambda: bool(fake.requests))
            slow, fake.handle = len(fake.requests), fake.echo
            assert await items.get("quick") == b"quick"
            with took_less_than(0.3), pytest.raises(PartialResult) as raised:
                await many
            assert len(raised.value.errors) == 400
            assert {type(error) for error in raised.value.errors.values()} == {DeadlineExceeded}
            asked = [key for _, request in fake.requests[:slow] for key in request.keys]
            assert len(asked) == len(set(asked)) <= FEW.inflight_requests // 2
            assert await items.get("after") == b"after"

    asyncio.run(main())


def test_a_large_call_that_is_cancelled_tells_the_node_and_leaves_nothing_behind() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)
        async with connected(network, limits=FEW) as client:
            items: Any = client.group("items")
            for call in (
                items.get_many([f"k{n}" for n in range(400)]),
                items.set_many({f"k{n}": b"" for n in range(400)}),
            ):
                many = asyncio.create_task(call)
                await eventually(lambda: bool(fake.requests))
                many.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await many
                assert not [task for task in asyncio.all_tasks() if task.get_name() == "zmcache lane"]
                fake.requests.clear()
            assert not items._raw.behind._asking._flights

    asyncio.run(main())


def test_parts_are_bounded_in_keys_and_in_bytes_and_hold_everything_once() -> None:
    limits = Limits()
    assert keys_at_once(limits) == limits.keys
    assert keys_at_once(Limits(inflight_requests=3)) == 1
    changes = [Change(SET, f"k{n}", b"x" * size) for n, size in enumerate([10, 1_000_000, 10] * 1000)]
    parts = list(parts_of(changes, limits))
    assert [change for part in parts for change in part] == changes
    assert max(map(len, parts)) <= limits.keys
    assert max(sum(len(change.value or b"") for change in part) for part in parts) <= limits.inflight_bytes // 8
    assert list(parts_of([], limits)) == []


@pytest.mark.parametrize("wrong", ["abc", b"abc", 5, None, [["x"]], [b"x"], ["k", ""], [None], ["k"] * 2000 + [{}]])
@in_each_world
async def test_what_is_no_list_of_keys_is_told_before_anything_is_asked(world: World, wrong: Any) -> None:
    await world.one.set_many({"a": b"1", "k": b"1"})
    with pytest.raises(InvalidKey):
        await world.one.get_many(wrong)
    with pytest.raises(InvalidKey):
        await world.one.delete_many(wrong)
    assert await world.one.get("k") == b"1"


@in_each_world
async def test_what_is_wrong_with_a_call_of_many_is_raised_and_not_counted_as_keys_that_failed(world: World) -> None:
    for timeout in (-1, "soon", float("nan")):
        for call in (world.one.set_many({"k": b"v"}, timeout=timeout), world.one.delete_many(["k"], timeout=timeout)):
            with pytest.raises(RequestError):
                await call
    if world.cluster is not None:
        unknown = world.one_cache.group("unknown")
        for call in (unknown.set_many({"k": b"v"}), unknown.delete_many(["k"])):
            with pytest.raises(UnknownGroup):
                await call
    assert await world.one.set_many({}) == []
    assert world.one_cache.failures == 0


def test_a_value_that_its_group_does_not_take_is_raised_when_the_others_have_been_stored() -> None:
    async def main() -> None:
        async with InProcess(settings=GroupSettings(budget_bytes=100_000)) as cache:
            items = cache.group("items")
            with pytest.raises(ValueTooLarge):
                await items.set_many({"large": b"x" * 90_000, "small": b"v"})
            assert await items.get("small") == b"v"

    asyncio.run(main())


@pytest.mark.parametrize("on_error", ["raise", "miss"])
def test_without_any_node_many_changes_fail_each_by_itself_and_the_cause_is_logged(
    on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)
        async with connected(network, on_error=on_error) as client:
            items: CacheGroup[bytes] = client.group("items")
            fake.close()
            network.cut("mem://fake")
            await asyncio.sleep(0.01)
            with caplog.at_level(logging.WARNING, "zmcache.cache"):
                assert await items.set_many({"a": b"1", "b": b"2"}) == ["a", "b"]
            assert "PeerUnavailable" in caplog.text
            assert client.failures == 1
            if on_error == "miss":
                assert await items.delete_many(["a", "b"]) == 0
                assert await items.get_many(["a", "b"]) == {}
            else:
                with pytest.raises(PeerUnavailable):
                    await items.delete_many(["a", "b"])
                with pytest.raises(PartialResult):
                    await items.get_many(["a", "b"])
            assert client.failures == 3, "a call counts once"

    asyncio.run(main())


def test_before_any_node_has_answered_they_do_not_raise_either() -> None:
    async def main() -> None:
        async with connected(MemoryNetwork(), "mem://nobody", on_error="miss", connect_timeout=0.01) as client:
            items = client.group("items")
            assert await items.set_many({"a": b"1", "b": b"2"}) == ["a", "b"]
            assert await items.delete_many(["a"]) == 0
            assert await items.get_many(["a"]) == {}
            assert client.failures == 4, "the first is that nobody was found"

    asyncio.run(main())


@in_each_world
async def test_values_of_a_call_that_are_too_much_to_be_decompressed_together_are_among_its_errors(
    world: World,
) -> None:
    small = world.one_cache.group("items", codec="json", compress_above=100, max_decompressed="10kB")
    assert await small.set_many({f"k{n}": "x" * 9_000 for n in range(6)}) == []
    with pytest.raises(PartialResult) as raised:
        await small.get_many([f"k{n}" for n in range(6)])
    assert len(raised.value.values) == 4
    assert {type(error) for error in raised.value.errors.values()} == {ValueTooLarge}
    assert len(await small.get_many(["k4", "k5"])) == 2
    with pytest.raises(ValueTooLarge):
        await small.set("k", "x" * 10_000)


@in_each_world
async def test_what_is_found_is_in_the_order_asked_however_few_keys_and_many_owners(world: World) -> None:
    values = {f"k{n}": b"v" for n in range(30)}
    await world.one.set_many(values)
    for count in (2, 12, 30):
        asked = list(values)[count::-1]
        assert list(await world.one.get_many(asked)) == asked
