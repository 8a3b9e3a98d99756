"""Tags in the calls of a group: what has one that was invalidated is not found any more, whatever is behind the group."""

from __future__ import annotations

import asyncio

import pytest
from cache_worlds import World, in_each_world
from mesh_fixture import Cluster

from zmcache.core.wire import Limits
from zmcache.errors import ConfigError, InvalidTag, ValueTooLarge


@in_each_world
async def test_what_has_a_tag_is_gone_when_the_tag_was_invalidated_and_nothing_else_is(world: World) -> None:
    for n in range(20):
        await world.one.set(f"key-{n}", b"v", tags=[f"user:{n % 2}", "all"])
    await world.one.set("plain", b"v")
    await world.other.invalidate_tags("user:1")
    for items in (world.one, world.other):
        found = await items.get_many([f"key-{n}" for n in range(20)] + ["plain"])
        assert set(found) == {f"key-{n}" for n in range(0, 20, 2)} | {"plain"}
    await world.one.invalidate_tags("user:0", "never heard of")
    assert await world.other.get_many([f"key-{n}" for n in range(20)] + ["plain"]) == {"plain": b"v"}


@in_each_world
async def test_what_is_set_after_its_tag_was_invalidated_stays(world: World) -> None:
    for n in range(10):
        await world.one.set(f"key-{n}", b"old", tags=["t"])
        await world.one.invalidate_tags("t")
        await world.other.set(f"key-{n}", b"new", tags=["t"])
        assert await world.one.get(f"key-{n}") == b"new"


@in_each_world
async def test_a_value_that_is_set_without_tags_has_none(world: World) -> None:
    await world.one.set("k", b"1", tags=["t"])
    await world.one.set("k", b"2")
    await world.one.invalidate_tags("t")
    assert await world.other.get("k") == b"2"


@in_each_world
async def test_every_way_to_store_a_value_takes_tags(world: World) -> None:
    assert await world.one.add("added", b"v", tags=["t"])
    assert await world.one.set_many({"many-1": b"v", "many-2": None}, tags=["t"]) == []
    assert len(await world.other.get_many(["added", "many-1", "many-2"])) == 3
    await world.one.invalidate_tags("t")
    assert await world.other.get_many(["added", "many-1", "many-2"]) == {}
    assert await world.other.add("added", b"again")


@in_each_world
async def test_what_comes_of_a_value_has_its_tags(world: World) -> None:
    await world.one.set("touched", b"v", tags=["t"])
    await world.one.set("counted", b"1", tags=["t"])
    await world.one.set("swapped", b"v", tags=["t"])
    assert await world.one.touch("touched", ttl=100)
    assert await world.one.incr("counted") == 2
    got = await world.one.gets("swapped")
    assert got is not None
    assert await world.one.cas("swapped", b"w", got[1])
    assert len(await world.other.get_many(["touched", "counted", "swapped"])) == 3
    await world.one.invalidate_tags("t")
    assert await world.other.get_many(["touched", "counted", "swapped"]) == {}
    assert not await world.one.touch("touched")
    assert await world.one.incr("counted") is None
    assert await world.one.cas("swapped", b"x", got[1]) is None


@in_each_world
async def test_an_entry_that_is_old_gives_its_room_back_when_it_is_looked_for(world: World) -> None:
    await world.one.set("k", b"v", tags=["t"])
    await world.one.invalidate_tags("t")
    assert await world.figure("entries") == 1
    assert await world.one.get("k") is None
    assert await world.figure("entries") == 0


@in_each_world
async def test_ten_thousand_tags_on_one_key_are_refused_before_anything_is_sent(world: World) -> None:
    tags = [f"tag-{n}" for n in range(10_000)]
    for call in (
        world.one.set("k", b"v", tags=tags),
        world.one.set_many({"k": b"v"}, tags=tags),
        world.one.add("k", b"v", tags=tags),
    ):
        with pytest.raises(InvalidTag, match=r"^10000 tags on one key, limit 32$"):
            await call
    assert await world.one.get("k") is None


@in_each_world
async def test_what_is_no_tag_is_refused(world: World) -> None:
    for wrong in ("", "a\nb", "x" * 251, 5, ["a"]):
        with pytest.raises(InvalidTag):
            await world.one.invalidate_tags(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidTag, match="not one text"):
        await world.one.set("k", b"v", tags="user:42")


@in_each_world
async def test_more_tags_than_a_message_holds_are_invalidated_in_one_call(world: World) -> None:
    for n in (0, 999, 2499):
        await world.one.set(f"key-{n}", b"v", tags=[f"tag-{n}"])
    await world.one.invalidate_tags(*(f"tag-{n}" for n in range(2500)))
    assert await world.one.get_many(["key-0", "key-999", "key-2499"]) == {}


@in_each_world
async def test_nothing_is_asked_where_no_tag_is_named(world: World) -> None:
    await world.one.set("k", b"v", tags=["t"])
    await world.one.invalidate_tags()
    assert await world.one.get("k") == b"v"


@in_each_world
async def test_tags_are_invalidated_while_others_set_and_nothing_old_outlives_the_call(world: World) -> None:
    async def keep_setting(n: int) -> None:
        for turn in range(30):
            await world.one.set(f"key-{n}", b"%d" % turn, tags=["t"])

    setting = [asyncio.create_task(keep_setting(n)) for n in range(5)]
    before = [await world.other.get(f"key-{n}") for n in range(5)]
    await world.other.invalidate_tags("t")
    for n, old in enumerate(before):
        now = await world.other.get(f"key-{n}")
        assert now is None or old is None or int(now) > int(old)
    await asyncio.gather(*setting)
    await world.other.invalidate_tags("t")
    assert await world.one.get_many([f"key-{n}" for n in range(5)]) == {}


@in_each_world
async def test_a_value_that_a_caller_makes_has_the_tags_that_it_says(world: World) -> None:
    assert await world.one.get_or_set("k", lambda: b"1", tags=["t", "u"]) == b"1"
    fetched = await world.one.fetch_or_set("other", lambda: b"1", tags=["u"])
    assert fetched.value == b"1"
    await world.other.invalidate_tags("t")
    assert await world.one.get_or_set("k", lambda: b"2", tags=["t"]) == b"2"
    assert await world.other.get_or_set("other", lambda: b"2", tags=["u"]) == b"1"


@in_each_world
async def test_a_function_whose_value_is_being_made_when_its_tag_is_invalidated_runs_again(world: World) -> None:
    made = 0

    async def make() -> bytes:
        nonlocal made
        made += 1
        if made == 1:
            await world.other.invalidate_tags("t")
        return b"%d" % made

    assert await world.one.get_or_set("k", make, tags=["t"]) == b"1"
    assert await world.one.get_or_set("k", make, tags=["t"]) == b"2"
    assert await world.one.get_or_set("k", make, tags=["t"]) == b"2"


@in_each_world
async def test_a_decorated_function_takes_templates_of_tags_like_its_keys(world: World) -> None:
    calls: list[tuple[int, str]] = []

    @world.one.cached(key="item:{item_id}:{user}", tags=["user:{user}", "item:{item_id}", "items"])
    async def item(item_id: int, user: str) -> bytes:
        calls.append((item_id, user))
        return b"%d of %s" % (item_id, user.encode())

    async def ask_all() -> None:
        calls.clear()
        for item_id in (1, 2):
            for user in ("ann", "bob"):
                assert await item(item_id, user=user) == b"%d of %s" % (item_id, user.encode())

    await ask_all()
    await ask_all()
    assert calls == []
    await world.other.invalidate_tags("user:ann")
    await ask_all()
    assert calls == [(1, "ann"), (2, "ann")]
    await world.other.invalidate_tags("item:2")
    await ask_all()
    assert calls == [(2, "ann"), (2, "bob")]
    await world.other.invalidate_tags("items")
    await ask_all()
    assert len(calls) == 4
    await item.refresh(1, "ann")
    await world.other.invalidate_tags("items")
    calls.clear()
    await ask_all()
    assert len(calls) == 4


@in_each_world
async def test_a_decorated_function_takes_a_function_of_its_arguments_that_gives_tags(world: World) -> None:
    calls = 0

    @world.one.cached(key="{user_id}", tags=lambda user_id: [f"user:{user_id}"] * (user_id > 0))
    async def user(user_id: int) -> bytes:
        nonlocal calls
        calls += 1
        return b"v"

    for user_id in (0, 1):
        await user(user_id)
    await world.other.invalidate_tags("user:1", "user:0")
    for user_id in (0, 1):
        await user(user_id)
    assert calls == 3


@in_each_world
async def test_a_tag_may_leave_out_parameters_and_must_name_those_that_there_are(world: World) -> None:
    async def user(user_id: int, session: object) -> bytes:
        return b"v"

    world.one.cached(ignore=["session"], tags=["user:{user_id}"])(user)
    with pytest.raises(ConfigError, match=r"the tag 'user:\{id\}' names 'id'; the parameters are: user_id, session"):
        world.one.cached(ignore=["session"], tags=["user:{id}"])(user)
    with pytest.raises(InvalidTag, match=r"^40 tags on one key, limit 32$"):
        world.one.cached(ignore=["session"], tags=[f"tag-{n}" for n in range(40)])(user)
    with pytest.raises(InvalidTag, match="not one text"):
        world.one.cached(ignore=["session"], tags="user:{user_id}")(user)


@in_each_world
async def test_arguments_that_make_no_tag_are_refused_before_the_function_runs(world: World) -> None:
    calls = 0

    @world.one.cached(key="{name}x", tags=["{name}"])
    async def user(name: str) -> bytes:
        nonlocal calls
        calls += 1
        return b"v"

    with pytest.raises(InvalidTag, match="empty"):
        await user("")
    assert calls == 0
    # As in a key: what could be taken for something else is escaped, and what is too long ends in a hash.
    await user("a\nb")
    await user("x" * 1000)
    await world.other.invalidate_tags("a%0Ab")
    await user("a\nb")
    assert calls == 3


def test_a_value_that_fits_a_message_only_without_its_tags_is_refused_before_anything_is_sent() -> None:
    async def test() -> None:
        limits = Limits(key_bytes=100, value_bytes=10_000, message_bytes=10_000 + 100 + 1024)
        tags = [f"{n:02}" + "x" * 240 for n in range(32)]
        async with Cluster("a", loads=False, limits=limits) as cluster, cluster.client() as client:
            items = client.group("items")
            await items.set("k", b"v" * 10_000)
            with pytest.raises(ValueTooLarge):
                await items.set("k", b"v" * 10_000, tags=tags)
            await items.set("k", b"v" * 2000, tags=tags)
            assert await items.get_or_set("made", lambda: b"v" * 10_000, tags=tags) == b"v" * 10_000
            assert await items.get("made") is None
            await items.set_many({f"key-{n}": b"v" * 2000 for n in range(20)}, tags=tags)
            assert len(await items.get_many([f"key-{n}" for n in range(20)])) == 20

    asyncio.run(test())
