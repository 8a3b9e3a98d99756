"""Every call of a group, over each kind of connection: what it returns, what it leaves, what it refuses."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from cache_worlds import World, in_each_world
from eventually import eventually
from mesh_fixture import Cluster, mesh_test
from scripted_loader import ScriptedLoader, value_of

import zmcache
from zmcache.errors import InvalidKey, InvalidTtl, InvalidValue, LifecycleError, RequestError, ValueTooLarge
from zmcache.inprocess import InProcess


@in_each_world
async def test_what_is_set_is_got_until_it_is_deleted(world: World) -> None:
    await world.one.set("k", b"v")
    assert await world.other.get("k") == b"v"
    assert await world.one.delete("k") is True
    assert await world.one.delete("k") is False
    assert await world.other.get("k") is None
    assert await world.other.get("k", b"default") == b"default"


@in_each_world
async def test_none_is_a_value_and_not_a_miss(world: World) -> None:
    await world.one.set("k", None)
    assert await world.other.get("k", b"default") is None
    assert await world.other.get_many(["k", "nowhere"]) == {"k": None}
    item = await world.other.fetch("k")
    assert item is not None
    assert (item.value, item.source) == (None, "owner")
    assert await world.one.add("k", b"v") is False
    value, token = await world.one.gets("k") or (b"", 0)
    assert value is None
    assert await world.one.cas("k", b"v", token) is True
    assert await world.one.get("k") == b"v"


@in_each_world
async def test_a_none_ends_when_it_is_said_to_and_says_so(world: World) -> None:
    await world.one.set("k", None, ttl=10)
    for _ in range(50):  # until other nodes have copies of it
        items = [await world.other.fetch("k"), await world.other.fetch_or_set("k", lambda: b"never")]
        for item in items:
            assert item is not None
            assert item.value is None
            assert item.ttl_s is not None
            assert 0 < item.ttl_s <= 10
    await world.one.set("k", None, ttl=None)
    item = await world.one.fetch("k")
    assert item is not None
    assert item.ttl_s is None or world.cluster is not None


def test_a_gets_that_is_cancelled_gives_up_the_load_that_nobody_else_waits_for() -> None:
    async def cancelled(items: Any, loader: ScriptedLoader, key: str) -> None:
        loader.gate.clear()
        lone = asyncio.create_task(items.gets(key))
        await eventually(lambda: bool(loader.running))
        lone.cancel()
        await eventually(lambda: not loader.running)
        assert loader.cancelled == 1
        # With another who waits, it goes on.
        one, other = asyncio.create_task(items.gets(key)), asyncio.create_task(items.get(key))
        await eventually(lambda: bool(loader.running))
        await asyncio.sleep(0.01)
        one.cancel()
        await asyncio.sleep(0.01)
        loader.gate.set()
        assert await other == value_of(key)
        assert loader.cancelled == 1

    async def in_process() -> None:
        loader = ScriptedLoader()
        async with InProcess(loaders={"items": loader}) as cache:
            await cancelled(cache.group("items"), loader, "k")

    async def test(cluster: Cluster) -> None:
        async with cluster.client() as client:
            await cancelled(client.group("items"), cluster.loaders["a"], cluster.key_of("a"))
        async with cluster.client("a", route="any") as client:
            await cancelled(client.group("items"), cluster.loaders["b"], cluster.key_of("b"))

    asyncio.run(in_process())
    mesh_test(test, "a", "b")


@in_each_world
async def test_many_are_set_got_and_deleted_at_once(world: World) -> None:
    values = {f"k{n}": b"%d" % n for n in range(2500)}
    assert await world.one.set_many(values, timeout=10) == []
    found = await world.other.get_many([*values, "nowhere"], timeout=10)
    assert found == values
    assert list(found) == list(values)
    assert await world.one.delete_many(["k1", "k2", "k2", "nowhere"]) == 2
    assert await world.other.get_many(["k1", "k2", "k3"]) == {"k3": b"3"}
    assert await world.one.get_many([]) == {}
    assert await world.one.set_many({}) == []


@in_each_world
async def test_add_stores_only_where_nothing_is(world: World) -> None:
    assert await world.one.add("k", b"first", ttl="1h30m") is True
    assert await world.other.add("k", b"second") is False
    item = await world.other.fetch("k")
    assert item is not None
    assert item.value == b"first"
    assert item.ttl_s == pytest.approx(5400, abs=5)


@in_each_world
async def test_of_many_who_add_one_key_at_once_one_succeeds(world: World) -> None:
    added = await asyncio.gather(*(group.add("k", b"v") for _ in range(50) for group in (world.one, world.other)))
    assert sum(added) == 1


@in_each_world
async def test_touch_gives_another_life_and_keeps_the_value(world: World) -> None:
    assert await world.one.touch("k", ttl=5) is False
    await world.one.set("k", b"v", ttl=5)
    assert await world.other.touch("k", ttl=timedelta(hours=1)) is True
    item = await world.other.fetch("k")
    assert item is not None
    assert item.value == b"v"
    assert item.ttl_s == pytest.approx(3600, abs=5)
    assert await world.one.touch("k", ttl=None) is True
    item = await world.other.fetch("k")
    assert item is not None
    assert item.ttl_s is None


@in_each_world
async def test_increments_from_everywhere_add_up(world: World) -> None:
    assert await world.one.incr("n") is None
    assert await world.one.get("n") is None
    assert await world.one.incr("n", 5, initial=100) == 100
    groups = (world.one, world.other)
    sums = await asyncio.gather(*(group.incr("n", delta) for delta in (3, -1) for _ in range(50) for group in groups))
    assert len(set(sums)) > 100, "each saw a sum of its own"
    assert await world.one.get("n") == b"300"
    assert await world.one.incr("n", -301) == -1
    assert await world.one.incr("n", 1 << 200) == (1 << 200) - 1
    await world.one.set("text", b"1.5")
    with pytest.raises(InvalidValue):
        await world.one.incr("text")
    assert await world.one.get("text") == b"1.5"


@in_each_world
async def test_a_counter_keeps_the_life_that_it_began_with(world: World) -> None:
    assert await world.one.incr("n", initial=0, ttl=100) == 0
    await world.one.incr("n", ttl=5)
    item = await world.one.fetch("n")
    assert item is not None
    assert item.ttl_s == pytest.approx(100, abs=5)


@in_each_world
async def test_json_reads_a_counter_and_codecs_that_would_misread_one_refuse_to_count(world: World) -> None:
    assert await world.one.incr("n", initial=5) == 5
    numbers = world.other_cache.group("items", codec="json", compress_above="1KiB")
    assert await numbers.get("n") == 5
    assert await numbers.incr("n") == 6
    for options in ({"codec": "msgpack"}, {"type": int}, {"codec": "pickle", "key": b"k" * 16}):
        with pytest.raises(RequestError, match="raw or json"):
            await world.one_cache.group("items", **options).incr("n")  # type: ignore[call-overload]
    assert await world.one.get("n") == b"6"


@in_each_world
async def test_cas_stores_only_over_what_was_seen(world: World) -> None:
    assert await world.one.gets("k") is None
    await world.one.set("k", b"first")
    seen = await world.one.gets("k")
    assert seen is not None
    assert seen[0] == b"first"
    await world.other.set("k", b"second")
    assert await world.one.cas("k", b"third", seen[1]) is False
    assert await world.other.get("k") == b"second"
    seen = await world.one.gets("k")
    assert seen is not None
    assert await world.other.cas("k", b"third", seen[1], ttl=50) is True
    assert await world.one.get("k") == b"third"
    await world.one.delete("k")
    assert await world.one.cas("k", b"fourth", seen[1]) is None


@in_each_world
async def test_what_is_there_when_clear_is_called_is_gone_when_it_returns(world: World) -> None:
    values = {f"k{n}": b"v" for n in range(3000)}
    await world.one.set_many(values)
    await world.one.set("none", None)
    await world.other.get_many(values)
    await world.one.clear()
    assert await world.other.get_many([*values, "none"]) == {}
    assert await world.figure("entries") == 0
    await world.one.set("k", b"new")
    assert await world.other.get("k") == b"new"


@in_each_world
async def test_an_expired_value_is_gone(world: World) -> None:
    await world.one.set("k", b"v", ttl=0.02)
    await world.one.set("none", None, ttl="20ms")
    deadline_s = asyncio.get_running_loop().time() + 5
    while await world.other.get_many(["k", "none"]):
        assert asyncio.get_running_loop().time() < deadline_s
        await asyncio.sleep(0.005)
    assert await world.other.touch("k") is False
    assert await world.one.add("none", b"v") is True


@in_each_world
async def test_bad_arguments_are_refused_before_anything_is_sent(world: World) -> None:
    bad_keys: list[Any] = ["", "k" * 1025, 5, None, b"k", "\ud800"]
    calls: list[Any] = [
        lambda key: world.one.get(key), lambda key: world.one.get_many(["k", key]), lambda key: world.one.set(key, b"v"),
        lambda key: world.one.set_many({"k": b"v", key: b"v"}), lambda key: world.one.add(key, b"v"),
        lambda key: world.one.delete(key), lambda key: world.one.delete_many(["k", key]), lambda key: world.one.touch(key),
        lambda key: world.one.incr(key), lambda key: world.one.gets(key), lambda key: world.one.cas(key, b"v", 5),
        lambda key: world.one.fetch(key), lambda key: world.one.get_or_set(key, lambda: b"v"),
    ]  # fmt: skip
    for key in bad_keys:
        for call in calls:
            with pytest.raises(InvalidKey):
                await call(key)
    wrong: Any
    for wrong in ("text", 5, bytearray(b"v"), [b"v"]):
        with pytest.raises(InvalidValue):
            await world.one.set("k", wrong)
    with pytest.raises(ValueTooLarge):
        await world.one.set("k", bytes(1024 * 1024 + 1))
    for wrong in (0, -1, float("nan"), "0s", "soon", "-5s", True, timedelta(0), object()):
        with pytest.raises(InvalidTtl):
            await world.one.set("k", b"v", ttl=wrong)
    for wrong in (1.5, "1", True, None, 1 << 2000):
        with pytest.raises(RequestError):
            await world.one.incr("k", wrong)
    for wrong in (0, -1, 1 << 64, "token", None, True):
        with pytest.raises(RequestError):
            await world.one.cas("k", b"v", wrong)
    for wrong in (0, -1, float("inf"), "soon", True):
        with pytest.raises(RequestError):
            await world.one.get("k", timeout=wrong)
    assert await world.figure("sets") == 0
    assert await world.figure("entries") == 0


@in_each_world
async def test_a_typed_group_carries_its_type_and_a_changed_schema_is_a_miss(world: World) -> None:
    users = world.one_cache.group("items", codec="json", compress_above=100)
    await users.set("k", {"id": 7, "name": "x" * 1000})
    assert await world.other_cache.group("items", codec="json").get("k") == {"id": 7, "name": "x" * 1000}
    numbers = world.one_cache.group("items", type=list[int])
    assert await numbers.get("k") is None
    assert await numbers.fetch("k") is None
    assert await numbers.gets("k") is None
    assert await numbers.get_many(["k"]) == {}
    assert numbers.undecodable == 4
    assert await numbers.get_or_set("k", lambda: [1, 2]) == [1, 2]
    assert await world.other_cache.group("items", type=list[int]).get("k") == [1, 2]


def test_before_it_is_opened_after_it_is_closed_and_in_another_loop_it_says_what_is_wrong() -> None:
    cache = zmcache.connect("mem://")
    with pytest.raises(LifecycleError, match="not open"):
        cache.ring()

    async def opened() -> Any:
        async with cache:
            group = cache.group("items")
            await group.set("k", b"v")
        with pytest.raises(LifecycleError, match="closed"):
            cache.group("items")
        with pytest.raises(LifecycleError, match="once"):
            await cache.open()
        return group

    asyncio.run(opened())

    async def elsewhere(cache: zmcache.Cache) -> None:
        with pytest.raises(LifecycleError, match="another event loop"):
            cache.group("items")

    async def still_open() -> None:
        async with zmcache.connect("mem://") as other:
            await asyncio.to_thread(asyncio.run, elsewhere(other))

    asyncio.run(still_open())


@in_each_world
@pytest.mark.parametrize("on_error", ["raise", "miss"])
async def test_whoever_calls_after_the_end_is_told_so(world: World, on_error: str) -> None:
    made = (
        zmcache.connect("mem://", on_error=on_error)
        if world.cluster is None
        else world.cluster.client(on_error=on_error)
    )
    async with made as cache:
        items = cache.group("items", codec="json")
        await items.set("k", 1)

        @items.cached()
        async def cached() -> int:
            return 1

    calls: list[Any] = [
        items.get("k"), items.fetch("k"), items.gets("k"), items.get_many(["k"]), items.set("k", 1), items.set_many({"k": 1}), items.add("k", 1),
        items.touch("k"), items.incr("k"), items.cas("k", 1, 1), items.delete("k"), items.delete_many(["k"]), items.clear(),
        items.get_or_set("k", lambda: 1), items.fetch_or_set("k", lambda: 1), cached(), cached.refresh(), cached.invalidate(),
        cache.topology(), cache.statistics(),
    ]  # fmt: skip
    for error in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(error, LifecycleError)
    assert cache.failures == 0


def test_entries_that_nobody_asks_for_are_freed_when_they_end() -> None:
    async def main() -> None:
        async with zmcache.connect("mem://") as cache:
            group = cache.group("items")
            await group.set_many({f"k{n}": b"v" for n in range(100)}, ttl=0.01)
            entries = "group.items.entries"
            figures: dict[str, float] = {entries: 100}
            while figures[entries]:
                await eventually(lambda: True)
                await asyncio.sleep(0.05)
                figures = (await cache.statistics())["mem"]

    asyncio.run(asyncio.wait_for(main(), 20))
