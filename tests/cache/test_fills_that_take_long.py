"""Functions that take longer than their lease, that never end, and nodes that take what was made and say nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cache_worlds import World, in_each_world
from eventually import eventually
from fake_node import FakeNode, fake_test
from fills import Fill, begun, ended, eventually_async, held
from mesh_fixture import endpoint, took_less_than

import zmcache.testing
from zmcache.cache import CacheGroup
from zmcache.core import wire


@in_each_world
async def test_a_fill_that_hangs_holds_nobody_once_its_lease_is_over(world: World) -> None:
    hangs, good = held(), Fill(b"good")
    first = await begun(world.one.get_or_set("k", hangs, lease=0.1), hangs)
    early = asyncio.ensure_future(world.one.get_or_set("k", good, lease=0.1))
    assert await asyncio.wait_for(early, 5) == b"good", "who waited for it takes over"
    assert await asyncio.wait_for(world.one.get_or_set("k", Fill(), lease=0.1), 5) == b"good"
    assert await asyncio.wait_for(first, 5) == b"good", "even its own caller takes what another has made"
    await eventually(lambda: hangs.cancelled == 1)
    assert good.calls == 1


@in_each_world
async def test_what_another_program_has_made_meanwhile_is_seen_by_who_waits_for_a_fill_that_hangs(world: World) -> None:
    hangs = held()
    first = await begun(world.one.get_or_set("k", hangs, lease=0.1), hangs)
    # Not by a set, which would fence it: by the next holder of the lease.
    told = await eventually_leased(world, "k")
    await world.other._raw.change(wire.Change(wire.PUT, "k", b"theirs", token=told), None)
    assert await asyncio.wait_for(world.one.get_or_set("k", Fill(), lease=0.1), 5) == b"theirs"
    assert await asyncio.wait_for(first, 5) == b"theirs"


async def eventually_leased(world: World, key: str) -> int:
    """The token of the next lease that is granted."""
    while True:
        status, token = (await world.other._raw.change(wire.Change(wire.FILL, key, b"", 60_000), 1.0))[1::2]
        if status == wire.LEASED:
            return token


@in_each_world
async def test_a_refresh_that_hangs_gives_way_to_the_next_and_is_given_up(world: World) -> None:
    await world.one.get_or_set("k", Fill(b"first"), ttl=0.03, stale_ttl=60)
    await ended(world, "k")
    hangs, good = held(), Fill(b"second")
    assert await begun(world.one.get_or_set("k", hangs, stale_ttl=60, lease=0.05), hangs)
    await eventually_async(
        lambda: world.one.get_or_set("k", good, ttl=60, stale_ttl=60, lease=0.05), lambda value: value == b"second"
    )
    assert (hangs.calls, good.calls) == (1, 1)
    await eventually(lambda: hangs.cancelled == 1)


@in_each_world
async def test_what_takes_longer_than_its_lease_is_kept_where_nobody_was_quicker(world: World) -> None:
    slow = held(b"slow")
    first = await begun(world.one.get_or_set("k", slow, lease=0.02), slow)
    await asyncio.wait([first], timeout=0.1)
    assert not first.done()
    slow.gate.set()
    assert await first == b"slow"
    assert await world.one.get("k") == await world.other.get_or_set("k", Fill()) == b"slow"
    assert slow.calls == 1


@in_each_world
async def test_the_first_of_several_who_make_one_value_slowly_gives_it_to_all(world: World) -> None:
    slow, slower = held(b"slow"), held(b"slower")
    first = await begun(world.one.get_or_set("k", slow, lease=0.05), slow)
    second = await begun(world.other.get_or_set("k", slower, lease=60), slower)
    slow.gate.set()
    assert await first == b"slow"
    assert await world.other.get("k") == b"slow"
    slower.gate.set()
    # In the same program it has heard of the first; elsewhere it has its own.
    assert await second == (b"slow" if world.cluster is None else b"slower")
    assert await world.other.get("k") == b"slow"


@in_each_world
async def test_a_delete_wins_over_what_comes_after_its_lease_was_over(world: World) -> None:
    slow = held(b"slow")
    first = await begun(world.one.get_or_set("k", slow, lease=0.02), slow)
    await asyncio.wait([first], timeout=0.05)
    await world.other.delete("k")
    slow.gate.set()
    assert await first == b"slow"
    assert await world.one.get("k") is None


@in_each_world
async def test_whose_own_lease_is_short_waits_for_a_holder_whose_lease_is_long(world: World) -> None:
    long = held(b"long")
    first = await begun(world.one.get_or_set("k", long, lease=10), long)
    short = Fill(b"short")
    waiting = asyncio.ensure_future(world.other.get_or_set("k", short, lease=0.01, timeout=1.0))
    await asyncio.wait([waiting], timeout=1.5)
    assert not waiting.done()
    long.gate.set()
    assert await first == await waiting == b"long"
    assert short.calls == 0


def test_when_lease_after_lease_ends_and_nobody_brings_the_value_the_caller_makes_it_itself() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        def handle(peer: bytes, request: Any) -> None:
            filling = request.kind == wire.FILL
            row = (wire.FILLING if filling else wire.NO_SUCH_KEY, None)
            fake.answer(peer, request.request_id, *[row] * len(request.keys), lives_ms=[0] * len(request.keys))

        fake.handle = handle
        assert await asyncio.wait_for(items.get_or_set("k", lambda: b"made", lease=0.01), 5) == b"made"
        asked = sum(request.kind == wire.FILL for _, request in fake.requests)
        assert 2 < asked < 100, "an owner that answers at once is not asked at once again"

    fake_test(test)


@pytest.mark.parametrize("status", [wire.DONE, wire.KEPT, wire.LOST, wire.NO_SUCH_KEY, wire.NOT_THERE])
@pytest.mark.parametrize("on_error", ["raise", "miss"])
def test_a_node_that_answers_a_fill_with_something_else_does_not_make_the_value_none(
    status: int, on_error: str
) -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: fake.answer(peer, request.request_id, *[(status, None)] * len(request.keys))
        fill = Fill()
        if on_error == "miss":
            assert await items.get_or_set("k", fill) == b"made"
        else:
            with pytest.raises(zmcache.ProtocolError):
                await items.get_or_set("k", fill)
            assert fill.calls == 0

    fake_test(test, on_error=on_error)


@in_each_world
async def test_what_was_made_is_given_though_the_node_hangs_and_is_kept_when_it_is_back(world: World) -> None:
    if world.cluster is None:
        return
    names = list(world.cluster.nodes)

    async def fill() -> bytes:
        for name in names:
            world.cluster.network.pause(endpoint(name))  # type: ignore[union-attr]
        return b"made"

    with took_less_than(0.6):
        assert await world.one.get_or_set("k", fill) == b"made"
    for name in names:
        world.cluster.network.resume(endpoint(name))
    await eventually_async(lambda: world.other.get("k"), lambda value: value == b"made")


@in_each_world
async def test_who_gets_a_key_right_after_making_its_value_finds_it(world: World) -> None:
    for n in range(50):
        assert await world.one.get_or_set(f"k{n}", Fill(b"%d" % n)) == b"%d" % n
        assert await world.one.get(f"k{n}") == await world.other.get(f"k{n}") == b"%d" % n


def test_what_was_made_is_sent_before_the_connection_closes() -> None:
    async def main() -> None:
        async with zmcache.testing.Cluster(nodes=1, groups={"items": None}) as cluster:
            one, other = await cluster.connect(), await cluster.connect()

            async def fill() -> bytes:
                cluster.pause("a")
                return b"made"

            assert await one.group("items").get_or_set("k", fill) == b"made"
            closing = asyncio.ensure_future(one.aclose())
            await asyncio.sleep(0.05)
            assert not closing.done()
            cluster.resume("a")
            await closing
            assert await other.group("items").get("k") == b"made"

    asyncio.run(main())
