"""What every target promises, whatever is behind it: one suite for all of them."""

from __future__ import annotations

import asyncio

from eventually import answered
from target_worlds import KEEPING, WITH_NODES, WITHOUT_NODES, with_target
from zmcache_loadgen.targets.base import ABSENT, Target

HITS = ("hot", "owner", "found")


@with_target(*KEEPING)
async def test_a_key_that_nobody_wrote_is_absent(target: Target) -> None:
    assert await target.read("k") == ABSENT


@with_target(*KEEPING)
async def test_what_was_written_is_read_back_whole(target: Target) -> None:
    values = [b"v", b"", bytes(range(256)), b"END\r\nVALUE x 0 1\r\n", b"z" * 300_000]
    for number, value in enumerate(values):
        await target.write(f"k{number}", value, 0.0)
    for number, value in enumerate(values):
        source, found = await target.read(f"k{number}")
        assert source in HITS
        assert found == value
        assert type(found) is bytes


@with_target(*KEEPING)
async def test_the_last_write_is_what_is_read(target: Target) -> None:
    await target.write("k", b"first", 0.0)
    await target.write("k", b"second", 0.0)
    assert (await target.read("k"))[1] == b"second"


@with_target(*KEEPING)
async def test_a_deleted_key_is_absent_and_deleting_it_again_is_no_error(target: Target) -> None:
    await target.write("k", b"v", 0.0)
    await target.delete("k")
    assert await target.read("k") == ABSENT
    await target.delete("k")


@with_target(*KEEPING)
async def test_many_keys_come_in_the_order_asked(target: Target) -> None:
    for number in range(3):
        await target.write(f"k{number}", b"v%d" % number, 0.0)
    assert await target.read_many(["k2", "nothing", "k0", "k2", "k1"]) == [b"v2", None, b"v0", b"v2", b"v1"]
    assert await target.read_many([]) == []


@with_target(*KEEPING)
async def test_a_value_with_a_life_ends_and_one_without_stays(target: Target) -> None:
    await target.write("short", b"v", 0.05)
    await target.write("long", b"v", 0.0)
    await answered(lambda: target.read("short"), lambda answer: answer == ABSENT, what="its end", within_s=10)
    assert await target.read_many(["short", "long"]) == [None, b"v"]


@with_target(*KEEPING)
async def test_a_new_write_takes_the_old_life_with_it(target: Target) -> None:
    await target.write("k", b"first", 0.05)
    await target.write("other", b"v", 0.05)
    await target.write("k", b"second", 0.0)
    await answered(lambda: target.read("other"), lambda answer: answer == ABSENT, what="its end", within_s=10)
    assert (await target.read("k"))[1] == b"second"


@with_target(*KEEPING, callers=2)
async def test_more_requests_than_callers_wait_their_turn(target: Target) -> None:
    await asyncio.gather(*(target.write(f"k{number}", b"%d" % number, 0.0) for number in range(50)))
    answers = await asyncio.gather(*(target.read(f"k{number}") for number in range(50)))
    assert [value for _, value in answers] == [b"%d" % number for number in range(50)]


@with_target(*KEEPING, callers=1)
async def test_requests_given_up_in_the_middle_leave_nothing_to_those_after_them(target: Target) -> None:
    for number in range(100):
        await target.write(f"k{number}", b"%d" % number, 0.0)
    for number in range(0, 100, 2):
        given_up = asyncio.create_task(target.read(f"k{number}"))
        for _ in range(number % 5):  # not begun, on its way, nearly answered
            await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert (await target.read(f"k{number + 1}"))[1] == b"%d" % (number + 1)


@with_target(*WITH_NODES)
async def test_nodes_count_what_they_were_asked_for(target: Target) -> None:
    before = (await target.counters())["only"]
    for number in range(5):
        await target.write(f"k{number}", b"v", 0.0)
        await target.read(f"k{number}")
    after = (await target.counters())["only"]
    assert (after.requests - before.requests, after.loads) == (10, 0)


@with_target(*WITH_NODES, group="filled")
async def test_a_group_with_a_loader_loads_and_says_so(target: Target) -> None:
    source, value = await target.read("k")
    assert source == "load"
    assert value is not None
    assert value.startswith(b"value of k ")
    assert await target.read("k") == ("owner", value)
    assert await target.read("absent:k") == ABSENT
    assert (await target.counters())["only"].loads == 2  # the one that the backend does not know among them


@with_target(*WITHOUT_NODES, "noop")
async def test_where_there_are_no_nodes_there_is_nobody_to_ask_for_counters(target: Target) -> None:
    assert await target.counters() == {}


@with_target("noop")
async def test_the_target_that_does_nothing_holds_nothing(target: Target) -> None:
    await target.write("k", b"v", 1.0)
    await target.delete("k")
    assert await target.read("k") == ABSENT
    assert await target.read_many(["k", "l"]) == [None, None]


@with_target(*KEEPING, "noop")
async def test_it_says_what_it_is(target: Target) -> None:
    assert target.description["kind"] in ("zmcache", "embedded", "redis", "memcached", "dict", "noop")
    assert all(isinstance(text, str) for text in target.description.values())
