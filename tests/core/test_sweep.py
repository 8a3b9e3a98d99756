from __future__ import annotations

import math
from collections.abc import Callable

from zmcache.core.store import Store
from zmcache.core.sweep import SLICE_KEYS, Sweep

COUNT = 3 * SLICE_KEYS


class Timers:
    """The timers that were set and not cancelled, for a test to fire."""

    def __init__(self) -> None:
        self.pending: list[Timer] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self, callback)
        self.pending.append(timer)
        return timer

    def fire(self) -> None:
        self.pending.pop(0).callback()

    def fire_all(self) -> None:
        while self.pending:
            self.fire()


class Timer:
    def __init__(self, timers: Timers, callback: Callable[[], None]) -> None:
        self.timers = timers
        self.callback = callback

    def cancel(self) -> None:
        self.timers.pending.remove(self)


def swept(timers: Timers) -> tuple[Store, Sweep]:
    store = Store(10_000_000, "lru")
    for n in range(COUNT):
        store.set(f"{'ours' if n % 2 else 'theirs'}-{n}", b"v", math.inf, 0.0)
    return store, Sweep(store, lambda key: key.startswith("ours"), timers.call_later)


def alive(store: Store, now_s: float) -> list[str]:
    return [key for n in range(COUNT) if store.contains(key := f"{'ours' if n % 2 else 'theirs'}-{n}", now_s)]


def test_what_is_not_ours_ends_by_the_given_time_and_what_is_ours_stays() -> None:
    timers = Timers()
    store, sweep = swept(timers)
    sweep.begin(10.0, everything=False)
    timers.fire_all()
    assert len(alive(store, 9.0)) == COUNT
    assert alive(store, 10.0) == [f"ours-{n}" for n in range(1, COUNT, 2)]


def test_a_slice_is_bounded_and_a_sweep_that_begins_anew_leaves_one_timer() -> None:
    timers = Timers()
    store, sweep = swept(timers)
    sweep.begin(10.0, everything=True)
    timers.fire()
    assert len(alive(store, 10.0)) >= COUNT - SLICE_KEYS
    sweep.begin(12.0, everything=True)
    assert len(timers.pending) == 1


def test_a_ring_that_moves_after_a_lost_lease_does_not_save_what_the_sweep_had_not_reached() -> None:
    timers = Timers()
    store, sweep = swept(timers)
    sweep.begin(10.0, everything=True)
    timers.fire()
    sweep.begin(12.0, everything=False)
    timers.fire_all()
    assert alive(store, 12.0) == []


def test_a_sweep_of_everything_that_has_ended_leaves_nothing_behind_for_the_next() -> None:
    timers = Timers()
    store, sweep = swept(timers)
    sweep.begin(10.0, everything=True)
    timers.fire_all()
    store.set("ours-1", b"new", math.inf, 11.0)
    sweep.begin(20.0, everything=False)
    timers.fire_all()
    assert store.contains("ours-1", 21.0)


def test_a_sweep_that_was_stopped_goes_no_further() -> None:
    timers = Timers()
    store, sweep = swept(timers)
    sweep.begin(10.0, everything=True)
    sweep.stop()
    sweep.stop()
    timers.fire_all()
    assert len(alive(store, 10.0)) == COUNT
