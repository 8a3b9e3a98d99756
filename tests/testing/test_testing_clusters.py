"""The cluster that ships for users' tests: real nodes, a clock and failures by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from eventually import answered, eventually

from zmcache import Cache, ConfigError, LifecycleError, UnknownGroup
from zmcache.testing import Cluster


class Loads:
    """A loader that counts."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    async def __call__(self, key: str) -> bytes | None:
        self.of[key] += 1
        await asyncio.sleep(0)
        return f"{key} {self.of[key]}".encode()


Test = Callable[[Cluster, Cache, Loads], Coroutine[Any, Any, None]]


def run(test: Test, **settings: Any) -> None:
    async def main() -> None:
        loads = Loads()
        async with Cluster(groups={"items": settings}, loaders={"items": loads}) as cluster:
            await test(cluster, await cluster.connect(), loads)

    asyncio.run(main())


def test_an_entry_ends_when_the_clock_is_moved_and_not_before() -> None:
    async def test(cluster: Cluster, cache: Cache, loads: Loads) -> None:
        items, keys = cache.group("items"), [cluster.key_of(name) for name in "abc"]
        for key in keys:
            assert await items.get(key) == f"{key} 1".encode()
        cluster.advance("59m")
        assert await items.get_many(keys) == {key: f"{key} 1".encode() for key in keys}
        cluster.advance(61)
        assert await items.get_many(keys) == {key: f"{key} 2".encode() for key in keys}

    run(test, ttl="1h")


def test_expired_entries_are_freed_and_the_nodes_are_quiet_afterwards() -> None:
    async def test(cluster: Cluster, cache: Cache, loads: Loads) -> None:
        items = cache.group("items")
        await items.get_many([f"k{n}" for n in range(500)])
        assert sum(node.group("items").statistics().entries for node in cluster.nodes.values()) == 500
        cluster.advance("2h")
        await eventually(lambda: not any(node.group("items").statistics().entries for node in cluster.nodes.values()))
        assert not any(node._parts.housekeeping._sweep() for node in cluster.nodes.values()), "nothing more to do"

    run(test, ttl_s=3600.0)


def test_a_lease_that_ends_by_the_moved_clock_lets_the_next_filler_take_over() -> None:
    async def main() -> None:
        async with Cluster() as cluster:
            one, other = [(await cluster.connect()).group("items") for _ in range(2)]
            began, gate = asyncio.Event(), asyncio.Event()

            async def slow() -> bytes:
                began.set()
                await gate.wait()
                return b"too late"

            async def quick() -> bytes:
                return b"made"

            first = asyncio.ensure_future(one.get_or_set("k", slow, lease=3000))
            await began.wait()
            second = asyncio.ensure_future(other.get_or_set("k", quick))
            await asyncio.wait([second], timeout=0.1)
            assert not second.done()
            cluster.advance("50m")
            assert await asyncio.wait_for(second, 2) == b"made"
            gate.set()
            assert await first == b"too late"
            assert await one.get("k") == b"made"

    asyncio.run(main())


def test_the_keys_of_a_node_that_is_cut_are_served_and_loaded_once() -> None:
    async def test(cluster: Cluster, cache: Cache, loads: Loads) -> None:
        items, key = cache.group("items"), cluster.key_of("b")
        others = [(await cluster.connect(route=route)).group("items") for route in ("owner", "any")]
        cluster.cut("b")
        values = await asyncio.gather(*(group.get(key) for group in (items, *others) for _ in range(20)))
        assert set(values) == {f"{key} 1".encode()}
        assert loads.of[key] == 1
        assert cluster.owner_of(key) == "b", "its lease stands"

        cluster.heal("b")
        b = cluster.nodes["b"].group("items")
        await eventually(lambda: b.get_nowait(key) == f"{key} 1".encode())
        assert await items.get(key) == f"{key} 1".encode()
        assert loads.of[key] == 1

    run(test)


def test_a_node_that_was_cut_and_healed_is_handed_what_was_written_in_its_place() -> None:
    async def test(cluster: Cluster, cache: Cache, loads: Loads) -> None:
        items = cache.group("items")
        key, deleted = [key for key, _ in zip(cluster.keys_of("a"), range(2), strict=False)]
        assert await items.get(key) == f"{key} 1".encode()
        assert await items.get(deleted) == f"{deleted} 1".encode()
        cluster.cut("a")
        await items.set(key, b"set meanwhile")
        await items.delete(deleted)
        cluster.heal("a")
        a = cluster.nodes["a"].group("items")
        await eventually(lambda: a.get_nowait(key) == b"set meanwhile")
        await eventually(lambda: a.get_nowait(deleted) is None)
        assert await items.get(deleted) == f"{deleted} 2".encode()
        cluster.advance(3600)
        assert await items.get(key) == b"set meanwhile"

    run(test)


def test_a_node_that_hangs_is_asked_no_more_and_asked_again_afterwards() -> None:
    async def test(cluster: Cluster, cache: Cache, loads: Loads) -> None:
        items, key = cache.group("items"), cluster.key_of("c")
        assert await items.get(key) == f"{key} 1".encode()
        cluster.pause("c")
        assert await items.get(key, timeout=10) == f"{key} 2".encode(), "from who stands in"
        cluster.resume("c")
        assert cluster.nodes["c"].statistics()["standstills"] == 1
        before = cluster.nodes["c"].statistics()["requests"]

        async def asked_of_c() -> bool:
            # What was loaded in its place meanwhile is newer, and it is given that before it is asked.
            assert await items.get(key) != f"{key} 1".encode()
            return cluster.nodes["c"].statistics()["requests"] > before

        await answered(asked_of_c, bool, what="c again", within_s=10)

    run(test)


def test_nodes_come_and_go() -> None:
    async def test(cluster: Cluster, cache: Cache, loads: Loads) -> None:
        items = cache.group("items")
        assert await cluster.add() == "d"
        assert list(cluster.nodes) == ["a", "b", "c", "d"]
        key = cluster.key_of("d")
        assert await items.get(key) == f"{key} 1".encode()
        await cluster.remove("d")
        assert cluster.owner_of(key) in "abc"
        assert await items.get(key) is not None
        cluster.cut("a")
        await cluster.remove("a")
        assert list(cluster.nodes) == ["b", "c"]
        assert await items.get(key) is not None
        cluster.advance("1h")
        assert await cluster.add() == "e"

    run(test)


def test_where_a_key_lives_is_told() -> None:
    async def main() -> None:
        async with Cluster(nodes=2) as cluster:
            keys = cluster.keys_of("b")
            assert {cluster.owner_of(next(keys)) for _ in range(10)} == {"b"}
            assert cluster.stand_in_of(cluster.key_of("b")) == "a"
        async with Cluster(nodes=1) as cluster:
            assert cluster.stand_in_of("k") is None

    asyncio.run(main())


def test_groups_are_given_as_in_a_file_or_by_name_or_by_a_loader() -> None:
    async def main() -> None:
        async def letters(keys: list[str]) -> dict[str, bytes]:
            return {key: key.upper().encode() for key in keys}

        groups = {"pages": {"ttl": "1m", "budget": "16MiB", "max_queued": 7}, "plain": None}
        async with Cluster(nodes=1, groups=groups, loaders={"letters": letters}, batch=["letters"]) as cluster:
            settings = cluster.nodes["a"].config.groups
            assert (settings["pages"].ttl_s, settings["pages"].budget_bytes, settings["pages"].max_queued) == (
                60,
                2**24,
                7,
            )
            assert settings["plain"].ttl_jitter == 0
            cache = await cluster.connect(timeout=2.0)
            assert await cache.group("letters").get_many(["x", "y"]) == {"x": b"X", "y": b"Y"}
            with pytest.raises(UnknownGroup):
                await cache.group("items").get("k")
        async with Cluster(nodes=1, groups=["items", "pages"]) as cluster:
            assert set(cluster.nodes["a"].config.groups) == {"items", "pages"}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nodes": 0}, "one node or more"),
        ({"groups": {"items": {"tll": "1h"}}}, r"groups.items.*`ttl`"),
        ({"groups": {"items": {"ttl": "soon"}}}, r"groups.items.ttl.*duration"),
        ({"groups": {"items": {"ttl": "1h", "ttl_s": 3600}}}, "`ttl` once"),
        ({"groups": {"items": "1h"}}, "groups.items.*mapping"),
        ({"loaders": {"items": b"no"}}, "function as a loader"),
    ],
)
def test_what_is_given_wrongly_is_told_before_anything_starts(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Cluster(**arguments)


def test_wrong_use_is_told() -> None:
    async def main() -> None:
        cluster = Cluster(nodes=1)
        with pytest.raises(LifecycleError, match="inside"):
            await cluster.connect()
        async with cluster:
            with pytest.raises(ConfigError, match=r"\(a\), found 'z'"):
                cluster.cut("z")
            with pytest.raises(ValueError, match="duration"):
                cluster.advance(-1)
        with pytest.raises(LifecycleError, match="once"):
            await cluster.__aenter__()

    asyncio.run(main())


def test_a_task_that_does_not_end_is_told_by_name() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def stubborn(key: str) -> bytes:
            while not gate.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await gate.wait()
            return b""

        asking: list[asyncio.Future[Any]] = []

        async def leave_one_behind() -> None:
            async with Cluster(nodes=1, loaders={"items": stubborn}) as cluster:
                cache = await cluster.connect()
                asking.append(asyncio.ensure_future(cache.group("items").get("k")))
                await eventually(lambda: cluster.nodes["a"].group("items").statistics().loading == 1)

        with pytest.raises(LifecycleError, match=r"left behind.*zmcache load .*stubborn"):
            await leave_one_behind()
        gate.set()
        await asyncio.wait(asking)
        assert asking[0].exception() is not None

    asyncio.run(main())


def test_everything_is_stopped_when_the_test_fails() -> None:
    async def main() -> None:
        caches = []

        async def fail() -> None:
            async with Cluster() as cluster:
                caches.append(await cluster.connect())
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        with pytest.raises(LifecycleError):
            caches[0].group("items")
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    asyncio.run(main())
