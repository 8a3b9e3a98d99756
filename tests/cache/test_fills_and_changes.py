"""What a set, a delete and the like mean for the values that are being made meanwhile, in this program and elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cache_worlds import World, in_each_world
from fills import Fill, begun, ended, eventually_async, held

from zmcache.cache.making import making
from zmcache.core.tokens import token_of
from zmcache.core.wire import FILL, FROM_OWNER, LEASED, PUT, Change

_CHANGES: dict[str, Any] = {
    "set": lambda group: group.set("k", b"set"),
    "set_many": lambda group: group.set_many({"k": b"set"}),
    "add": lambda group: group.add("k", b"set"),
    "incr": lambda group: group.incr("k", initial=7),
    "delete": lambda group: group.delete("k"),
    "delete_many": lambda group: group.delete_many(["k"]),
    "clear": lambda group: group.clear(),
}


@pytest.mark.parametrize("change", _CHANGES)
@in_each_world
async def test_who_asks_after_a_change_is_not_given_what_its_program_began_to_make_before(
    world: World, change: str
) -> None:
    old = held(b"old")
    first = await begun(world.one.get_or_set("k", old), old)
    early = asyncio.ensure_future(world.one.get_or_set("k", Fill(b"never")))
    await asyncio.sleep(0)
    # Through a group of another codec, in the same program.
    await _CHANGES[change](world.one_cache.group("items", codec="raw", compress_above="1KiB"))
    expected = await world.one.get("k") or b"new"
    assert await asyncio.wait_for(world.one.get_or_set("k", Fill(b"new")), 2) == expected
    old.gate.set()
    assert await first == await early == b"old", "who waited before the change gets what it waited for"
    assert await world.one.get("k") == await world.other.get("k") == expected


@in_each_world
async def test_a_refresh_that_began_before_a_set_does_not_hold_up_the_next_one(world: World) -> None:
    await world.one.get_or_set("k", Fill(b"first"), ttl=0.03, stale_ttl=60)
    await ended(world, "k")
    hangs = held(b"out of date")
    await begun(world.one.get_or_set("k", hangs, stale_ttl=60), hangs)
    await world.one.set("k", b"set", ttl=0.03)
    await ended(world, "k")
    assert await asyncio.wait_for(world.one.get_or_set("k", Fill(b"second"), ttl=0.03, stale_ttl=60), 2) == b"second"
    await ended(world, "k")
    third = Fill(b"third")
    assert await world.one.get_or_set("k", third, ttl=60, stale_ttl=60) == b"second"
    await eventually_async(lambda: world.one.get("k"), lambda value: value == b"third")


@in_each_world
async def test_a_change_that_finds_nothing_to_change_leaves_the_fill_alone(world: World) -> None:
    fill, late = held(b"made"), Fill(b"late")
    first = await begun(world.one.get_or_set("k", fill), fill)
    assert await world.other.touch("k") is False
    assert await world.other.incr("k") is None
    assert await world.other.cas("k", b"v", 5) is None
    assert await world.one.touch("k") is False
    waiting = asyncio.ensure_future(world.other.get_or_set("k", late))
    await asyncio.sleep(0.02)
    fill.gate.set()
    assert await first == await waiting == b"made"
    assert await world.one.get("k") == b"made"
    assert (late.calls, await world.figure("leases_overtaken")) == (0, 0)


@in_each_world
async def test_an_add_or_a_cas_that_comes_too_late_leaves_the_refresh_alone(world: World) -> None:
    await world.one.set("k", b"5")
    raw = world.one._raw
    status, token = (await raw.change(Change(FILL, "k", b"", 60_000, 1), None))[1::2]
    assert status == LEASED
    assert await world.other.add("k", b"v") is False
    assert await world.other.cas("k", b"v", 5) is False
    assert (await raw.change(Change(FILL, "k", b"", 60_000), None))[0] == b"5"
    refreshed = asyncio.ensure_future(world.other._filling.make_anew("k", Fill(), making()))
    await asyncio.sleep(0.02)
    assert not refreshed.done(), "the lease stands"
    await raw.change(Change(PUT, "k", b"6", token=token), None)
    assert (await refreshed).value == b"6"


@in_each_world
async def test_what_cannot_be_read_is_made_anew_without_taking_it_from_others(world: World) -> None:
    await world.one.set("k", b"\x00 of an older program")
    numbers = world.one_cache.group("items", codec="json")
    fill = held(7)
    making = await begun(numbers.get_or_set("k", fill), fill)
    assert await world.other.get("k") == b"\x00 of an older program"
    fill.gate.set()
    assert await making == 7
    assert await world.other.get("k") == b"7"
    assert await numbers.get_or_set("k", Fill(8)) == 7
    assert await world.figure("deletes") == 0


@in_each_world
async def test_what_another_has_stored_instead_of_what_could_not_be_read_is_taken(world: World) -> None:
    await world.one.set("k", b"new")
    told = await world.one._raw.change(Change(FILL, "k", b"", 1000, token_of(b"unreadable")), None)
    assert told[:2] == (b"new", FROM_OWNER)
    assert (await world.one._raw.change(Change(FILL, "k", b"", 1000, token_of(b"new")), None))[1] == LEASED


@in_each_world
async def test_touch_leaves_a_value_its_stale_time(world: World) -> None:
    await world.one.get_or_set("k", Fill(b"first"), ttl=60, stale_ttl=60)
    await world.one.get_or_set("none", Fill(None), ttl=60, stale_if_error=60)
    assert await world.other.touch("k", ttl=0.03) is True
    assert await world.other.touch("none", ttl=0.03) is True
    await ended(world, "k")
    item = await world.one.fetch_or_set("k", Fill(b"second"), ttl=60)
    assert (item.value, item.source) == (b"first", "stale")
    await eventually_async(lambda: world.other.get("none", b""), lambda value: value == b"")
    bad = Fill(error=RuntimeError("no backend"))
    assert (await world.one.fetch_or_set("none", bad, stale_if_error=60)).source == "stale"


@in_each_world
async def test_a_none_is_not_given_beyond_its_life_for_longer_than_that_life(world: World) -> None:
    find = Fill(None)
    lookup = world.one.cached(key="none", ttl=60, stale_ttl=3600, stale_if_error=3600, negative_ttl=0.05)(_asks(find))
    assert await lookup() is None
    assert await world.other.get("none", b"") is None
    await eventually_async(lambda: world.other.get("none", b""), lambda value: value == b"")
    loop = asyncio.get_running_loop()
    until_s = loop.time() + 0.1
    find.error = RuntimeError("no backend")
    while loop.time() < until_s:  # noqa: ASYNC110  # until its stale time is over, too
        await asyncio.sleep(0.01)
    with pytest.raises(RuntimeError):
        await lookup()


def _asks(fill: Fill) -> Any:
    async def find() -> Any:
        return await fill()

    return find
