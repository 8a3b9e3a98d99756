"""Groups are had, and functions decorated, before anything is connected; where they cannot be used it is said why."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from mesh_fixture import Cluster, mesh_test

import zmcache
from zmcache.cache import CacheGroup
from zmcache.codecs import make_codec
from zmcache.errors import ConfigError, LifecycleError, RecursiveFill, UnknownGroup
from zmcache.testing import local


def calls_of(items: CacheGroup[Any]) -> dict[str, Callable[[], Any]]:
    """One of every call."""

    @items.cached(key="cached")
    async def cached() -> bytes:
        return b"v"

    return {
        "get": lambda: items.get("k"), "default": lambda: items.get("k", b"d"), "fetch": lambda: items.fetch("k"), "gets": lambda: items.gets("k"),
        "get_many": lambda: items.get_many(["k"]), "many": lambda: items.get_many([f"k{n}" for n in range(3000)]),
        "set": lambda: items.set("k", b"v"), "set_many": lambda: items.set_many({"k": b"v"}), "add": lambda: items.add("k", b"v"),
        "touch": lambda: items.touch("k"), "incr": lambda: items.incr("k"), "cas": lambda: items.cas("k", b"v", 1),
        "delete": lambda: items.delete("k"), "delete_many": lambda: items.delete_many(["k"]), "clear": lambda: items.clear(),
        "get_or_set": lambda: items.get_or_set("made", lambda: b"v"), "fetch_or_set": lambda: items.fetch_or_set("made", lambda: b"v"),
        "cached": cached, "refresh": cached.refresh, "invalidate": cached.invalidate,
    }  # fmt: skip


async def refused(calls: dict[str, Callable[[], Any]], why: str) -> None:
    for name, call in calls.items():
        with pytest.raises(LifecycleError, match=why):
            print(name, await call())


@pytest.mark.parametrize("address", ["mem://", "127.0.0.1:1"])
@pytest.mark.parametrize("on_error", ["raise", "miss"])
def test_before_it_is_open_each_call_says_so_whatever_becomes_of_errors(address: str, on_error: str) -> None:
    cache = zmcache.connect(address, on_error=on_error)
    items = cache.group("items")
    asyncio.run(refused(calls_of(items), "not open"))
    assert cache.failures == 0
    with pytest.raises(UnknownGroup):
        cache.group("")
    with pytest.raises(ConfigError):
        cache.group("items", codec="yaml")  # type: ignore[call-overload]


def test_a_function_decorated_at_the_level_of_a_module_works_once_the_connection_is_open() -> None:
    cache = local()
    squares, plain = cache.group("squares", codec="json"), cache.group("squares")

    @squares.cached(key="square:{n}", ttl="1m")
    async def square(n: int) -> int:
        return n * n

    @squares.cached(key="itself")
    async def itself() -> int:
        return await itself()

    assert square.key_for(12) == "square:12"

    async def main() -> None:
        async with cache:
            assert await square(12) == 144
            assert await cache.group("squares", codec="json").get("square:12") == 144
            assert cache.group("squares", codec="json") is squares
            with pytest.raises(RecursiveFill):
                await itself()
            await squares.set("k", 1)
        await refused(calls_of(plain) | {"square": lambda: square(12)}, "closed")
        with pytest.raises(LifecycleError, match="closed"):
            cache.group("squares")
        with pytest.raises(LifecycleError, match="once"):
            await cache.open()

    asyncio.run(main())


def test_over_the_wire_as_well_and_groups_named_while_it_opens_are_no_exception() -> None:
    async def test(cluster: Cluster) -> None:
        client = cluster.client()
        items = client.group("items", codec="json")
        opening = asyncio.create_task(client.open())
        await asyncio.sleep(0)
        others = client.group("items")
        await refused({"get": lambda: others.get("k")}, "not open")
        await opening
        await items.set("k", {"a": 1})
        assert await others.get("k") == b'{"a":1}'
        await client.aclose()

    mesh_test(test, "a", loads=False)


def test_what_was_closed_before_it_was_opened_stays_closed() -> None:
    async def main() -> None:
        cache = zmcache.connect("mem://")
        items = cache.group("items")
        await cache.aclose()
        with pytest.raises(LifecycleError, match="closed"):
            await cache.open()
        await refused(calls_of(items), "closed")

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["mem", "mesh"])
def test_in_another_event_loop_each_call_says_so_a_hit_among_them(kind: str) -> None:
    def elsewhere(items: CacheGroup[bytes]) -> None:
        found: list[BaseException] = []

        def run() -> None:
            try:
                asyncio.run(refused(calls_of(items), "another event loop"))
            except BaseException as error:
                found.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(20)
        assert not found, found

    async def main() -> None:
        async with zmcache.connect("mem://") as cache:
            await fill(cache.group("items"))

    async def test(cluster: Cluster) -> None:
        async with cluster.client() as client:
            await fill(client.group("items"))

    async def fill(items: CacheGroup[bytes]) -> None:
        await items.set_many({f"k{n}": b"v" for n in range(1200)} | {"k": b"v"})
        elsewhere(items)
        assert await items.get("k") == b"v"

    if kind == "mem":
        asyncio.run(main())
    else:
        mesh_test(test, "a", loads=False)


def test_a_connection_made_before_a_fork_is_opened_after_it_and_one_opened_before_is_refused() -> None:
    fresh, opened = zmcache.connect("mem://"), zmcache.connect("mem://")
    group = fresh.group("items")

    async def main() -> int:
        async with opened:
            items = opened.group("items")
            await items.set("k", b"v")
            pid = os.fork()
            if pid == 0:
                # Still in the parent's loop, as far as this process knows.
                status = 1
                try:
                    for call in (items.get("k"), items.set("k", b"w"), items.clear()):
                        with pytest.raises(LifecycleError):
                            call.send(None)
                    status = 0
                finally:
                    os._exit(status)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])  # noqa: ASYNC222  # which ends at once

    assert asyncio.run(main()) == 0

    async def child() -> None:
        async with fresh:
            await group.set("k", b"v")
            assert await group.get("k") == b"v"

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            asyncio.run(child())
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    asyncio.run(child())


def test_the_same_arguments_give_the_same_group_and_others_another() -> None:
    class Unhashable:
        name = "own"
        __hash__ = None  # type: ignore[assignment]

        def encode(self, value: str) -> bytes:
            return value.encode()

        def decode(self, data: bytes) -> str:
            return data.decode()

    async def main() -> None:
        cache: Any = zmcache.connect("mem://")
        own, other, made = Unhashable(), Unhashable(), make_codec("json")
        every: list[dict[str, Any]] = [
            {}, {"codec": "raw"}, {"codec": "json"}, {"codec": "json", "compress_above": 10}, {"codec": "json", "max_decompressed": 10},
            {"type": list[int]}, {"type": int | str}, {"type": str | int}, {"codec": "pickle", "key": b"sixteen bytes !!"},
            {"codec": "pickle", "key": b"sixteen bytes !?"}, {"codec": own}, {"codec": other}, {"codec": made},
        ]  # fmt: skip
        before = [cache.group("items", **arguments) for arguments in every]
        assert len({id(group) for group in before}) == len(every)
        async with cache:
            assert [cache.group("items", **arguments) for arguments in every] == before
            for _ in range(100):
                cache.group("items", type=list[str])
            assert len(cache._groups) == len(every) + 1

    asyncio.run(main())
