"""Sets that are alone go to their node past the loop, as such gets do; what began before them is nobody's to share who asks after them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from eventually import eventually_blocking
from sync_worlds import held, in_threads, opened, opened_with_loops, wait_direct

from zmcache.errors import DeadlineExceeded, InvalidKey, InvalidTtl, InvalidValue, UnknownGroup, ValueTooLarge
from zmcache.sync import SyncCache


@pytest.fixture
def cache() -> Iterator[SyncCache]:
    with opened("node") as cache:
        yield cache


def test_a_lone_set_is_done_while_the_loop_stands_still() -> None:
    with opened_with_loops("node") as (cache, loops):
        items = cache.group("items")
        wait_direct(items)
        with held(loops[0]):
            for value in (b"1", b"", None, b"2" * 1_000_000, b"3"):
                items.set("k", value, ttl="1m")
                assert items.get("k", b"nothing") == value
        item = items.fetch("k")
        assert item is not None
        assert item.value == b"3"
        assert item.ttl_s is not None
        assert 50 < item.ttl_s <= 60


def test_what_is_wrong_with_it_is_told_as_through_the_loop(cache: SyncCache) -> None:
    items: Any = cache.group("items")
    wait_direct(items)
    for wrong, error in (
        (lambda: items.set("", b"1"), InvalidKey),
        (lambda: items.set("k", "1"), InvalidValue),
        (lambda: items.set("k", b"1", ttl=0), InvalidTtl),
        (lambda: items.set("k", b"1" * 2_000_000), ValueTooLarge),
        (lambda: cache.group("no such group").set("k", b"1"), UnknownGroup),
    ):
        with pytest.raises(error):
            wrong()
    assert items.get("k") is None


@pytest.mark.parametrize("on_error", ["raise", "miss"])
def test_a_node_that_does_not_answer_costs_the_timeout_and_no_more(on_error: str) -> None:
    with opened_with_loops("node", on_error=on_error) as (cache, loops):
        items = cache.group("items")
        wait_direct(items)
        before = cache.failures
        with held(loops[1]):
            if on_error == "miss":
                items.set("k", b"1", timeout=0.05)
            else:
                with pytest.raises(DeadlineExceeded):
                    items.set("k", b"1", timeout=0.05)
        assert cache.failures == before + 1
        items.set("k", b"2")
        assert items.get("k") == b"2"


def test_what_waits_on_a_lost_connection_is_done_through_the_loop() -> None:
    with opened_with_loops("node") as (cache, loops):
        items = cache.group("items")
        wait_direct(items)
        channel: Any = items._raw.behind._asking._channel("k")
        with held(loops[1]):
            thread = threading.Thread(target=lambda: items.set("k", b"1", timeout=20))
            thread.start()
            eventually_blocking(channel.direct._connection._held.locked, lambda: channel)
            loops[0].call_soon_threadsafe(channel.open_direct, channel.direct)  # what is done about a lost one
            eventually_blocking(lambda: bool(cache._bridge.active), lambda: "not through the loop")
        thread.join(10)
        assert items.get("k") == b"1"


def test_a_get_that_began_before_it_is_not_shared_by_who_asks_after_it(cache: SyncCache) -> None:
    items = cache.group("items")
    wait_direct(items)
    raw: Any = items._raw.behind
    heard: list[str | None] = []
    cache._bridge.run_nowait(raw.fences.add, heard.append)

    def begin() -> None:
        for asking in (raw._asking, raw._peeking):
            asking._flights["k"] = ["k", None, asking._loop.create_future(), 1e12]

    cache._bridge.run_nowait(begin)
    items.set("k", b"1")
    assert heard == []  # nobody was woken for that
    item = items.fetch("k", timeout=5)
    assert item is not None
    assert item.value == b"1"
    assert heard == ["k"]
    assert items.get_or_set("k", lambda: b"made", timeout=5) == b"1"


def test_what_the_loop_is_to_know_does_not_grow_while_nobody_calls_it(cache: SyncCache) -> None:
    items = cache.group("items")
    wait_direct(items)
    for n in range(1000):
        items.set(f"k{n}", b"1")
    eventually_blocking(lambda: len(cache._bridge._owed) <= 101, lambda: cache._bridge._owed)


def test_each_thread_reads_what_it_has_written_be_it_alone_or_not(cache: SyncCache) -> None:
    items = cache.group("items")
    wait_direct(items)

    def run(number: int) -> int:
        draw = random.Random(number)
        wrong = 0
        for at in range(200):
            value = b"%d" % at
            items.set(f"of {number}", value)
            found = (
                items.get(f"of {number}") if draw.random() < 0.5 else items.get_many([f"of {number}"])[f"of {number}"]
            )
            wrong += found != value
            if draw.random() < 0.05:
                threading.Event().wait(0.002)
        return wrong

    assert in_threads(4, run) == [0] * 4
