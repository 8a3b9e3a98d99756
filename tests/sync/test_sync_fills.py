"""Functions that make values: in which thread they run, how often, and what becomes of what they raise."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from typing import Any

import pytest
from eventually import eventually_blocking
from sync_worlds import in_threads

from zmcache.errors import ConfigError, RecursiveFill, RequestError
from zmcache.sync import SyncCache
from zmcache.sync.bridge import BACKGROUND_THREADS

_who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


class OursError(Exception):
    pass


def test_a_fill_runs_in_the_thread_and_the_context_of_its_caller(cache: SyncCache) -> None:
    items = cache.group("items")
    ran: list[tuple[int, str]] = []

    def fill() -> bytes:
        ran.append((threading.get_ident(), _who.get()))
        return b"made"

    def run(n: int) -> tuple[int, str]:
        _who.set(f"thread {n}")
        assert items.get_or_set(f"k{n}", fill) == b"made"
        item = items.fetch_or_set(f"k{n}", fill)
        assert (item.value, item.source) == (b"made", "owner")
        return threading.get_ident(), f"thread {n}"

    assert sorted(in_threads(4, run)) == sorted(ran)  # type: ignore[type-var]


def test_a_value_is_made_once_for_fifty_threads(cache: SyncCache) -> None:
    items = cache.group("items")
    ran: list[int] = []
    gate = threading.Event()

    def fill() -> bytes:
        ran.append(threading.get_ident())
        gate.wait(10)
        return b"made"

    timer = threading.Timer(0.2, gate.set)
    timer.start()
    assert in_threads(50, lambda n: items.get_or_set("k", fill)) == [b"made"] * 50
    assert len(ran) == 1


def test_what_a_fill_raises_reaches_all_who_wait(cache: SyncCache) -> None:
    items = cache.group("items")
    ran: list[int] = []
    gate = threading.Event()

    def fill() -> bytes:
        ran.append(1)
        gate.wait(10)
        raise OursError("no")

    threading.Timer(0.2, gate.set).start()
    found = in_threads(20, lambda n: items.get_or_set("k", fill))
    assert [(type(error), str(error)) for error in found] == [(OursError, "no")] * 20
    assert len(ran) == 1
    assert items.get_or_set("k", lambda: b"made") == b"made"


def test_a_fill_may_call_the_client_but_not_for_its_own_key(cache: SyncCache) -> None:
    items = cache.group("items")
    items.set("a", b"1")

    def nested() -> bytes:
        return (items.get("a") or b"") + items.get_or_set("b", lambda: b"2")

    assert items.get_or_set("c", nested) == b"12"
    with pytest.raises(RecursiveFill):
        items.get_or_set("r", lambda: items.get_or_set("r", lambda: b"1"))
    with pytest.raises(RecursiveFill):
        items.get_or_set("x", lambda: items.get_or_set("y", lambda: items.get_or_set("x", lambda: b"1")))
    assert items.get_or_set("r", lambda: b"1") == b"1"


def test_an_async_def_is_told_of_the_async_client(cache: SyncCache) -> None:
    items = cache.group("items")

    async def fill() -> bytes:
        return b"1"

    with pytest.raises(RequestError, match="async client"):
        items.get_or_set("k", fill)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="async client"):
        items.get_or_set("k", lambda: fill())  # type: ignore[arg-type,return-value]
    with pytest.raises(RequestError, match="function that makes"):
        items.get_or_set("k", b"1")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="async client"):
        items.cached(key="k")(fill)


def test_what_is_stale_is_made_anew_in_the_background_in_another_thread(cache: SyncCache) -> None:
    items = cache.group("items")
    ran: list[tuple[int, str]] = []

    def fill() -> bytes:
        ran.append((threading.get_ident(), _who.get()))
        return b"%d" % len(ran)

    def look() -> tuple[bytes, str]:
        item = items.fetch_or_set("k", fill, ttl=0.05, stale_ttl=60)
        return item.value, item.source

    _who.set("the caller")
    assert look()[0] == b"1"
    eventually_blocking(lambda: look()[0] != b"1", lambda: ran)
    assert ran[0] == (threading.get_ident(), "the caller")
    assert ran[1][0] != threading.get_ident()
    assert ran[1][1] == "the caller"
    assert not any(thread.ident == ran[1][0] and thread.name == "zmcache sync" for thread in threading.enumerate())


def test_many_refreshes_run_in_eight_threads_at_most(cache: SyncCache) -> None:
    items = cache.group("items")
    lock, gate = threading.Lock(), threading.Event()
    running: list[int] = []
    most = 0

    def slow() -> bytes:
        nonlocal most
        with lock:
            running.append(1)
            most = max(most, len(running))
        gate.wait(10)
        with lock:
            running.pop()
        return b"new"

    keys = [f"k{n}" for n in range(20)]
    for key in keys:
        items.get_or_set(key, lambda: b"old", ttl=0.01, stale_ttl=60)

    def due() -> bool:
        for key in keys:
            items.get_or_set(key, slow, ttl=60, stale_ttl=60)
        return len(running) == 8

    eventually_blocking(due, lambda: len(running))
    gate.set()
    eventually_blocking(lambda: set(items.get_many(keys).values()) == {b"new"}, lambda: items.get_many(keys))
    assert most == 8


def test_a_decorated_function_is_made_once_for_the_same_arguments(cache: SyncCache) -> None:
    items = cache.group("items")
    ran: list[tuple[int, str]] = []

    @items.cached(ttl=60, key="price:{item}:{currency}")
    def price(item: int, currency: str = "EUR") -> bytes:
        """What it costs."""
        ran.append((item, currency))
        return b"%d" % len(ran)

    assert price(1) == price(1, "EUR") == price(item=1) == b"1"
    assert price(1, "USD") == b"2"
    assert price.key_for(1) == "price:1:EUR"
    assert price.refresh(1) == price(1) == b"3"
    assert price.fetch(1).source == "owner"
    assert price.invalidate(1) is True
    assert price.invalidate(1) is False
    assert price(1) == b"4"
    assert (price.statistics().calls, price.statistics().fills) == (7, 4)
    assert inspect.signature(price) == inspect.signature(price.__wrapped__)
    assert (price.__name__, price.__doc__) == ("price", "What it costs.")


def test_a_method_is_decorated_as_well(cache: SyncCache) -> None:
    items = cache.group("items")

    class Shop:
        def __init__(self, name: str) -> None:
            self.name, self.threads = name, set[int]()

        @items.cached(key="{self.name}:{item}")
        def price(self, item: int) -> bytes:
            self.threads.add(threading.get_ident())
            return f"{self.name} {item}".encode()

    one, other = Shop("one"), Shop("other")
    assert [one.price(1), other.price(1), one.price(1)] == [b"one 1", b"other 1", b"one 1"]
    assert one.price.key_for(1) == "one:1"
    assert one.price.fetch(1).value == one.price.refresh(1) == b"one 1"
    assert one.price.invalidate(1) is True
    assert one.price.statistics().fills == 3
    assert one.threads == {threading.get_ident()}
    assert (one.price.__name__, one.price.__qualname__) == ("price", Shop.price.__qualname__)
    assert list(inspect.signature(one.price).parameters) == ["item"]


def test_a_fill_that_is_interrupted_goes_on_elsewhere_for_those_who_wait(cache: SyncCache) -> None:
    items = cache.group("items")
    ran: list[int] = []
    began, leave = threading.Event(), threading.Event()

    def fill() -> bytes:
        ran.append(threading.get_ident())
        if len(ran) == 1:
            began.set()
            leave.wait(10)
            raise KeyboardInterrupt
        return b"made"

    found: dict[str, Any] = {}

    def leader() -> None:
        try:
            items.get_or_set("k", fill)
        except BaseException as error:
            found["leader"] = error

    def follower() -> None:
        found["follower"] = items.get_or_set("k", fill)

    first, second = threading.Thread(target=leader), threading.Thread(target=follower)
    first.start()
    began.wait(10)
    second.start()
    flights = items._group._filling._flights
    eventually_blocking(lambda: flights.waiting == 2, lambda: flights.waiting)
    leave.set()
    first.join(10)
    second.join(10)
    assert isinstance(found["leader"], KeyboardInterrupt)
    assert found["follower"] == b"made"
    assert len(ran) == 2
    assert items.get("k") == b"made"


def test_two_fills_that_ask_for_each_other_raise_in_threads_too(cache: SyncCache) -> None:
    items = cache.group("items")
    together = threading.Barrier(2)

    def one() -> bytes:
        together.wait(10)
        return items.get_or_set("two", two)

    def two() -> bytes:
        together.wait(10)
        return items.get_or_set("one", one)

    found = in_threads(2, lambda n: items.get_or_set(("one", "two")[n], (one, two)[n]), within_s=10)
    assert [type(error) for error in found] == [RecursiveFill, RecursiveFill]
    assert items.get_or_set("one", lambda: b"made") == b"made"


def test_a_refresh_inside_its_own_fill_raises_in_a_thread_too(cache: SyncCache) -> None:
    @cache.group("items").cached(key="k")
    def again() -> bytes:
        return again.refresh()

    for call in (again, again.refresh):
        assert [type(error) for error in in_threads(1, lambda n, call=call: call(), within_s=10)] == [RecursiveFill]


def test_who_asks_after_a_set_in_another_thread_is_not_given_what_began_before_it(cache: SyncCache) -> None:
    items = cache.group("items")
    began, gate = threading.Event(), threading.Event()
    found: list[bytes] = []

    def slow() -> bytes:
        began.set()
        gate.wait(10)
        return b"old"

    first = threading.Thread(target=lambda: found.append(items.get_or_set("k", slow)))
    first.start()
    began.wait(10)
    items.set("k", b"set")
    assert in_threads(1, lambda n: items.get_or_set("k", lambda: b"new"), within_s=10) == [b"set"]
    gate.set()
    first.join(10)
    assert found == [b"old"]
    assert items.get("k") == b"set"


@pytest.mark.parametrize("ending", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_fill_that_raises_what_is_no_exception_leaves_nobody_waiting(cache: SyncCache, ending: BaseException) -> None:
    items = cache.group("items")
    began, both = threading.Event(), threading.Event()

    def fill() -> bytes:
        began.set()
        both.wait(10)
        raise ending

    def run(n: int) -> bytes:
        if n:
            began.wait(10)
            threading.Timer(0.1, both.set).start()
        return items.get_or_set("k", fill)

    assert [type(ended) for ended in in_threads(2, run, within_s=10)] == [type(ending)] * 2
    assert items.get_or_set("k", lambda: b"made") == b"made"


def test_refreshes_that_raise_what_is_no_exception_do_not_wear_out_the_threads_for_the_background(
    cache: SyncCache,
) -> None:
    items = cache.group("items")
    ran: list[int] = []
    fails = False

    @items.cached(key="k:{n}", ttl=0.01, stale_ttl=100)
    def value(n: int) -> bytes:
        ran.append(n)
        if fails:
            raise SystemExit
        return b"v"

    count = 3 * BACKGROUND_THREADS
    for n in range(count + 1):
        value(n)
    fails = True
    eventually_blocking(lambda: value.fetch(0).source == "stale", lambda: "is not stale")

    def all_ran() -> bool:
        # Again and again: those that find all threads at work are left for the next call.
        assert all(value(n) == b"v" for n in range(count))
        return len(set(ran[count + 1 :])) == count

    eventually_blocking(all_ran, lambda: f"{len(ran)} ran")
    fails = False
    assert value(count) == b"v"
    eventually_blocking(lambda: ran.count(count) == 2, lambda: "none runs any more")
