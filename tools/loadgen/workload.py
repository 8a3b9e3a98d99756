"""Which key next, and whether it is read or written: a stream that the seed alone decides.

The keys are the decimal numbers from 0, with a prefix where one is wanted. Under Zipf the key 0 is the most asked for:
rank k of n, counted from 1, has the probability k**-s / (1**-s + ... + n**-s), for any s above 0, exactly and not in
the limit. It is drawn by looking a uniform number up in the cumulated probabilities (O(log n), 8 bytes a key). Which
nodes the popular keys fall to is the ring's affair: it hashes them.

Keys, the choice to write, and the sizes of values come from three generators of their own, so that asking for more
writes leaves the keys as they were. One stream is shared by all callers: how many there are does not change what is
asked, only when.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Literal, Protocol

Request = tuple[int | str, str, bytes | None]
"""(what tells this key from others, the key, the value to store or None to read). A bare tuple: one is made per
request."""

MAX_ZIPF_KEYS = 20_000_000
"""The table of so many keys takes 160 MB and some seconds to fill."""

_BATCH = 256  # drawn at once: enough to spread the cost of a call, too few to be felt as a pause (0.2 ms)


class Workload(Protocol):
    """A stream of requests, and what the report says about it."""

    @property
    def seed(self) -> int | None:
        """What decides the stream; None where nothing is drawn."""

    @property
    def description(self) -> Mapping[str, object]:
        """Its parameters, by name, for the report."""

    @property
    def total(self) -> int | None:
        """How many requests there are, where that is known."""

    def requests(self) -> Iterator[Request]:
        """The stream, from its start. Raises `TraceError` where it cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """An endless stream of drawn keys.

    ``keys``: how many there are. ``distribution``: ``"uniform"`` or ``"zipf"``. ``exponent``: of Zipf, above 0; 0.99 is
    YCSB's, web traffic has 0.6 to 1.2. ``value_bytes``: smallest and largest value written, drawn uniformly.
    ``writes``: share of requests that write, 0 to 1. Raises ValueError for what is outside that.
    """

    keys: int = 100_000
    distribution: Literal["uniform", "zipf"] = "uniform"
    exponent: float = 0.99
    value_bytes: tuple[int, int] = (128, 128)
    writes: float = 0.0
    seed: int = 1
    prefix: str = ""

    def __post_init__(self) -> None:
        smallest, largest = self.value_bytes
        for holds, expected in (
            (self.keys >= 1, "keys: at least 1"),
            (self.distribution in ("uniform", "zipf"), "distribution: uniform or zipf"),
            (0 < self.exponent < float("inf"), "exponent: a finite number above 0"),
            (0 <= self.writes <= 1, "writes: a share from 0 to 1"),
            (0 <= smallest <= largest, "value size: from 0 up, the smallest first"),
            (self.distribution != "zipf" or self.keys <= MAX_ZIPF_KEYS, f"keys: at most {MAX_ZIPF_KEYS} with zipf"),
        ):
            if not holds:
                raise ValueError(expected)

    @property
    def description(self) -> Mapping[str, object]:
        """All parameters but the seed, which the report names by itself."""
        zipf = {"exponent": self.exponent} if self.distribution == "zipf" else {}
        return {
            "kind": self.distribution,
            **zipf,
            "keys": self.keys,
            "writes": self.writes,
            "value_bytes": list(self.value_bytes),
            "prefix": self.prefix,
        }

    @property
    def total(self) -> int | None:
        """It never ends."""
        return None

    def requests(self) -> Iterator[Request]:
        """The stream. About 1 us a request."""
        draw_keys = self._key_drawer()
        write = Random(f"{self.seed}/writes").random
        values = self._values()
        prefix, share = self.prefix, self.writes
        while True:
            for key in draw_keys(_BATCH):
                yield key, f"{prefix}{key}", next(values) if share and write() < share else None

    def _key_drawer(self) -> Callable[[int], list[int]]:
        uniform, n = Random(f"{self.seed}/keys").random, self.keys
        if self.distribution == "uniform":
            return lambda count: [int(uniform() * n) for _ in range(count)]
        cumulated = cumulated_weights(n, self.exponent)
        total, last = cumulated[-1], n - 1  # the search is bounded: a product may round up to the total
        return lambda count: [bisect(cumulated, uniform() * total, 0, last) for _ in range(count)]

    def _values(self) -> Iterator[bytes]:
        """Random bytes, cut from one pool: a value costs a slice, and compresses no better than real data would."""
        random = Random(f"{self.seed}/values")
        smallest, largest = self.value_bytes
        pool = random.randbytes(largest)
        while True:
            yield pool if smallest == largest else pool[: random.randint(smallest, largest)]


def cumulated_weights(n: int, exponent: float) -> array[float]:
    """The sums of k**-exponent for k from 1 to 1, 2, ..., n, not divided by the last."""
    return array("d", accumulate(k**-exponent for k in range(1, n + 1)))
