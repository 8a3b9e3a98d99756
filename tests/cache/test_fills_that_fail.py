"""Functions that raise, that are cancelled, whose values cannot be kept: who hears of it, and how often it is tried again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cache_worlds import World, in_each_world
from eventually import eventually
from fills import Fill, begun, ended, eventually_async, held

from zmcache.cache.making import making
from zmcache.errors import LoaderFailed


@in_each_world
async def test_a_fill_that_is_cancelled_by_something_of_its_own_cancels_nobody(world: World) -> None:
    bad = held(error=asyncio.CancelledError())
    first = await begun(world.one.get_or_set("k", bad), bad)
    calls = [first, *(asyncio.ensure_future(world.one.get_or_set("k", bad)) for _ in range(3))]
    await asyncio.sleep(0)
    bad.gate.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(error) for error in found] == [LoaderFailed] * 4
    assert bad.calls == 1

    async def cancels_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    with pytest.raises(LoaderFailed):
        await world.one.get_or_set("k", cancels_itself)
    assert await asyncio.wait_for(world.other.get_or_set("k", Fill()), 2) == b"made"


@in_each_world
async def test_a_fill_that_is_cancelled_before_its_first_step_lets_the_next_one_begin(world: World) -> None:
    call = asyncio.ensure_future(world.one._filling._joined("k", Fill(), making(), world.one._filling._filler.fill))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    await eventually(lambda: not len(world.one._filling._flights))
    assert await asyncio.wait_for(world.one.get_or_set("k", Fill()), 2) == b"made"


@in_each_world
async def test_in_the_stale_time_a_backend_that_is_down_is_asked_once_in_a_while_and_not_by_every_call(
    world: World,
) -> None:
    await world.one.get_or_set("k", Fill(b"first"), ttl=0.03, stale_ttl=60)
    await ended(world, "k")
    bad = Fill(error=RuntimeError("no backend"))
    for _ in range(20):
        assert await world.one.get_or_set("k", bad, ttl=60, stale_ttl=60) == b"first"
        await eventually(lambda: not len(world.one._filling._refreshes))
    assert bad.calls == 1
    good = Fill(b"second")
    await eventually_async(
        lambda: world.one.get_or_set("k", good, ttl=60, stale_ttl=60), lambda value: value == b"second"
    )
    assert good.calls == 1


@pytest.mark.parametrize("unkept", [b"", None])
@in_each_world
async def test_a_refresh_whose_result_is_not_kept_is_not_tried_by_every_call(world: World, unkept: Any) -> None:
    result: Any = b"first"

    @world.one.cached(key="k", ttl=0.03, stale_ttl=60, condition=lambda found: found != b"", negative_ttl=0)
    async def find() -> Any:
        return result

    assert await find() == b"first"
    await ended(world, "k")
    result = unkept
    for _ in range(20):
        assert await find() == b"first"
        await eventually(lambda: not len(world.one._filling._refreshes))
    assert find.statistics().fills == 2


@in_each_world
async def test_where_the_old_value_serves_for_a_failure_the_function_is_not_run_by_every_call(world: World) -> None:
    await world.one.get_or_set("k", Fill(b"first"), ttl=0.03, stale_if_error=60)
    await ended(world, "k")
    bad = Fill(error=RuntimeError("no backend"))
    for _ in range(20):
        item = await world.one.fetch_or_set("k", bad, stale_if_error=60)
        assert (item.value, item.source) == (b"first", "stale")
    assert bad.calls == 1
    with pytest.raises(RuntimeError):
        await world.one.get_or_set("k", bad)  # who has no use for an old value
    await world.one.delete("k")
    assert await world.one.get_or_set("k", Fill(b"second"), stale_if_error=60) == b"second"


@in_each_world
async def test_a_refresh_raises_what_its_function_raised_though_an_old_value_could_serve(world: World) -> None:
    fails = False

    @world.one.cached(key="k", ttl=60, stale_ttl=60, stale_if_error=60)
    async def find() -> bytes:
        if fails:
            raise RuntimeError("no backend")
        return b"first"

    assert await find() == b"first"
    fails = True
    found = await asyncio.gather(*(find.refresh() for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in found] == ["no backend"] * 3
    assert await find() == await world.other.get("k") == b"first"
    fails = False
    assert await find.refresh() == b"first"
    assert find.statistics().fills == 3, "those who refreshed at once shared one run"


@in_each_world
async def test_during_a_refresh_others_are_given_what_there_is(world: World) -> None:
    fill = held(b"second")

    @world.one.cached(key="k", ttl=60)
    async def find() -> Any:
        return await fill()

    await world.one.set("k", b"first")
    refreshing = await begun(find.refresh(), fill)
    again = asyncio.ensure_future(find.refresh())
    assert await asyncio.wait_for(find(), 2) == b"first"
    fill.gate.set()
    assert await refreshing == await again == b"second"
    assert fill.calls == 1


@in_each_world
async def test_a_value_that_cannot_be_kept_is_given_and_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    numbers = world.one_cache.group("items", codec="json")
    unkept: Any
    for unkept in (object(), "x" * (2 << 20)):
        fill = Fill(unkept)
        assert await numbers.get_or_set("k", fill) is unkept
        assert await numbers.get_or_set("k", fill) is unkept
        assert fill.calls == 2
    assert caplog.text.count("cannot be stored") == 1, "once in a while"
    assert await world.other.get_or_set("k", Fill(b"1")) == b"1", "its lease was given back"
