"""Tags in a cluster of three processes: who invalidates, who reads, and what is told while a node is gone or stands still."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import zmq
from click.testing import CliRunner, Result
from eventually import answered
from news_relay import NewsRelay
from static_nodes import StaticNodes, relayed_nodes, static_nodes

import zmcache
from zmcache.cli import main
from zmcache.core import wire

TOLD_S = (
    2.0  # docs/client.md, "Tags": near copies elsewhere go as soon as the message is there, two seconds at the most
)
LATE_S = 5.0
"""docs: a node that could not be told asks the others every second; with room for a machine that does much else."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaticNodes]:
    with static_nodes(tmp_path_factory.mktemp("tags"), "abc") as running:
        yield running


@asynccontextmanager
async def items_of(nodes: StaticNodes, **options: Any) -> AsyncIterator[zmcache.CacheGroup[bytes]]:
    async with zmcache.connect(nodes.address, **options) as cache:
        yield cache.group("items")


async def one_of_each(nodes: StaticNodes, of: str) -> dict[str, str]:
    """A key for each node, by its owner."""
    async with zmcache.connect(nodes.address) as cache:
        ring = cache.ring()
    return {ring.owner(key).node_id: key for key in (f"{of}-{n}" for n in range(100))}


def invalidate(nodes: StaticNodes, *tags: str) -> Result:
    named = [word for tag in tags for word in ("--tag", tag)]
    return CliRunner().invoke(main, ["invalidate", *named, "--nodes", nodes.address, "--group", "items"])


async def kept_near(items: zmcache.CacheGroup[bytes], keys: list[str]) -> None:
    """Get them until each comes from a copy."""
    for key in keys:
        for _ in range(1000):
            before = items.near_statistics()
            await items.get(key)
            after = items.near_statistics()
            assert before is not None
            assert after is not None
            if after.hits > before.hits:
                break
            await asyncio.sleep(0.005)
        else:
            raise AssertionError(f"no copy of {key} is kept")


@pytest.mark.parametrize("by", ["another client", "the command"])
def test_what_one_program_has_set_and_another_invalidates_is_gone_for_all_who_read(nodes: StaticNodes, by: str) -> None:
    async def test() -> None:
        keys = list((await one_of_each(nodes, by)).values())
        others = [f"{key}-kept" for key in keys]
        async with (
            items_of(nodes) as setting,
            items_of(nodes) as telling,
            items_of(nodes) as reading,
            items_of(nodes, near="1MiB", near_ttl="10m") as near,
        ):
            assert await setting.set_many(dict.fromkeys(keys, b"1"), tags=["orders", by]) == []
            assert await setting.set_many(dict.fromkeys(others, b"1"), tags=[f"not {by}"]) == []
            await kept_near(near, keys + others)
            async with aclosing(near.watch(keys[0])) as updates:
                assert (await asyncio.wait_for(anext(updates), TOLD_S)).value == b"1"
                if by == "the command":
                    result = await asyncio.to_thread(invalidate, nodes, by)
                    assert result.exit_code == 0, result.stderr
                else:
                    await telling.invalidate_tags(by)
                # Whoever asks the owners finds nothing from now on; who keeps copies is told.
                assert await reading.get_many(keys + others) == dict.fromkeys(others, b"1")
                assert not (await asyncio.wait_for(anext(updates), TOLD_S)).exists

            async def found() -> list[bytes | None]:
                return [await near.get(key) for key in keys]

            await answered(found, lambda values: not any(values), what="no near copy is left", within_s=TOLD_S)
            before = near.near_statistics()
            assert [await near.get(key) for key in others] == [b"1"] * len(others)
            after = near.near_statistics()
            assert before is not None
            assert after is not None
            assert after.hits - before.hits == len(others), "what has other tags stays"

    asyncio.run(test())


@pytest.mark.slow
def test_near_copies_are_gone_within_two_seconds_though_no_node_can_say_so(tmp_path: Path) -> None:
    async def test() -> None:
        relay = NewsRelay(seed=7)
        relay.victim = os.getpid()
        async with (
            relayed_nodes(tmp_path, "abc", relay) as nodes,
            items_of(nodes) as telling,
            items_of(nodes, near="1MiB", near_ttl="10m") as near,
        ):
            keys = list((await one_of_each(nodes, "lost")).values())
            assert await telling.set_many(dict.fromkeys(keys, b"1"), tags=["t"]) == []
            await kept_near(near, keys)
            relay.treat = relay.lose_all
            await telling.invalidate_tags("t")
            told_s = time.monotonic()
            while time.monotonic() < told_s + 2 * TOLD_S:
                began_s = time.monotonic()
                found = [await near.get(key) for key in keys]
                assert not any(found) or began_s < told_s + TOLD_S, f"{found}, {began_s - told_s:.2f} s later"
                await asyncio.sleep(0.01)
            assert relay.done["lost"] == len(keys)

    asyncio.run(test())


def test_what_was_being_made_in_one_program_when_another_invalidated_its_tag_is_not_kept(nodes: StaticNodes) -> None:
    async def test() -> None:
        began, gate = asyncio.Event(), asyncio.Event()

        async def make() -> bytes:
            began.set()
            await gate.wait()
            return b"made of what was there before"

        async with items_of(nodes) as making, items_of(nodes) as telling, items_of(nodes, near="1MiB") as near:
            for key in (await one_of_each(nodes, "made")).values():
                began.clear()
                gate.clear()
                waits = asyncio.create_task(making.get_or_set(key, make, tags=["sources"], ttl=60))
                await asyncio.wait_for(began.wait(), TOLD_S)
                await telling.invalidate_tags("sources")
                gate.set()
                assert await waits == b"made of what was there before", "to who began to wait before"
                for _ in range(3):
                    assert await near.get(key) is None
                    assert await telling.get(key) is None
                assert await telling.get_or_set(key, lambda: b"anew", tags=["sources"]) == b"anew"
                assert await near.get(key) == b"anew"

    asyncio.run(test())


def test_ten_thousand_tags_on_one_key_are_refused_by_the_client_and_by_a_node(nodes: StaticNodes) -> None:
    tags = [f"tag-{n}" for n in range(10_000)]

    async def test() -> None:
        async with items_of(nodes) as items:
            await items.set("many", b"before")
            with pytest.raises(zmcache.InvalidTag, match=r"^10000 tags on one key, limit 32$"):
                await items.set("many", b"v", tags=tags)
            # One that does not look itself is told so, and served on.
            context = zmq.Context()
            socket = context.socket(zmq.DEALER)
            try:
                socket.linger = 0
                socket.connect(f"tcp://{nodes.at['a']}")
                header = wire.header(wire.SET, 5, zmcache.Epoch(0, 0), deadline_ms=1000, group="items")
                columns = ["many"], [b"v"], [wire.FOREVER], None, None, ["\n".join(tags)]
                socket.send(wire.encode(wire.Set(*header, *columns)))
                assert await asyncio.to_thread(socket.poll, 5000)
                refusal = wire.decode(socket.recv(), wire.Limits())
                assert isinstance(refusal, wire.Refusal)
                assert (refusal.request_id, refusal.code) == (5, zmcache.InvalidTag.code)
                socket.send(wire.encode(wire.Query(*wire.header(wire.PING, 9, zmcache.Epoch(0, 0)))))
                assert await asyncio.to_thread(socket.poll, 5000)
                assert wire.decode(socket.recv(), wire.Limits()).request_id == 9
            finally:
                socket.close()
                context.term()
            assert await items.get("many") == b"before"

    asyncio.run(test())


def test_a_killed_node_is_named_and_the_others_are_told(tmp_path: Path) -> None:
    async def test(nodes: StaticNodes) -> None:
        keys = await one_of_each(nodes, "k")
        async with items_of(nodes, timeout=1.0) as items, items_of(nodes, timeout=1.0) as reading:
            for key in keys.values():
                await items.set(key, b"v", tags=["t", "u"])
            nodes.signal("c", signal.SIGKILL)
            nodes.commands["c"].wait_end()
            with pytest.raises(zmcache.NotAllTold) as caught:
                await items.invalidate_tags("t")
            assert caught.value.nodes == ("c",)
            assert [await reading.get(keys[name]) for name in "ab"] == [None, None]
            result = await asyncio.to_thread(invalidate, nodes, "u")
            assert result.exit_code == 1
            assert "c" in result.stderr.split()[-1], result.stderr
            assert len(result.stderr.splitlines()) == 1, result.stderr
            # Begun again it holds nothing of before, and what is set there with the tag stays.
            await asyncio.to_thread(nodes.begin, "c")

            async def is_set() -> bytes | None:
                await items.set(keys["c"], b"after", tags=["t"])
                async with zmcache.connect(nodes.at["c"], route="any") as straight:
                    return await straight.group("items").get(keys["c"])

            await answered(is_set, lambda value: value == b"after", what="c serves again", within_s=3 * LATE_S)

            async def is_told() -> bool:
                with contextlib.suppress(zmcache.NotAllTold):  # from here it may be out of reach for a moment more
                    await items.invalidate_tags("t")
                    return True
                return False

            await answered(is_told, bool, what="c is told, too", within_s=3 * LATE_S)
            assert await reading.get(keys["c"]) is None

    with static_nodes(tmp_path, "abc") as nodes:
        asyncio.run(test(nodes))


@pytest.mark.slow
def test_a_node_that_stood_still_gives_nothing_that_was_invalidated_meanwhile(tmp_path: Path) -> None:
    async def test(nodes: StaticNodes) -> None:
        async with zmcache.connect(nodes.address) as cache:
            ring = cache.ring()
        owned = (key for key in (f"k-{n}" for n in range(10_000)) if ring.owner(key).node_id == "c")
        old, good = list(islice(owned, 100)), list(islice(owned, 100))
        async with (
            items_of(nodes, timeout=1.0) as items,
            zmcache.connect(nodes.at["c"], route="any", timeout=LATE_S) as straight,
        ):
            assert await items.set_many(dict.fromkeys(old, b"v"), tags=["t"]) == []
            assert await items.set_many(dict.fromkeys(good, b"v"), tags=["u"]) == []
            asked = straight.group("items")
            await answered(
                lambda: asked.get_many(good), lambda found: len(found) == 100, what="c trusts itself", within_s=10
            )
            nodes.signal("c", signal.SIGSTOP)
            try:
                with pytest.raises(zmcache.NotAllTold) as caught:
                    await items.invalidate_tags("t")
                assert caught.value.nodes == ("c",)
                # What waits for it while it stands still is the first that it answers.
                waiting = [asyncio.create_task(asked.get(key, timeout=10)) for key in old]
                await asyncio.sleep(1.5)
            finally:
                nodes.signal("c", signal.SIGCONT)
            assert not any(await asyncio.gather(*waiting))

            async def good_ones() -> dict[str, bytes]:
                assert await asked.get_many(old) == {}
                return await asked.get_many(good)

            await answered(
                good_ones, lambda found: len(found) == 100, what="the rest is given again", within_s=2 * LATE_S
            )

    with static_nodes(tmp_path, "abc") as nodes:
        asyncio.run(test(nodes))
