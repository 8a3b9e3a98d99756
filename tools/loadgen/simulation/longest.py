"""The longest that the product's store keeps a loop from anything else, by its own doing.

A machine that others share stands still for ten milliseconds now and then, and counts that as computing. But it does so at another place each
time, while what the store does is the same for the same keys in the same process: so all is done several times over, and of each step the
shortest time counts. What is left is long every time: tables that grow, memory that is given back, collections of garbage.
"""

from __future__ import annotations

import gc
import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from zmcache.core.store import Store
from zmcache.core.tidying import AT_ONCE, TURN_S
from zmcache.examples import value_of

from .replay import DEFAULT_POLICY

_ENDS_S: Final = 1_000.5
_AFTER_S: Final = 1_001.0


@dataclass(frozen=True, slots=True)
class Longest:
    """In seconds: one set, and one turn of clearing away."""

    set_s: float
    turn_s: float


def in_the_store(entries: int, repeats: int, policy: str = DEFAULT_POLICY) -> Longest:
    """Setting so many that all end in the same second, and tidying them away."""
    sets, slices = _Shortest(), _Shortest()
    for _ in range(repeats):
        store = Store(1 << 40, policy)
        sets.take(_sets(lambda key, value: store.set(key, value, _ENDS_S, 0.0), entries))  # noqa: B023 - called at once
        slices.take(_slices(store))
    return Longest(max(sets.seconds), max(_turns(slices.seconds)))


def in_a_dict(entries: int, repeats: int) -> Longest:
    """The same with a dict, which is cleared."""
    sets, clears = _Shortest(), _Shortest()
    for _ in range(repeats):
        plain: dict[str, bytes] = {}
        sets.take(_sets(plain.__setitem__, entries))
        clears.take(iter([_timed(plain.clear)]))
    return Longest(max(sets.seconds), max(clears.seconds))


class _Shortest:
    """Of each step the shortest time that it ever took."""

    def __init__(self) -> None:
        self.seconds = array("d")

    def take(self, steps: Iterator[float]) -> None:
        """The times of all the steps once more."""
        # What there was before is no doing of the steps, as it is in a node (`zmcache.cli.collector`).
        gc.collect()
        gc.freeze()
        try:
            for at, seconds in enumerate(steps):
                if at == len(self.seconds):
                    self.seconds.append(math.inf)
                self.seconds[at] = min(seconds, self.seconds[at])
        finally:
            gc.unfreeze()


def _sets(put: Callable[[str, bytes], object], entries: int) -> Iterator[float]:
    for number in range(entries):
        key = f"key:{number:09d}"
        value = value_of(key)
        began_s = perf_counter()
        put(key, value)
        yield perf_counter() - began_s


def _slices(store: Store) -> Iterator[float]:
    while store:
        yield _timed(lambda: store.expire(_AFTER_S, AT_ONCE))


def _timed(step: Callable[[], object]) -> float:
    began_s = perf_counter()
    step()
    return perf_counter() - began_s


def _turns(slices: array[float]) -> Iterator[float]:
    """As `zmcache.core.tidying.tidy` takes them."""
    turn_s = 0.0
    for seconds in slices:
        turn_s += seconds
        if turn_s >= TURN_S:
            yield turn_s
            turn_s = 0.0
    yield turn_s
