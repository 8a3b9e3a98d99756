"""Values that callers make: one fill in the whole cluster, whatever becomes of who makes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cache_worlds import World, in_each_world
from eventually import eventually
from fills import Fill, ended, eventually_async

from zmcache.core.wire import FILL, LEASED, LOST, PUT, RELEASE, Change
from zmcache.errors import LifecycleError, RecursiveFill, RequestError


@in_each_world
async def test_ten_thousand_callers_of_one_key_are_one_fill(world: World) -> None:
    fill = Fill()
    fill.gate.clear()
    calls = [
        asyncio.ensure_future(group.get_or_set("k", fill)) for _ in range(5000) for group in (world.one, world.other)
    ]
    await eventually(lambda: fill.calls == 1)
    fill.gate.set()
    assert set(await asyncio.gather(*calls)) == {b"made"}
    assert fill.calls == 1
    assert await world.one.get("k") == b"made"
    assert await world.other.get_or_set("k", Fill(b"other")) == b"made"


@in_each_world
async def test_who_asks_elsewhere_waits_for_the_filler_beyond_its_own_timeout(world: World) -> None:
    fill, late = Fill(), Fill(b"late")
    fill.gate.clear()
    first = asyncio.ensure_future(world.one.get_or_set("k", fill, timeout=0.6))
    await eventually(lambda: fill.calls == 1)
    waiting = asyncio.ensure_future(world.other.get_or_set("k", late, timeout=0.5))
    await asyncio.wait([waiting], timeout=0.8)
    assert not waiting.done(), "making takes as long as it takes"
    fill.gate.set()
    assert await first == await waiting == b"made"
    assert late.calls == 0


@in_each_world
async def test_a_filler_that_fails_hands_over_and_its_own_callers_hear_why(world: World) -> None:
    bad, good = Fill(error=RuntimeError("no backend")), Fill()
    bad.gate.clear()
    calls = [asyncio.ensure_future(world.one.get_or_set("k", bad)) for _ in range(5)]
    await eventually(lambda: bad.calls == 1)
    if world.cluster is None:  # one process: who asks there shares the flight
        bad.gate.set()
        assert await asyncio.gather(*calls, return_exceptions=True) == [bad.error] * 5
        assert await world.other.get_or_set("k", good) == b"made"
        return
    waiting = [asyncio.ensure_future(world.other.get_or_set("k", good)) for _ in range(5)]
    await eventually_async(lambda: world.figure("leases"), lambda count: count == 1)
    bad.gate.set()
    assert await asyncio.gather(*calls, return_exceptions=True) == [bad.error] * 5
    assert await asyncio.gather(*waiting) == [b"made"] * 5
    assert (bad.calls, good.calls) == (1, 1)


@in_each_world
async def test_a_filler_that_is_cancelled_hands_over_at_once(world: World) -> None:
    if world.cluster is None:
        return
    slow, good = Fill(), Fill()
    slow.gate.clear()
    first = asyncio.ensure_future(world.one.get_or_set("k", slow))
    await eventually(lambda: slow.calls == 1)
    waiting = asyncio.ensure_future(world.other.get_or_set("k", good))
    await asyncio.sleep(0.02)
    first.cancel()
    assert await asyncio.wait_for(waiting, 2) == b"made"
    assert slow.cancelled == 1


@in_each_world
async def test_a_slow_filler_loses_its_lease_and_what_it_brings_after_another_is_not_stored(world: World) -> None:
    raw = world.one._raw
    status, token = (await raw.change(Change(FILL, "k", b"", 50), None))[1::2]
    assert status == LEASED
    assert await world.other.get_or_set("k", Fill()) == b"made"
    assert (await raw.change(Change(PUT, "k", b"too late", token=token), None))[1] == LOST
    assert await world.other.get("k") == b"made"
    assert await world.figure("leases_overtaken") == 1


@in_each_world
async def test_one_waiters_cancellation_touches_no_other(world: World) -> None:
    fill = Fill()
    fill.gate.clear()
    calls = [asyncio.ensure_future(world.one.get_or_set("k", fill)) for _ in range(10)]
    await eventually(lambda: fill.calls == 1)
    for call in calls[:9]:
        call.cancel()
    await asyncio.sleep(0)
    fill.gate.set()
    assert await calls[9] == b"made"
    assert (fill.calls, fill.cancelled) == (1, 0)


@in_each_world
async def test_when_all_who_wait_have_gone_the_fill_ends_and_the_next_caller_begins_anew(world: World) -> None:
    fill = Fill()
    fill.gate.clear()
    calls = [asyncio.ensure_future(world.one.get_or_set("k", fill)) for _ in range(10)]
    await eventually(lambda: fill.calls == 1)
    for call in calls:
        call.cancel()
    await eventually(lambda: fill.cancelled == 1)
    assert await asyncio.wait_for(world.other.get_or_set("k", Fill(b"next")), 2) == b"next"


@in_each_world
async def test_a_set_during_a_fill_wins_and_who_waits_elsewhere_gets_it(world: World) -> None:
    fill = Fill(b"old")
    fill.gate.clear()
    first = asyncio.ensure_future(world.one.get_or_set("k", fill))
    await eventually(lambda: fill.calls == 1)
    waiting = None if world.cluster is None else asyncio.ensure_future(world.other.get_or_set("k", Fill(b"wrong")))
    await asyncio.sleep(0.02)
    await world.other.set("k", b"set")
    if waiting is not None:
        assert await asyncio.wait_for(waiting, 2) == b"set"
    fill.gate.set()
    assert await first == b"old"
    assert await world.one.get("k") == await world.other.get("k") == b"set"


@in_each_world
async def test_a_delete_during_a_fill_wins_over_what_it_brings(world: World) -> None:
    fill = Fill(b"old")
    fill.gate.clear()
    first = asyncio.ensure_future(world.one.get_or_set("k", fill))
    await eventually(lambda: fill.calls == 1)
    assert await world.other.delete("k") is False
    fill.gate.set()
    assert await first == b"old"
    assert await world.other.get("k") is None
    assert await world.other.get_or_set("k", Fill(b"new")) == b"new"


@in_each_world
async def test_clear_during_a_fill_wins_over_what_it_brings(world: World) -> None:
    fill = Fill(b"old")
    fill.gate.clear()
    first = asyncio.ensure_future(world.one.get_or_set("k", fill))
    await eventually(lambda: fill.calls == 1)
    await world.other.clear()
    fill.gate.set()
    assert await first == b"old"
    assert await world.other.get("k") is None


@in_each_world
async def test_a_fill_may_be_a_plain_function_and_may_make_none(world: World) -> None:
    assert await world.one.get_or_set("k", lambda: b"plain") == b"plain"
    none = Fill(None)
    assert await world.one.get_or_set("none", none) is None
    assert await world.other.get_or_set("none", none) is None
    assert none.calls == 1
    with pytest.raises(RequestError):
        await world.one.get_or_set("value", b"a value")  # type: ignore[call-overload]


@in_each_world
async def test_a_fill_that_asks_for_its_own_key_raises_instead_of_hanging(world: World) -> None:
    async def direct() -> Any:
        return await world.one.get_or_set("k", direct)

    async def one() -> Any:
        return await world.one.get_or_set("two", two)

    async def two() -> Any:
        return await world.one.get_or_set("one", one)

    for key, fill in (("k", direct), ("one", one)):
        with pytest.raises(RecursiveFill):
            await asyncio.wait_for(world.one.get_or_set(key, fill), 2)
    assert await world.one.get_or_set("k", Fill()) == b"made"


@in_each_world
async def test_a_fill_may_ask_for_other_keys(world: World) -> None:
    async def outer() -> bytes:
        return b"outer of " + await world.one.get_or_set("inner", Fill(b"inner"))

    assert await world.other.get_or_set("outer", outer) == b"outer of inner"


@in_each_world
async def test_past_its_life_all_get_the_old_value_and_one_makes_it_anew(world: World) -> None:
    fill = Fill(b"first")
    await world.one.get_or_set("k", fill, ttl=0.03, stale_ttl=60)
    await ended(world, "k")
    fill.value = b"second"
    fill.gate.clear()
    groups = (world.one, world.other)
    items = await asyncio.gather(
        *(group.fetch_or_set("k", fill, ttl=60, stale_ttl=60) for _ in range(200) for group in groups)
    )
    assert {(item.value, item.source) for item in items} == {(b"first", "stale")}, "nobody waited"
    await eventually(lambda: fill.calls == 2)
    fill.gate.set()
    await eventually_async(lambda: world.one.get("k"), lambda value: value == b"second")
    assert (await world.other.fetch_or_set("k", fill)).source in ("owner", "hot")
    assert fill.calls == 2


@in_each_world
async def test_a_refresh_that_fails_leaves_the_old_value_for_its_stale_time(world: World) -> None:
    await world.one.get_or_set("k", Fill(b"first"), ttl=0.03, stale_ttl=60)
    await ended(world, "k")
    bad = Fill(error=RuntimeError("no backend"))
    for _ in range(3):
        assert await world.one.get_or_set("k", bad, ttl=60, stale_ttl=60) == b"first"
        await asyncio.sleep(0.01)
    await eventually(lambda: bad.calls >= 1)
    good = Fill(b"second")
    await eventually_async(
        lambda: world.other.get_or_set("k", good, ttl=60, stale_ttl=60), lambda value: value == b"second"
    )
    assert good.calls == 1


@in_each_world
async def test_when_making_it_anew_fails_the_old_value_serves_where_it_was_kept_for_that(world: World) -> None:
    await world.one.get_or_set("k", Fill(b"first"), ttl=0.03, stale_if_error=60)
    await world.one.get_or_set("none", Fill(None), ttl=0.03, stale_if_error=60)
    await ended(world, "k")
    bad = Fill(error=RuntimeError("no backend"))
    item = await world.other.fetch_or_set("k", bad, ttl=60, stale_if_error=60)
    assert (item.value, item.source, bad.calls) == (b"first", "stale", 1)
    assert await world.other.get_or_set("none", bad, ttl=60, stale_if_error=60) is None
    with pytest.raises(RuntimeError):
        await world.other.get_or_set("k", bad)
    good = Fill(b"second")
    await eventually_async(
        lambda: world.other.get_or_set("k", good, stale_if_error=60), lambda value: value == b"second"
    )
    assert good.calls == 1


@in_each_world
async def test_an_item_says_where_it_came_from_and_how_long_it_lives(world: World) -> None:
    item = await world.one.fetch_or_set("k", Fill(), ttl=50)
    assert (item.value, item.source) == (b"made", "fill")
    assert item.ttl_s == pytest.approx(50, abs=5)
    item = await world.other.fetch_or_set("k", Fill(), ttl=50)
    assert (item.value, item.source) == (b"made", "owner")
    assert item.ttl_s == pytest.approx(50, abs=5)


@in_each_world
async def test_closing_ends_the_fills_under_way_and_gives_their_leases_back(world: World) -> None:
    if world.cluster is None:
        return
    slow = Fill()
    slow.gate.clear()
    first = asyncio.ensure_future(world.one.get_or_set("k", slow, lease=60))
    await eventually(lambda: slow.calls == 1)
    await world.one_cache.aclose()
    with pytest.raises(LifecycleError, match="closed"):
        await first  # and not CancelledError: nobody has cancelled it
    assert await asyncio.wait_for(world.other.get_or_set("k", Fill()), 2) == b"made"


@in_each_world
async def test_a_lease_that_is_granted_as_its_asker_is_cancelled_is_given_back(world: World) -> None:
    raw = world.one._raw
    fill = Change(FILL, "k", b"", 60_000)
    for turns in range(12):
        first = await raw.change(fill, None)
        assert first[1] == LEASED
        waiter = asyncio.ensure_future(raw.change(fill, None))
        await asyncio.sleep(0.01)
        raw.post(Change(RELEASE, "k", token=first[3]))
        for _ in range(turns):
            await asyncio.sleep(0)
        if waiter.done():
            token = waiter.result()[3]
        else:
            waiter.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiter
            status, token = (await asyncio.wait_for(raw.change(fill, None), 2))[1::2]
            assert status == LEASED
        await raw.change(Change(RELEASE, "k", token=token), None)
