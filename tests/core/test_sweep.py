from __future__ import annotations

import math
from collections.abc import Callable

from zmcache.core.store import Store
from zmcache.core.sweep import PAUSE_S, SLICE_KEYS, Sweep

COUNT = 3 * SLICE_KEYS


class Timers:
    """The timers that were set and not cancelled, for a test to fire."""

    def __init__(self) -> None:
        self.pending: list[Timer] = []

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self, delay_s, callback)
        self.pending.append(timer)
        return timer

    @property
    def delays(self) -> list[float]:
        return [timer.delay_s for timer in self.pending]

    def fire(self) -> None:
        self.pending.pop(0).callback()

    def fire_whole_sweep(self) -> None:
        self.fire()
        while self.pending and self.pending[0].delay_s == PAUSE_S:
            self.fire()

    def fire_all(self) -> None:
        while self.pending:
            self.fire()


class Timer:
    def __init__(self, timers: Timers, delay_s: float, callback: Callable[[], None]) -> None:
        self.timers = timers
        self.delay_s = delay_s
        self.callback = callback

    def cancel(self) -> None:
        self.timers.pending.remove(self)


def swept(timers: Timers) -> tuple[Store, Sweep]:
    store = Store(10_000_000, "lru")
    for n in range(COUNT):
        store.set(f"{'ours' if n % 2 else 'theirs'}-{n}", b"v", math.inf, 0.0)
    return store, Sweep(store, lambda key: key.startswith("ours"), timers.call_later, lambda: 1.0)


def alive(store: Store, now_s: float) -> list[str]:
    return [key for n in range(COUNT) if store.contains(key := f"{'ours' if n % 2 else 'theirs'}-{n}", now_s)]


def test_what_is_not_to_be_kept_is_removed_and_the_rest_stays_as_it_is() -> None:
    timers = Timers()
    store, sweep = swept(timers)
    sweep.begin(10.0)
    assert len(alive(store, 1.0)) == COUNT
    timers.fire_all()
    assert alive(store, 1.0) == [f"ours-{n}" for n in range(1, COUNT, 2)]
    assert sweep.removed == COUNT // 2 + COUNT % 2


def test_a_slice_is_bounded_and_there_is_never_more_than_one_sweep() -> None:
    timers = Timers()
    store, sweep = swept(timers)
    sweep.begin(10.0)
    sweep.begin(5.0)
    assert len(timers.pending) == 1
    timers.fire()
    assert len(alive(store, 1.0)) >= COUNT - SLICE_KEYS
    sweep.begin(12.0)
    assert len(timers.pending) == 1


def test_what_was_still_kept_when_a_sweep_was_said_has_its_own_time() -> None:
    timers = Timers()
    store = Store(10_000_000, "lru")
    store.set("first", b"v", math.inf, 0.0)
    store.set("second", b"v", math.inf, 0.0)
    kept, now_s = {"second"}, 0.0
    sweep = Sweep(store, lambda key: key in kept, timers.call_later, lambda: now_s)
    sweep.begin(10.0, frozenset(kept).__contains__)
    sweep.stop()
    kept.clear()
    now_s = 9.0
    sweep.begin(10.0, frozenset(kept).__contains__)
    assert timers.delays == [1.0]
    now_s = 10.0
    timers.fire_whole_sweep()
    assert not store.contains("first", now_s)
    assert store.contains("second", now_s)
    assert timers.delays == [9.0]
    now_s = 19.0
    timers.fire_whole_sweep()
    assert not store.contains("second", now_s)
    assert not timers.pending


def test_of_very_many_sweeps_that_were_said_some_are_made_together() -> None:
    timers = Timers()
    store, sweep = swept(timers)
    for _ in range(100):
        sweep.begin(10.0)
        sweep.stop()
    sweep.begin(10.0)
    timers.fire_all()
    assert len(alive(store, 1.0)) == COUNT // 2


def test_a_sweep_that_was_stopped_goes_no_further_and_another_can_begin() -> None:
    timers = Timers()
    store, sweep = swept(timers)
    sweep.begin(10.0)
    sweep.stop()
    sweep.stop()
    timers.fire_all()
    assert len(alive(store, 1.0)) == COUNT
    sweep.begin(10.0)
    timers.fire_all()
    assert len(alive(store, 1.0)) == COUNT // 2
