"""Gets that are alone ask their node by themselves, past the loop: they say the same, and what goes wrong there is asked through the loop."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from eventually import eventually_blocking
from sync_worlds import held, in_threads, node_in_a_thread, opened, opened_with_loops, wait_direct

import zmcache.sync
from zmcache.errors import DeadlineExceeded, InvalidKey, LifecycleError, RequestError, UnknownGroup
from zmcache.sync import SyncCache


@pytest.fixture
def cache() -> Iterator[SyncCache]:
    with opened("node") as cache:
        yield cache


def test_a_lone_get_is_answered_while_the_loop_stands_still() -> None:
    with opened_with_loops("node") as (cache, loops):
        items = cache.group("items")
        items.set("k", b"1")
        wait_direct(items)
        with held(loops[0]):
            assert [items.get("k") for _ in range(100)] == [b"1"] * 100
        assert items.get("k") == b"1"


def test_it_says_what_it_says_through_the_loop(cache: SyncCache) -> None:
    items = cache.group("items")
    items.set_many({"k": b"1", "none": None, "é": b"2"})
    wait_direct(items)
    assert [items.get(key, b"nothing") for key in ("k", "none", "é", "missing")] == [b"1", None, b"2", b"nothing"]
    assert items.get("missing") is None
    assert items.get("k", timeout="2s") == b"1"
    for wrong in ("", 7, "x" * 2000):
        with pytest.raises(InvalidKey):
            items.get(wrong)  # type: ignore[call-overload]
    with pytest.raises(RequestError):
        items.get("k", timeout=-1)
    with pytest.raises(UnknownGroup):
        cache.group("no such group").get("k")
    items.set("k", b"3")
    assert items.get("k") == b"3"
    assert items.delete("k") is True
    assert items.get("k") is None


def test_values_are_decoded_and_what_cannot_be_is_a_miss_and_counted_once(cache: SyncCache) -> None:
    class User(msgspec.Struct):
        name: str

    raw, users = cache.group("items"), cache.group("items", type=User)
    users.set("ada", User("ada"))
    raw.set("old", b"\xc1 no such thing")
    wait_direct(raw, "ada")
    assert users.get("ada") == User("ada")
    assert users.get("old", "nothing") == "nothing"
    assert users.undecodable == 1


def test_what_would_be_too_long_decompressed_is_a_miss_and_counted_once(cache: SyncCache) -> None:
    written = cache.group("items", codec="json", compress_above=100)
    read = cache.group("items", codec="json", max_decompressed=1000)
    written.set_many({"long": "x" * 2000, "short": "x" * 900})
    wait_direct(cache.group("items"))
    assert read.get("short") == "x" * 900
    assert read.get("long", "nothing") == "nothing"
    assert read.undecodable == 1


def test_a_group_had_before_its_connection_is_open_asks_by_itself_while_that_is_open() -> None:
    with node_in_a_thread() as node:
        cache = zmcache.sync.connect(node.address)
        items = cache.group("items")
        with pytest.raises(LifecycleError, match="not open"):
            items.get("k")
        with cache:
            items.set("k", b"1")
            wait_direct(items)
            assert cache._bridge.loop is not None
            with held(cache._bridge.loop):
                assert items.get("k") == b"1"
        with pytest.raises(LifecycleError, match="closed"):
            items.get("k")
        assert items._raw.get_directly is None


def test_a_codec_of_the_programs_own_is_used_in_one_thread_only(cache: SyncCache) -> None:
    threads: set[int] = set()

    class Own:
        name = "own"

        def encode(self, value: str, /) -> bytes:
            threads.add(threading.get_ident())
            return value.encode()

        def decode(self, data: bytes, /) -> str:
            threads.add(threading.get_ident())
            return data.decode()

    wait_direct(cache.group("items"))
    items = cache.group("items", codec=Own())
    items.set("k", "1")
    assert [items.get("k") for _ in range(5)] == ["1"] * 5
    assert len(threads) == 1


def test_a_node_that_does_not_answer_costs_the_timeout_and_no_more_and_its_late_answer_is_nobodys() -> None:
    with opened_with_loops("node") as (cache, loops):
        items = cache.group("items")
        items.set_many({"a": b"a", "b": b"b"})
        wait_direct(items)
        with held(loops[1]), pytest.raises(DeadlineExceeded):
            items.get("a", timeout=0.05)
        assert [items.get("b"), items.get("a")] == [b"b", b"a"]


def test_with_misses_for_errors_it_is_a_miss_and_counted() -> None:
    with opened_with_loops("node", on_error="miss") as (cache, loops):
        items = cache.group("items")
        items.set("k", b"1")
        wait_direct(items)
        before = cache.failures
        with held(loops[1]):
            assert items.get("k", b"nothing", timeout=0.05) == b"nothing"
        assert cache.failures == before + 1


def test_an_interrupted_get_leaves_no_answer_for_the_next() -> None:
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with opened_with_loops("node") as (cache, loops):
            items = cache.group("items")
            items.set_many({"a": b"a", "b": b"b"})
            wait_direct(items)
            for _ in range(5):
                with held(loops[1]):
                    threading.Timer(0.03, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
                    with pytest.raises(KeyboardInterrupt):
                        items.get("a")
                assert [items.get("b"), items.get("a")] == [b"b", b"a"]
            with held(loops[0]):  # and it still is the direct way
                assert items.get("b") == b"b"
    finally:
        signal.signal(signal.SIGINT, previous)


def test_what_waits_on_a_lost_connection_is_asked_through_the_loop_within_the_same_timeout() -> None:
    with opened_with_loops("node") as (cache, loops):
        items = cache.group("items")
        items.set("k", b"1")
        wait_direct(items)
        channel: Any = items._raw.behind._asking._channel("k")
        asked: list[object] = []
        plain = items._raw.get
        items._raw.get = lambda key, timeout: (asked.append(timeout), plain(key, timeout))[1]
        found: list[bytes | None] = []
        with held(loops[1]):
            thread = threading.Thread(target=lambda: found.append(items.get("k", timeout=20)))
            thread.start()
            eventually_blocking(channel.direct._connection._held.locked, lambda: asked)
            loops[0].call_soon_threadsafe(channel.open_direct, channel.direct)  # what is done about a lost one
            eventually_blocking(lambda: asked, lambda: asked)
        thread.join(10)
        assert found == [b"1"]
        (timeout,) = asked
        assert isinstance(timeout, float)
        assert 10 < timeout < 20
        # And another has taken its place.
        wait_direct(items)
        with held(loops[0]):
            assert items.get("k") == b"1"


def test_closing_ends_a_get_that_waits() -> None:
    with opened_with_loops("node") as (cache, loops):
        items = cache.group("items")
        wait_direct(items)
        channel: Any = items._raw.behind._asking._channel("k")
        found: list[BaseException] = []

        def get() -> None:
            try:
                items.get("k", timeout=20)
            except BaseException as error:
                found.append(error)

        with held(loops[1]):
            thread = threading.Thread(target=get)
            thread.start()
            eventually_blocking(channel.direct._connection._held.locked, lambda: channel)
            cache.close()
            thread.join(10)
        assert [type(error) for error in found] == [LifecycleError]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_after_a_fork_a_lone_get_is_refused_too(cache: SyncCache) -> None:
    items = cache.group("items")
    items.set("k", b"1")
    wait_direct(items)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            items.get("k")
        except LifecycleError as error:
            code = 0 if "fork" in str(error) else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert items.get("k") == b"1"


def test_callers_that_are_now_alone_and_now_not_each_get_their_own_values(cache: SyncCache) -> None:
    items = cache.group("items")
    keys = [f"k{n}" for n in range(50)]
    items.set_many({key: key.encode() for key in keys})
    wait_direct(items, "k0")

    def run(n: int) -> int:
        draw = random.Random(n)
        wrong = 0
        for _ in range(400):
            key = draw.choice(keys)
            wrong += items.get(key) != key.encode()
            if draw.random() < 0.05:
                threading.Event().wait(0.001)
        return wrong

    assert in_threads(4, run) == [0] * 4


def test_the_trace_of_the_calling_thread_goes_along(cache: SyncCache, monkeypatch: pytest.MonkeyPatch) -> None:
    items: Any = cache.group("items")
    wait_direct(items)
    channel = items._raw.behind._asking._channel("k")
    seen: list[str | None] = []
    ask = type(channel.direct).ask
    monkeypatch.setattr(type(channel.direct), "ask", lambda *given: (seen.append(given[-1]), ask(*given))[1])
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with zmcache.trace_context(trace):
        items.get("k")
    items.get("k")
    assert seen == [trace, None]
