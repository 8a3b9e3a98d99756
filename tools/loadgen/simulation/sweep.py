"""Every cache at every size over one stream, and the best there can be: the figures of ``zmcache-loadgen simulate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from .belady import most_hits, next_uses
from .beside import Beside, replay_beside
from .replay import Outcome, budget_bytes, cost, replay
from .sizes import CacheSize
from .stream import Stream

BEST: Final = "belady"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cache at one size. ``size``: items or bytes. What is not known of Belady's optimum is None."""

    cache: str
    size: int
    written: str
    hit_ratio: float
    byte_hit_ratio: float | None
    us_per_read: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """``sizes`` are ``(as written, items or bytes)``; ``rows`` hold every cache at each of them, the caches in the order they were asked for."""

    in_bytes: bool
    reads: int
    distinct: int
    sizes: Sequence[tuple[str, int]]
    rows: Sequence[Row]

    @property
    def caches(self) -> list[str]:
        """Their names, each once."""
        return list(dict.fromkeys(row.cache for row in self.rows))

    def row(self, cache: str, size: int) -> Row:
        """The one of that cache at that size."""
        return next(row for row in self.rows if (row.cache, row.size) == (cache, size))

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "unit": "bytes" if self.in_bytes else "items",
            "reads": self.reads,
            "distinct": self.distinct,
            "rows": [asdict(row) for row in self.rows],
        }


def sweep(
    stream: Stream,
    sizes: Sequence[CacheSize],
    policies: Sequence[str],
    others: Sequence[Beside],
    *,
    in_bytes: bool,
    told: Callable[[str], None],
) -> Sweep:
    """Replay ``stream`` in each. ``told`` hears of each cache and size when its turn comes.

    ``in_bytes``: sizes are bytes as the store charges them, and the stream has sizes; else they are items.
    """
    chosen = [(each.written, _amount(each, stream, in_bytes=in_bytes)) for each in sizes]
    after = [] if in_bytes else next_uses(_numbered(stream))
    rows = []
    for written, size in chosen:
        if not in_bytes:
            told(f"{BEST} at {written}")
            rows.append(_best(stream, after, written, size))
        for policy in policies:
            told(f"{policy} at {written}")
            budget = size if in_bytes else budget_bytes(size, 0, key=stream.keys[0], policy=policy)
            rows.append(_row(policy, written, size, replay(stream, budget, policy), in_bytes=in_bytes))
        for other in others:
            if other.in_bytes or not in_bytes:
                told(f"{other.name} at {written}")
                rows.append(
                    _row(
                        other.name,
                        written,
                        size,
                        replay_beside(stream, size, other, in_bytes=in_bytes),
                        in_bytes=in_bytes,
                    )
                )
    return Sweep(in_bytes=in_bytes, reads=len(stream.keys), distinct=stream.distinct, sizes=chosen, rows=rows)


def _amount(size: CacheSize, stream: Stream, *, in_bytes: bool) -> int:
    if size.kind != "share":
        return int(size.amount)
    if not in_bytes:
        return max(1, round(size.amount * stream.distinct))
    last_sizes = dict(zip(stream.keys, stream.sizes or (), strict=True))
    return max(1, round(size.amount * sum(cost(key, held) for key, held in last_sizes.items())))


def _numbered(stream: Stream) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in stream.keys]


def _best(stream: Stream, after: Sequence[int], written: str, size: int) -> Row:
    hits = most_hits(_numbered(stream), after, size)
    ratio = hits / len(stream.keys)
    return Row(cache=BEST, size=size, written=written, hit_ratio=ratio, byte_hit_ratio=None, us_per_read=None)


def _row(cache: str, written: str, size: int, outcome: Outcome, *, in_bytes: bool) -> Row:
    return Row(
        cache=cache,
        size=size,
        written=written,
        hit_ratio=outcome.ratio,
        byte_hit_ratio=outcome.byte_ratio if in_bytes else None,
        us_per_read=outcome.us_per_read,
    )
