"""The decorator: whose results are kept, for how long, and what it says of itself."""

from __future__ import annotations

import asyncio
import inspect
import sys
from datetime import timedelta
from typing import Any

import pytest
from cache_worlds import World, in_each_world
from eventually import eventually

import zmcache
from zmcache.errors import ConfigError, InvalidKey, RecursiveFill, RequestError


@in_each_world
async def test_a_decorated_function_runs_once_for_the_same_arguments(world: World) -> None:
    ran: list[tuple[int, str]] = []

    async def price(item: int, currency: str = "EUR") -> bytes:
        ran.append((item, currency))
        return f"{item} {currency}".encode()

    here = world.one.cached(ttl=60, key="price:{item}:{currency}")(price)
    there = world.other.cached(ttl=60, key="price:{item}:{currency}")(price)
    assert await here(1) == await there(1, "EUR") == await here(item=1) == await here(1, currency="EUR") == b"1 EUR"
    assert await here(1, "USD") == b"1 USD"
    assert ran == [(1, "EUR"), (1, "USD")]
    assert here.key_for(1) == "price:1:EUR"
    assert (here.statistics().calls, here.statistics().fills) == (4, 2)
    assert (there.statistics().calls, there.statistics().fills) == (1, 0)
    assert inspect.signature(here) == inspect.signature(price)
    assert here.__name__ == "price"
    assert asyncio.iscoroutinefunction(here)


@in_each_world
async def test_what_is_invalidated_or_refreshed_is_made_anew(world: World) -> None:
    made = iter(range(100))

    @world.one.cached(ttl=60, key="k:{n}")
    async def number(n: int) -> bytes:
        return b"%d" % next(made)

    assert await number(1) == b"0"
    assert await number.invalidate(1) is True
    assert await number.invalidate(1) is False
    assert await number(1) == b"1"
    assert await number.refresh(1) == b"2"
    assert await world.other.get("k:1") == b"2"
    assert await number(1) == b"2"
    assert await number.refresh(2) == b"3"
    assert await number(2) == b"3"
    item = await number.fetch(2)
    assert (item.value, item.source) == (b"3", "owner")


@in_each_world
async def test_none_is_kept_as_long_as_is_said(world: World) -> None:
    ran: list[str] = []

    def lookup(name: str, **how: Any) -> Any:
        @world.one.cached(ttl=60, key=name + ":{key}", **how)
        async def find(key: str) -> bytes | None:
            ran.append(name)
            return None

        return find

    like_any, never, shortly = lookup("any"), lookup("never", negative_ttl=0), lookup("short", negative_ttl=50)
    spelled = [lookup("spelled", negative_ttl=none) for none in ("0s", "0", timedelta(0), 0.0)]
    for _ in range(3):
        assert await like_any("k") is await never("k") is await shortly("k") is None
        for none in spelled:
            assert await none("k") is None
    assert ran.count("spelled") == 12
    assert ran.count("any") == ran.count("short") == 1
    assert ran.count("never") == 3
    item = await world.one.fetch("short:k")
    assert item is not None
    assert item.ttl_s == pytest.approx(50, abs=5)


@in_each_world
async def test_a_result_that_does_not_meet_the_condition_is_not_kept(world: World) -> None:
    results = iter([b"", b"", b"good", b"unseen"])

    @world.one.cached(ttl=60, key="k", condition=bool)
    async def find() -> bytes:
        return next(results)

    assert [await find() for _ in range(5)] == [b"", b"", b"good", b"good", b"good"]


@in_each_world
async def test_what_the_function_raises_is_raised_and_not_kept(world: World) -> None:
    ran: list[int] = []

    @world.one.cached(key="k")
    async def fails() -> bytes:
        ran.append(1)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await fails()
    assert len(ran) == 2


@in_each_world
async def test_a_function_that_asks_for_its_own_result_raises_instead_of_hanging(world: World) -> None:
    @world.one.cached(key="fib:{n}")
    async def fib(n: int) -> bytes:
        if n < 2:
            return b"%d" % n
        return b"%d" % (int(await fib(n - 1)) + int(await fib(n - 2)))

    @world.one.cached(key="same:{n}")
    async def same(n: int) -> bytes:
        return await same(n)

    assert await fib(10) == b"55"
    assert fib.statistics().fills == 11
    with pytest.raises(RecursiveFill):
        await asyncio.wait_for(same(1), 2)


def test_a_bound_method_looks_like_the_function_it_was_made_of() -> None:
    class Shop:
        @zmcache.connect("mem://").group("items").cached(key="price:{item}", ignore=("self", "currency"))
        async def price(self, item: int, currency: str = "EUR") -> bytes:
            """What it costs."""
            return b""

    bound = Shop().price
    assert asyncio.iscoroutinefunction(bound)
    assert inspect.iscoroutinefunction(bound) or sys.version_info < (3, 12)
    assert (bound.__name__, bound.__qualname__, bound.__module__, bound.__doc__) == (
        "price", Shop.price.__qualname__, __name__, "What it costs.",
    )  # fmt: skip
    assert str(inspect.signature(bound)) == "(item: 'int', currency: 'str' = 'EUR') -> 'bytes'"


@in_each_world
async def test_a_method_is_kept_by_what_its_key_says_of_its_object(world: World) -> None:
    ran: list[tuple[str, int]] = []

    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        @world.one.cached(ttl=60, key="{self.name}:{item}")
        async def price(self, item: int) -> bytes:
            ran.append((self.name, item))
            return f"{self.name} {item}".encode()

    one, other = Shop("one"), Shop("other")
    assert await one.price(1) == await one.price(item=1) == b"one 1"
    assert await other.price(1) == b"other 1"
    assert one.price.key_for(1) == "one:1"
    assert await one.price.invalidate(1) is True
    assert await one.price.refresh(1) == b"one 1"
    assert (await one.price.fetch(1)).value == b"one 1"
    assert ran == [("one", 1), ("other", 1), ("one", 1)]


def test_what_cannot_be_kept_is_refused_where_it_is_decorated() -> None:
    async def main() -> None:
        async with zmcache.connect("mem://") as cache:
            items = cache.group("items")

            def sync(n: int) -> bytes:
                return b""

            async def two(a: int, b: int) -> bytes:
                return b""

            class Method:
                async def get(self, n: int) -> bytes:
                    return b""

            with pytest.raises(ConfigError, match=r"sync.* is not an async def"):
                items.cached()(sync)  # type: ignore[arg-type]
            with pytest.raises(ConfigError, match="leaves out the parameter 'b'"):
                items.cached(key="k:{a}")(two)
            with pytest.raises(ConfigError, match="method"):
                items.cached()(Method.get)
            plain = items.cached()(two)
            for timeout in (-1, 0, float("nan"), "x", True):
                with pytest.raises(RequestError, match="timeout"):
                    items.cached(timeout=timeout)
            unkeyed: Any = object()
            with pytest.raises(InvalidKey, match="'b'"):
                await plain(1, unkeyed)
            with pytest.raises(TypeError):
                await plain(1)  # type: ignore[call-arg]

    asyncio.run(main())


@in_each_world
async def test_five_hundred_callers_through_ten_expiries_never_wait_and_refresh_ten_times(world: World) -> None:
    gate = asyncio.Event()
    gate.set()
    ran: list[int] = []

    @world.one.cached(ttl=0.05, stale_ttl=60, key="k")
    async def slow() -> bytes:
        ran.append(1)
        await gate.wait()
        return b"%d" % len(ran)

    assert await slow() == b"1"
    for expiry in range(1, 11):
        while await world.one.get("k") is not None:  # noqa: ASYNC110  # what is waited for is in the cache
            await asyncio.sleep(0.005)
        gate.clear()
        found = await asyncio.wait_for(asyncio.gather(*(slow() for _ in range(500))), 10)
        assert set(found) == {b"%d" % expiry}, "while the function stands still, all were given the old value"
        await eventually(lambda expiry=expiry: len(ran) == expiry + 1)
        gate.set()
        # A look, which makes nothing anew: it may have ended again by the time that it is seen.
        while (await world.one._raw.peek("k", None))[0] != b"%d" % (expiry + 1):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert len(ran) == expiry + 1, "made anew once at each expiry"
