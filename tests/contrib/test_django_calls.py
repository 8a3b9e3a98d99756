"""The backend for Django: each call, from threads and awaited, in this process and on three nodes. Django's own tests of it are run elsewhere."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import CacheKeyWarning
from django_project import backend
from eventually import eventually_blocking
from sync_worlds import in_threads

from zmcache.contrib.django import ZmcacheCache, close_connections
from zmcache.contrib.django.connections import connections


@pytest.fixture
def cache(address: str) -> Iterator[ZmcacheCache]:
    made = backend(address)
    yield made
    made.clear()
    close_connections()


class Awaited:
    """The same calls by their asynchronous twins, each in an event loop of its own."""

    def __init__(self, cache: ZmcacheCache) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: asyncio.run(getattr(self._cache, f"a{name}")(*args, **kwargs))


@pytest.fixture(params=["called", "awaited"])
def calls(request: pytest.FixtureRequest, cache: ZmcacheCache) -> Any:
    return cache if request.param == "called" else Awaited(cache)


@dataclass
class Point:
    x: int


VALUES = (None, 0, -7, 1 << 2000, True, 2.5, "text", "42", b"42", b"", (1, {2}), Point(3), [None])


def test_any_object_comes_back_as_what_it_was(calls: Any) -> None:
    values = dict(enumerate(VALUES))
    calls.set_many(values)
    assert calls.get_many(values) == values
    for key, value in values.items():
        calls.set("k", value)
        found = calls.get("k", "nothing")
        assert (type(found), found) == (type(value), value), key


def test_what_is_not_there(calls: Any) -> None:
    assert calls.get("k") is None
    assert calls.get("k", "a default") == "a default"
    assert calls.has_key("k") is False
    assert calls.delete("k") is False
    assert calls.touch("k") is False
    assert calls.get_many(["k"]) == {}


def test_each_call_does_what_its_name_says(calls: Any) -> None:
    assert calls.add("k", "first") is True
    assert calls.add("k", "second") is False
    assert calls.get("k") == "first"
    assert calls.has_key("k") is True
    assert calls.delete("k") is True
    assert calls.set_many({"a": 1, "b": "two"}) == []
    assert calls.get_many(["b", "x", "a"]) == {"b": "two", "a": 1}
    assert calls.delete_many(["a", "x"]) is None
    assert calls.get_many(["a", "b"]) == {"b": "two"}
    calls.clear()
    assert calls.get("b") is None


def test_counting(calls: Any) -> None:
    calls.set("n", 41)
    assert calls.incr("n") == 42
    assert calls.decr("n", 50) == -8
    assert calls.get("n") == -8
    with pytest.raises(ValueError, match="'nothing' not found"):
        calls.incr("nothing")
    for value in (None, "text", True, 2.5):
        calls.set("n", value)
        with pytest.raises(TypeError, match="no whole number"):
            calls.incr("n")


def test_counting_at_the_same_time_loses_nothing(cache: ZmcacheCache) -> None:
    cache.set("n", 0)
    in_threads(8, lambda _: [cache.incr("n") for _ in range(25)])
    assert cache.get("n") == 200


@pytest.mark.parametrize("over", [0, -1, -0.5])
def test_a_timeout_of_nothing_deletes(calls: Any, over: float) -> None:
    for store in (
        lambda: calls.set("k", 1, over),
        lambda: calls.set_many({"k": 1, "l": 2}, over),
        lambda: calls.touch("k", over),
    ):
        calls.set("k", 0)
        store()
        assert calls.get("k") is None
    assert calls.add("k", 1, over) is True
    assert calls.get("k") is None
    assert calls.get_or_set("k", lambda: "made", over) == "made"
    assert calls.get("k") is None
    calls.set("k", 0)
    assert calls.touch("k", over) is True
    assert calls.add("k", 1, over) is True


def test_timeouts_are_kept(cache: ZmcacheCache, address: str) -> None:
    def left_s() -> float | None:
        item = connections.group(cache._place).fetch(cache.make_key("k"))
        assert item is not None
        return item.ttl_s

    cache.set("k", 1)
    assert 290 < (left_s() or 0) <= 300
    cache.set("k", 1, None)
    assert left_s() is None
    cache.touch("k", 100.5)
    assert 90 < (left_s() or 0) <= 100.5
    cache.set_many({"k": 1}, 10**12)
    assert (left_s() or 0) > 10**9
    backend(address, TIMEOUT=None).set("k", 1)
    assert left_s() is None
    cache.set("k", 1, 0.05)
    eventually_blocking(lambda: cache.get("k") is None, lambda: "its life is not over")


def test_prefixes_versions_and_key_functions(calls: Any, cache: ZmcacheCache, address: str) -> None:
    calls.set("k", "plain")
    prefixed, second = backend(address, KEY_PREFIX="p"), backend(address, VERSION=2)
    named = backend(address, KEY_FUNCTION=lambda key, prefix, version: f"-{key}-")
    assert [other.get("k") for other in (prefixed, second, named)] == [None, None, None]
    prefixed.set("k", "prefixed")
    second.set("k", "second")
    named.set("k", "named")
    assert calls.get("k") == "plain"
    assert calls.get("k", version=2) == "second"
    assert calls.incr_version("k") == 2
    assert (calls.get("k"), second.get("k")) == (None, "plain")
    assert calls.decr_version("k", version=2) == 1
    assert (prefixed.get("k"), named.get("k"), cache.get("k")) == ("prefixed", "named", "plain")


@pytest.mark.parametrize("key", ["x" * 5000, "清" * 400, "two words", "\ud800"], ids=["long", "wide", "odd", "alone"])
@pytest.mark.filterwarnings("ignore::django.core.cache.CacheKeyWarning")
def test_keys_that_a_cluster_would_refuse_work_all_the_same(calls: Any, key: str) -> None:
    calls.set(key, 1)
    assert calls.get(key) == 1
    assert calls.get(key + "x") is None
    assert calls.get_many([key, "k"]) == {key: 1}
    assert calls.incr(key) == 2
    assert calls.delete(key) is True


def test_an_empty_key_works_and_a_long_one_is_warned_of(cache: ZmcacheCache, address: str) -> None:
    bare = backend(address, KEY_FUNCTION=lambda key, prefix, version: key)
    bare.set("", "of nothing")
    assert bare.get("") == "of nothing"
    with pytest.warns(CacheKeyWarning, match="longer than 250"):
        cache.get("x" * 251)


def test_a_missing_value_is_made_once_for_all_threads(cache: ZmcacheCache) -> None:
    made: list[int] = []
    gate = threading.Event()

    def make() -> str:
        made.append(threading.get_ident())
        gate.wait(10)
        return "made"

    def ask(number: int) -> object:
        if number == 0:
            eventually_blocking(lambda: bool(made), lambda: made)
            gate.set()
        return cache.get_or_set("k", make)

    assert in_threads(8, ask) == ["made"] * 8
    assert len(made) == 1


def test_a_missing_value_is_made_once_for_all_who_await_it(cache: ZmcacheCache) -> None:
    made: list[int] = []

    async def make() -> list[int]:
        made.append(1)
        await asyncio.sleep(0.02)
        return [1, 2]

    async def main() -> list[Any]:
        return await asyncio.gather(*[cache.aget_or_set("k", make) for _ in range(8)])

    assert asyncio.run(main()) == [[1, 2]] * 8
    assert made == [1]


def test_a_default_may_be_a_value_or_a_function_and_none(calls: Any) -> None:
    assert calls.get_or_set("a", 7) == 7
    assert calls.get_or_set("a", lambda: 8) == 7
    assert calls.get_or_set("b", lambda: None) is None
    assert calls.get("b", "nothing") is None
    assert calls.get_or_set("b", 9) is None


def test_what_cannot_be_made_or_pickled_is_told_as_it_is(calls: Any) -> None:
    def fail() -> None:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        calls.get_or_set("k", fail)
    for store in (
        lambda: calls.set("k", lambda: 1),
        lambda: calls.add("k", lambda: 1),
        lambda: calls.set_many({"k": lambda: 1}),
        lambda: calls.get_or_set("k", lambda: lambda: 1),
    ):
        with pytest.raises((pickle.PicklingError, AttributeError), match=r"[Cc]an't (get|pickle)"):
            store()
    assert calls.get("k") is None


def test_threads_and_loops_see_the_same(cache: ZmcacheCache) -> None:
    async def main() -> None:
        assert await cache.aget("k") == "of a thread"
        await cache.aset("k", "of a loop")
        assert cache.get("k") == "of a loop"

    cache.set("k", "of a thread")
    asyncio.run(main())
    assert cache.get("k") == "of a loop"
