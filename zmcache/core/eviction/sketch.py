"""How often keys were asked for lately, about: a count-min sketch that forgets half of everything again and again.

G. Cormode, S. Muthukrishnan, "An improved data stream summary: the count-min sketch", Journal of Algorithms 55 (2005); the halving is TinyLFU's
(G. Einziger, R. Friedman, B. Manes, "TinyLFU: a highly efficient cache admission policy", ACM Transactions on Storage 13, 2017).

Four counters a key, up to 15, in one row of bytes; the least of them is the estimate, and only those that are the least are raised (conservative
update), which errs less. After ten times as many counts as the sketch has room for, all counters are halved, a slice with each count: a halving
at one go would hold the loop. The row doubles with the number of entries, by having its halves alike, which changes no estimate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST: Final = 15
_COUNTERS_PER_KEY: Final = (
    8  # two for each of the four: an estimate is then too high by 1 for about one key in a hundred
)
_SAMPLE: Final = 10  # counts per key before all are halved
_SLICE: Final = 512
_FIRST: Final = 4096
_HALVES: Final = bytes(count // 2 for count in range(256))
_SPREAD: Final = 0x9E3779B97F4A7C15F39CC0605CEDC835  # 2**128 over the golden ratio


class Sketch:
    """Counts identities, 8 bytes for each entry of the cache, or 16 just after doubling."""

    __slots__ = ("_ages_at", "_counters", "_counts", "_halved", "_mask")

    def __init__(self) -> None:
        self._counters = bytearray(_FIRST)
        self._mask = _FIRST - 1
        self._counts = 0  # half of those before the last halving, and those since
        self._ages_at = _SAMPLE * self.room
        self._halved = _FIRST  # so far; all of it: none is under way

    @property
    def room(self) -> int:
        """For how many entries it is as exact as it should be."""
        return (self._mask + 1) // _COUNTERS_PER_KEY

    def cover(self, entries: int) -> None:
        """Have room for so many."""
        while entries > self.room:
            self._finish_halving()
            self._counters = self._counters + self._counters
            self._mask = len(self._counters) - 1
            self._halved = len(self._counters)
            self._ages_at = _SAMPLE * self.room

    def add(self, identities: Iterable[int]) -> None:
        """One use more of each. About 0.5 us each."""
        mask, counters = self._mask, self._counters
        for identity in identities:
            spread = identity * _SPREAD
            a, b, c, d = spread >> 28 & mask, spread >> 52 & mask, spread >> 76 & mask, spread >> 100 & mask
            least = min(counters[a], counters[b], counters[c], counters[d])
            if least < MOST:
                for at in (a, b, c, d):
                    if counters[at] == least:
                        counters[at] = least + 1
            self._counts += 1
            if self._counts >= self._ages_at or self._halved <= mask:
                self._age()

    def estimate(self, identity: int) -> int:
        """About how many uses it has had lately, 0 to 15."""
        spread, mask, counters = identity * _SPREAD, self._mask, self._counters
        return min(
            counters[spread >> 28 & mask],
            counters[spread >> 52 & mask],
            counters[spread >> 76 & mask],
            counters[spread >> 100 & mask],
        )

    def _age(self) -> None:
        if self._counts >= self._ages_at:
            self._finish_halving()
            self._counts //= 2
            self._halved = 0
        start, self._halved = self._halved, self._halved + _SLICE
        self._counters[start : self._halved] = self._counters[start : self._halved].translate(_HALVES)

    def _finish_halving(self) -> None:
        self._counters[self._halved :] = self._counters[self._halved :].translate(_HALVES)
        self._halved = len(self._counters)
