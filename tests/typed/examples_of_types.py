"""What type checkers see of the library that programs call. It is never run: mypy and pyright both hold it, see `make types`.

Each wrong use carries an ignore for both; one that is not needed is an error, so that what is wrong stays wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

import zmcache
import zmcache.sync
import zmcache.testing
from zmcache import Cache, CacheGroup, Item
from zmcache.sync import SyncCache, SyncGroup


@dataclass(frozen=True)
class User:
    """What some values are."""

    name: str


class Reversed:
    """A codec of the program's own."""

    name = "reversed"

    def encode(self, value: str) -> bytes:
        """See `zmcache.Codec`."""
        return value[::-1].encode()

    def decode(self, data: bytes) -> str:
        """See `zmcache.Codec`."""
        return data.decode()[::-1]


async def connections() -> None:
    """A connection is a `Cache`, by whichever address."""
    async with zmcache.connect("zmcache://a:7401", timeout="50ms", on_error="miss", route="any") as cache:
        assert_type(cache, Cache)
        assert_type(await cache.statistics(), dict[str, dict[str, float]])
        assert_type(cache.failures, int)
    async with zmcache.testing.local(ttl="1h") as local:
        assert_type(local.group("items"), CacheGroup[bytes])
    zmcache.connect(7401)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    zmcache.connect("a:7401", timout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def groups(cache: Cache) -> None:
    """The values of a group are what its codec carries."""
    assert_type(cache.group("items"), CacheGroup[bytes])
    assert_type(cache.group("items", compress_above="1KiB"), CacheGroup[bytes])
    assert_type(cache.group("items", codec="raw"), CacheGroup[bytes])
    assert_type(cache.group("items", type=User), CacheGroup[User])
    assert_type(cache.group("items", type=User, compress_above=1024), CacheGroup[User])
    assert_type(cache.group("items", type=list[int]), CacheGroup[list[int]])
    assert_type(cache.group("items", codec=Reversed()), CacheGroup[str])
    assert_type(cache.group("items", codec="json"), CacheGroup[Any])
    assert_type(cache.group("items", codec="msgpack", compress_above=1024), CacheGroup[Any])
    assert_type(cache.group("items", codec="pickle", key=b"0123456789abcdef"), CacheGroup[Any])
    cache.group("items", type=User, codec="json")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    cache.group("items", codec="jsno")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    cache.group("items", codec="pickle")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    # What checkers cannot say yet of a type that is no class (PEP 747); it works.
    cache.group("items", type=int | None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cache.group("items", codec=object())  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def reads(raw: CacheGroup[bytes], users: CacheGroup[User]) -> None:
    """What there is, or None, or the default."""
    assert_type(await raw.get("1"), bytes | None)
    assert_type(await raw.get("1", b""), bytes)
    assert_type(await raw.get("1", None), bytes | None)
    assert_type(await raw.get("1", 0, timeout=0.1), bytes | int)
    assert_type(await users.get("1"), User | None)
    assert_type(await users.get("1", User("nobody")), User)
    assert_type(await users.get("1", default="nobody"), User | str)
    assert_type(await users.get_many(["1", "2"]), dict[str, User])
    assert_type(await users.fetch("1"), Item[User | None] | None)
    assert_type(await users.gets("1"), tuple[User | None, int] | None)
    assert_type(await users.explain("1"), zmcache.Explanation)
    assert_type(await raw.get("1", timeout="50ms"), bytes | None)
    await raw.get(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await raw.get("1", timeout=b"50ms")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    print((await users.get("1")).name)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


async def writes(raw: CacheGroup[bytes], users: CacheGroup[User]) -> None:
    """Values of the group's type, or None; a ttl in any of its spellings."""
    await raw.set("1", b"one", ttl=60)
    await raw.set("1", b"one", ttl="1h30m")
    await raw.set("1", b"one", ttl=timedelta(hours=1))
    await raw.set("1", None, ttl=None)
    assert_type(await users.set_many({"1": User("one")}, ttl=1.5), list[str])
    assert_type(await users.add("1", User("one")), bool)
    assert_type(await users.cas("1", User("one"), 1), bool | None)
    assert_type(await users.touch("1", ttl=60), bool)
    assert_type(await raw.incr("1"), int | None)
    assert_type(await raw.incr("1", initial=0), int | None)
    assert_type(await users.delete("1"), bool)
    assert_type(await users.delete_many(["1"]), int)
    await raw.set("1", b"one", tags=["numbers", "ones"])
    await raw.set_many({"1": b"one"}, tags=("ones",))
    await raw.add("1", b"one", tags={"ones"})
    assert_type(await raw.invalidate_tags("ones", "twos", timeout=1), None)
    await raw.set("1", b"one", tags=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await raw.invalidate_tags(["ones"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await raw.clear()
    await raw.set("1", "one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await raw.set("1", b"one", 60)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await raw.set("1", b"one", ttl=b"60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.set("1", {"name": "one"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await users.set_many({"1": b"one"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


async def fills(users: CacheGroup[User], load: Callable[[str], Awaitable[User]]) -> None:
    """A function that makes the value, ``def`` or ``async def``."""

    async def make() -> User:
        return await load("1")

    def make_now() -> User:
        return User("one")

    async def make_text() -> str:
        return "one"

    assert_type(await users.get_or_set("1", make), User)
    assert_type(await users.get_or_set("1", make_now, ttl="1h", stale_ttl="1m", stale_if_error="1d", lease=5), User)
    assert_type(await users.get_or_set("1", lambda: load("1"), tags=["users"]), User)
    assert_type(await users.get_or_set("1", lambda: User("one")), User)
    assert_type(await users.fetch_or_set("1", make), Item[User])
    assert_type((await users.fetch_or_set("1", make_now)).value, User)
    await users.get_or_set("1", make_text)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await users.get_or_set("1", User("one"))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await users.get_or_set("1", make(), ttl=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def decorated(users: CacheGroup[User], load: Callable[[str], Awaitable[User]]) -> None:
    """A decorated function keeps its parameters and its result."""

    @users.cached(key="user:{user_id}", ttl="5m", stale_ttl=60, negative_ttl=0, condition=bool)
    async def user(user_id: int, *, fresh: bool = False) -> User | None:
        return None if fresh else await load(str(user_id))

    @users.cached(tags=["user:{user_id}", "users"])
    async def tagged(user_id: int) -> User:
        return await load(str(user_id))

    def tags_of(user_id: int) -> list[str]:
        return [f"user:{user_id}"]

    @users.cached(tags=tags_of)
    async def tagged_so(user_id: int) -> User:
        return await load(str(user_id))

    assert_type(await tagged(1), User)
    assert_type(await tagged_so(1), User)
    by_place: Callable[[int], Awaitable[User | None]] = user
    await by_place(1)
    by_text: Callable[[str], Awaitable[User | None]] = user  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    await by_text("1")
    assert_type(await user(1), User | None)
    assert_type(await user(user_id=1, fresh=True), User | None)
    assert_type(await user.fetch(1), Item[User | None])
    assert_type(await user.refresh(1), User | None)
    assert_type(await user.invalidate(1), bool)
    assert_type(user.key_for(1, fresh=True), str)
    assert_type(user.statistics().fills, int)
    await user("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await user(1, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await user.invalidate()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    user.key_for(id=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    @users.cached()  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    def not_async(user_id: int) -> User:
        return User(str(user_id))

    class Users:
        @users.cached(key="user:{user_id}", ignore=["self"])
        async def one(self, user_id: int) -> User:
            return await load(str(user_id))

    assert_type(await Users().one(1), User)
    assert_type(Users().one.key_for(user_id=1), str)
    assert_type(await Users().one.invalidate(1), bool)
    await Users().one("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def blocking() -> None:
    """The client for threads: the same, with nothing to await."""
    with zmcache.sync.connect("mem://", timeout=1) as cache:
        assert_type(cache, SyncCache)
        raw = cache.group("items")
        users = cache.group("items", type=User)
        assert_type(raw, SyncGroup[bytes])
        assert_type(users, SyncGroup[User])
        assert_type(cache.group("items", codec=Reversed()), SyncGroup[str])
        assert_type(cache.group("items", codec="json"), SyncGroup[Any])
        cache.group("items", codec="jsno")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

        assert_type(raw.get("1"), bytes | None)
        assert_type(raw.get("1", b""), bytes)
        assert_type(users.get("1", default=0), User | int)
        assert_type(users.get_many(["1"]), dict[str, User])
        assert_type(users.gets("1"), tuple[User | None, int] | None)
        assert_type(users.explain("1"), zmcache.Explanation)
        assert_type(users.fetch("1"), Item[User | None] | None)
        assert_type(raw.incr("1", initial=1), int | None)
        users.set("1", b"one")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

        assert_type(users.get_or_set("1", lambda: User("one"), ttl="1h"), User)
        assert_type(users.fetch_or_set("1", lambda: User("one")).value, User)

        async def make() -> User:
            return User("one")

        users.get_or_set("1", make)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

        @users.cached(key="user:{user_id}", ttl="5m")
        def user(user_id: int) -> User:
            return User(str(user_id))

        by_place: Callable[[int], User] = user
        by_text: Callable[[str], User] = user  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
        assert_type((by_place(1), by_text("1")), tuple[User, User])
        assert_type(user(1), User)
        assert_type(user.refresh(user_id=1), User)
        assert_type(user.fetch(1), Item[User])
        assert_type(user.invalidate(1), bool)
        user("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

        class Users:
            @users.cached(ignore="self")
            def one(self, user_id: int) -> User:
                return User(str(user_id))

        assert_type(Users().one(1), User)
        Users().one()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def tests() -> None:
    """The cluster for users' tests."""
    async with zmcache.testing.Cluster(nodes=3, groups={"items": {"ttl": "1h"}}) as cluster:
        cache = await cluster.connect()
        assert_type(await cache.group("items").get("1"), bytes | None)
        assert_type(cluster.key_of("a"), str)
        cluster.advance("1h")


def errors(error: zmcache.ValueTooLarge, partial: zmcache.PartialResult) -> None:
    """Errors carry fields."""
    assert_type(error.size, int)
    assert_type(partial.values, dict[str, Any])
    assert_type(partial.errors, dict[str, zmcache.ZmcacheError])
