"""Functions that make values and ask for others' meanwhile: what would wait for itself raises, and nothing else does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cache_worlds import World, in_each_world
from eventually import eventually
from fills import Fill, ended, held

import zmcache.testing
from zmcache.errors import InvalidKey, RecursiveFill


@in_each_world
async def test_two_fills_that_ask_for_each_other_raise_instead_of_hanging(world: World) -> None:
    other_codec = world.one_cache.group("items", codec="raw", compress_above="1KiB")
    both = [asyncio.Event(), asyncio.Event()]

    async def one() -> Any:
        both[0].set()
        await both[1].wait()
        return await other_codec.get_or_set("two", two)

    async def two() -> Any:
        both[1].set()
        await both[0].wait()
        return await world.one.get_or_set("one", one)

    calls = (world.one.get_or_set("one", one), other_codec.get_or_set("two", two))
    found = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
    assert [type(error) for error in found] == [RecursiveFill, RecursiveFill]
    assert await world.one.get_or_set("one", Fill()) == b"made"


@in_each_world
async def test_a_ring_of_fills_in_which_one_asks_for_several_raises(world: World) -> None:
    asked = {"a": ["x", "b"], "b": ["y", "c"], "c": ["z", "a"]}
    begun: set[str] = set()

    async def make(key: str) -> Any:
        begun.add(key)
        await eventually(lambda: begun >= asked.keys())
        await asyncio.gather(*(world.one.get_or_set(wanted, fills[wanted]) for wanted in asked[key]))
        return key.encode()

    fills: dict[str, Any] = {key: (lambda key=key: make(key)) for key in asked}
    fills |= {key: Fill() for key in "xyz"}
    calls = [world.one.get_or_set(key, fills[key]) for key in asked]
    found = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
    assert {type(error) for error in found} == {RecursiveFill}


@in_each_world
async def test_two_fills_that_wait_for_a_third_do_not_raise(world: World) -> None:
    third = held(b"3")

    async def asks(name: bytes) -> bytes:
        return name + await world.one.get_or_set("third", third)

    calls = [asyncio.ensure_future(world.one.get_or_set(f"{n}", lambda n=n: asks(b"%d" % n))) for n in range(2)]
    await eventually(lambda: third.calls == 1)
    third.gate.set()
    assert await asyncio.gather(*calls) == [b"03", b"13"]


@in_each_world
async def test_a_refresh_inside_its_own_fill_raises_instead_of_hanging(world: World) -> None:
    @world.one.cached(key="k:{n}")
    async def again(n: int) -> bytes:
        return await again.refresh(n)

    @world.one.cached(key="one")
    async def one() -> bytes:
        return await two.refresh()

    @world.one.cached(key="two")
    async def two() -> bytes:
        return await one.refresh()

    for call in (again(1), again.refresh(2), one(), one.refresh()):
        with pytest.raises(RecursiveFill):
            await asyncio.wait_for(call, 2)


@in_each_world
async def test_two_refreshes_that_ask_for_each_other_raise(world: World) -> None:
    begun: set[str] = set()

    @world.one.cached(key="a")
    async def a() -> bytes:
        begun.add("a")
        await eventually(lambda: len(begun) == 2)
        return await b()

    @world.one.cached(key="b")
    async def b() -> bytes:
        begun.add("b")
        await eventually(lambda: len(begun) == 2)
        return await a.refresh()

    found = await asyncio.wait_for(asyncio.gather(a.refresh(), b(), return_exceptions=True), 5)
    assert {type(error) for error in found} == {RecursiveFill}


@in_each_world
async def test_a_task_that_outlives_the_fill_it_was_begun_in_may_ask_for_the_key(world: World) -> None:
    go = asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def later() -> Any:
        await go.wait()
        return await world.one.get_or_set("k", Fill(b"later"))

    async def fill() -> bytes:
        tasks.append(asyncio.create_task(later()))
        return b"made"

    assert await world.one.get_or_set("k", fill) == b"made"
    await world.one.delete("k")
    go.set()
    assert await asyncio.wait_for(tasks[0], 2) == b"later"


@in_each_world
async def test_what_a_fill_has_made_anew_in_the_background_may_ask_for_its_result(world: World) -> None:
    await world.one.get_or_set("inner", Fill(b"old"), ttl=0.03, stale_ttl=60)
    await ended(world, "inner")
    inner_asked = asyncio.Event()

    async def inner() -> Any:
        inner_asked.set()
        return b"of " + await world.one.get_or_set("outer", Fill())

    async def outer() -> Any:
        old = await world.one.get_or_set("inner", inner, stale_ttl=60)
        await inner_asked.wait()
        return old + b" and outer"

    assert await asyncio.wait_for(world.one.get_or_set("outer", outer), 2) == b"old and outer"
    await eventually(lambda: not len(world.one._filling._refreshes))
    assert await world.one.get("inner") == b"of old and outer"


@in_each_world
async def test_a_refresh_whose_key_is_wrong_raises_and_harms_none_beside_it(world: World) -> None:
    @world.one.cached(key=lambda text: text)
    async def upper(text: str) -> bytes:
        return text.upper().encode()

    wrong = [upper.refresh(key) for key in ("", "\ud800")]
    found = await asyncio.gather(*wrong, upper.refresh("fine"), return_exceptions=True)
    assert [type(error) for error in found[:2]] == [InvalidKey] * 2
    assert found[2] == b"FINE"


def test_a_cache_that_is_away_is_no_stampede_and_recursion_in_it_raises() -> None:
    async def main() -> None:
        async with zmcache.testing.Cluster(nodes=2) as cluster:
            items = (await cluster.connect(on_error="miss")).group("items")
            for name in cluster.nodes:
                cluster.cut(name)
            await items.get("k")
            fill = held()
            calls = [asyncio.ensure_future(items.get_or_set("k", fill)) for _ in range(500)]
            await eventually(lambda: items._filling._flights.waiting == 500)
            fill.gate.set()
            assert await asyncio.gather(*calls) == [b"made"] * 500
            assert fill.calls == 1

            @items.cached(key="n:{n}")
            async def same(n: int) -> bytes:
                return await same(n)

            with pytest.raises(RecursiveFill):
                await asyncio.wait_for(same(1), 2)
            assert same.statistics().fills == 1

    asyncio.run(main())
