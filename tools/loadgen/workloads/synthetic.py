"""An endless stream of drawn requests, which the seed alone decides.

The keys are the decimal numbers from 0, with a prefix where one is wanted. Keys, what is done with them, sizes and lives come
from four generators of their own, so that asking for more writes leaves the keys as they were. One stream is shared by all
callers of a worker: how many there are does not change what is asked, only when.

Requests are made in blocks, column by column: a request costs its share of a few comprehensions, and no call of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, chain, repeat
from random import Random
from typing import Final, TypeVar

from ..requests import DELETE, MODIFY, READ, READ_MANY, WRITE, Keys, Request, Token
from .base import WHOLE, Part, named
from .distributions import Distribution, Draw, Uniform
from .expiry import Expiry
from .sizes import ConstantSize, Sizes
from .zipf import Latest, LatestDraw

_BLOCK: Final = 256  # keys: enough to spread the cost of a call, too few to be felt as a pause (0.2 ms)
_INSERT: Final = -1  # a write of a key that was not there; goes out as WRITE
_STORES: Final = frozenset({WRITE, MODIFY, _INSERT})
_DRAWS_OF_A_BATCH: Final = 64  # rounds; then neighbours fill it up, since the rarest keys might never be drawn

_UNIFORM: Final = Uniform()
_SIZES: Final = ConstantSize(128)

_Drawn = tuple[Iterable[int], Iterable[Token], Iterable[Keys]]  # ops as they go out, tokens, keys
_T = TypeVar("_T", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """A stream without end, about 0.5 us a request, 0.7 us where half of them write, 1 us with inserts; 1 us a key in batches.

    ``keys``: how many there are, at the start. ``sizes``: of the values written. ``expiry``: lives of what is written; None: the
    group's own. ``writes``, ``deletes``, ``modifies`` (read, then write the same key) and ``inserts`` (write a new key; only with
    `Latest`): shares of the requests, 0 to 1, together at most 1; the others read. ``batch``: distinct keys each read asks for.
    ``preset``: the name of what this was made from, for the report. ``part``: see `for_worker`. Raises ValueError for what is
    outside that.
    """

    keys: int = 100_000
    distribution: Distribution = _UNIFORM
    sizes: Sizes = _SIZES
    expiry: Expiry | None = None
    writes: float = 0.0
    deletes: float = 0.0
    modifies: float = 0.0
    inserts: float = 0.0
    batch: int = 1
    seed: int = 1
    prefix: str = ""
    preset: str | None = None
    part: Part = WHOLE

    def __post_init__(self) -> None:
        shares = (self.writes, self.deletes, self.modifies, self.inserts)
        for holds, expected in (
            (self.keys >= 1, "keys: at least 1"),
            (all(0 <= share <= 1 for share in shares), "writes, deletes, modifies and inserts: shares from 0 to 1"),
            (sum(shares) <= 1 + 1e-9, "writes, deletes, modifies and inserts: together at most 1"),
            (1 <= self.batch <= self.keys, "batch: at least 1 key, at most as many as there are"),
            (not self.inserts or isinstance(self.distribution, Latest), "inserts: only with the distribution latest"),
        ):
            if not holds:
                raise ValueError(expected)
        self.distribution.check(self.keys)
        self.part.check()

    @property
    def description(self) -> Mapping[str, object]:
        """All parameters but the seed, which the report names by itself."""
        preset = {"preset": self.preset} if self.preset else {}
        shares = {"deletes": self.deletes, "modifies": self.modifies, "inserts": self.inserts}
        return {
            **self.distribution.description,
            **preset,
            "keys": self.keys,
            "writes": self.writes,
            **{name: share for name, share in shares.items() if share},
            "batch": self.batch,
            "value_bytes": str(self.sizes),
            "expiry": None if self.expiry is None else str(self.expiry),
            "prefix": self.prefix,
        }

    @property
    def total(self) -> int | None:
        """It never ends."""
        return None

    @property
    def timed(self) -> bool:
        """When a request is due is the loop's affair."""
        return False

    def for_worker(self, index: int, count: int) -> Synthetic:
        """A stream of its own from the same seed; every ``count``-th key of the load phase, and of those inserted."""
        return replace(self, part=Part(index, count))

    def requests(self) -> Iterator[Request]:
        """The stream."""
        return chain.from_iterable(self._blocks())

    def load_requests(self) -> Iterator[Request]:
        """The keys of this worker's part, in ascending order. 0.5 us each."""
        return chain.from_iterable(self._load_blocks())

    def _blocks(self) -> Iterator[Iterable[Request]]:
        stem = self.part.stem(self.seed)
        draw_ops = self._op_drawer(Random(f"{stem}/ops"))
        draw_keys = self._key_drawer(self.distribution.drawer(self.keys, Random(f"{stem}/keys"), self.part))
        sizes_of = _where_stored(self.sizes.drawer(Random(f"{stem}/sizes")), 0)
        lives_of = _where_stored(self._draw_lives(f"{stem}/lives"), 0.0)
        first, stores = 0, self.writes + self.modifies + self.inserts > 0
        block = max(1, _BLOCK // self.batch)
        while True:
            ops = draw_ops(block)
            sent, tokens, keys = draw_keys(ops, first)
            sizes = sizes_of(ops) if stores else repeat(0)
            lives = lives_of(ops) if stores and self.expiry else repeat(0.0)
            yield zip(sent, tokens, keys, sizes, lives, repeat(0.0))
            first += block

    def _load_blocks(self) -> Iterator[Iterable[Request]]:
        stem = self.part.stem(self.seed)
        draw_sizes = self.sizes.drawer(Random(f"{stem}/load/sizes"))
        draw_lives = self._draw_lives(f"{stem}/load/lives")
        mine = range(self.part.worker, self.keys, self.part.workers)
        for start in range(0, len(mine), _BLOCK):
            keys = mine[start : start + _BLOCK]
            lives = draw_lives(len(keys))
            yield zip(repeat(WRITE), keys, named(self.prefix, keys), draw_sizes(len(keys)), lives, repeat(0.0))

    def _draw_lives(self, seed: str) -> Callable[[int], list[float]]:
        return self.expiry.drawer(Random(seed)) if self.expiry else lambda count: [0.0] * count

    def _op_drawer(self, random: Random) -> Callable[[int], list[int]]:
        read = READ if self.batch == 1 else READ_MANY
        shares = {WRITE: self.writes, DELETE: self.deletes, MODIFY: self.modifies, _INSERT: self.inserts}
        ops = [op for op, share in shares.items() if share]
        if not ops:
            return lambda count: [read] * count
        if len(ops) == 1:  # the usual mixes; three times as fast as below, and draws the same
            op, share, uniform = ops[0], shares[ops[0]], random.random
            return lambda count: [op if uniform() < share else read for _ in range(count)]
        # reads come last, so that what rounding leaves of the 1 is theirs
        cumulated = [*accumulate(shares[op] for op in ops), 1.0]
        return lambda count: random.choices([*ops, read], cum_weights=cumulated, k=count)

    def _key_drawer(self, draw: Draw) -> Callable[[list[int], int], _Drawn]:
        """What draws the keys for a block of ops; the second argument is the number of the first."""
        prefix, batch, keys = self.prefix, self.batch, self.keys

        def insert() -> int:
            assert isinstance(draw, LatestDraw)  # the only distribution that is accepted with inserts
            return draw.insert()

        def as_sent(ops: list[int]) -> list[int]:
            return [WRITE if op == _INSERT else op for op in ops]

        def single(ops: list[int], first: int) -> _Drawn:
            tokens = draw(len(ops), first)
            return ops, tokens, named(prefix, tokens)

        def growing(ops: list[int], first: int) -> _Drawn:
            tokens: list[int] = []
            for at, op in enumerate(ops):
                if op == _INSERT:
                    tokens += draw(at - len(tokens), first)
                    tokens.append(insert())
            tokens += draw(len(ops) - len(tokens), first)
            return as_sent(ops), tokens, named(prefix, tokens)

        def batched(ops: list[int], first: int) -> _Drawn:
            tokens: list[Token] = []
            names: list[Keys] = []
            for number, op in enumerate(ops, first):
                count = batch if op == READ_MANY else 1
                drawn = [insert()] if op == _INSERT else draw_distinct(draw, count, number, keys)
                texts = named(prefix, drawn)
                tokens.append(drawn if op == READ_MANY else drawn[0])
                names.append(texts if op == READ_MANY else texts[0])
            return as_sent(ops), tokens, names

        if batch > 1:
            return batched
        return growing if self.inserts else single


def draw_distinct(draw: Draw, count: int, number: int, keys: int) -> list[int]:
    """``count`` keys for request ``number``, none of them twice: draws that repeat one are drawn again, up to a bound."""
    drawn = draw(count, number)
    distinct = dict.fromkeys(drawn)
    for _ in range(_DRAWS_OF_A_BATCH):
        if len(distinct) == count:
            return list(distinct)
        distinct |= dict.fromkeys(draw(count - len(distinct), number))
    key = drawn[-1]
    while len(distinct) < count:
        key = (key + 1) % keys
        distinct[key] = None
    return list(distinct)


def _where_stored(draw: Callable[[int], list[_T]], elsewhere: _T) -> Callable[[list[int]], list[_T]]:
    """A column with something drawn for each op that stores a value."""

    def column(ops: list[int]) -> list[_T]:
        stores = list(map(_STORES.__contains__, ops))
        drawn = iter(draw(sum(stores)))
        return [next(drawn) if store else elsewhere for store in stores]

    return column
