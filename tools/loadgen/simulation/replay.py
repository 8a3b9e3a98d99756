"""A stream through the product's own store: what is not there when it is read is stored then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, cast

from zmcache.core.charge import charge_of
from zmcache.core.eviction import DEFAULT, entry_overhead
from zmcache.core.eviction import POLICIES as _POLICIES
from zmcache.core.store import Store

from .stream import Stream

POLICIES: Final = tuple(_POLICIES)
DEFAULT_POLICY: Final = DEFAULT


class Outcome(NamedTuple):
    """What came of a stream. ``seconds``: for all of it, the loop that asks included."""

    reads: int
    hits: int
    bytes_read: int
    bytes_hit: int
    seconds: float

    @property
    def ratio(self) -> float:
        """Hits of reads, 0.0 to 1.0; 0.0 of no reads."""
        return self.hits / self.reads if self.reads else 0.0

    @property
    def byte_ratio(self) -> float:
        """The same of the bytes of the values."""
        return self.bytes_hit / self.bytes_read if self.bytes_read else 0.0

    @property
    def us_per_read(self) -> float:
        """Microseconds, what a miss stores included."""
        return 1e6 * self.seconds / self.reads if self.reads else 0.0


def budget_bytes(items: int, value_bytes: int, *, key: str, policy: str = DEFAULT_POLICY) -> int:
    """What a group's budget must be for so many items, each with a key as long as ``key``, as the store charges them."""
    return items * cost(key, value_bytes, policy)


def replay(stream: Stream, budget: int, policy: str = DEFAULT_POLICY) -> Outcome:
    """Read the stream from an empty store with so many bytes. About 1 us a read, and 2 to 10 a miss.

    Values are as long as the stream says, and take no memory: a range has a length, which is all that a store asks of a value.
    """
    store = Store(budget, policy)
    get, put = store.get, store.set
    keys, sizes = stream.keys, stream.sizes
    hits = bytes_hit = 0
    began_s = time.perf_counter()
    if sizes is None:
        for key in keys:
            if get(key, 0.0) is None:
                put(key, b"", math.inf, 0.0)
            else:
                hits += 1
    else:
        for key, size in zip(keys, sizes, strict=True):
            if get(key, 0.0) is None:
                put(key, cast("bytes", range(size)), math.inf, 0.0)
            else:
                hits += 1
                bytes_hit += size
    seconds = time.perf_counter() - began_s
    return Outcome(len(keys), hits, sum(sizes or ()), bytes_hit, seconds)


def filled(
    policy: str, keys: Sequence[str], value_of: Callable[[str], bytes]
) -> Callable[[str, float], bytes | str | None]:
    """The ``get`` of a store that holds these keys: of a key, at a time in seconds."""
    store = Store(1 << 40, policy)
    for key in keys:
        store.set(key, value_of(key), math.inf, 0.0)
    return store.get


def cost(key: str, size: int, policy: str = DEFAULT_POLICY) -> int:
    """What the store charges for it."""
    return charge_of(key, cast("bytes", range(size)), entry_overhead(policy))
