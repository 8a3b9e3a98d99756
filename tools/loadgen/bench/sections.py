"""Which rows are measured together, since they share what is measured or what it needs; and running those that are wanted.

A section that cannot be measured, or breaks, gives rows that say why, and the next one is measured all the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial
from typing import Final, NamedTuple

from ..errors import LoadgenError
from . import (
    cached,
    copies,
    django_backend,
    embedded,
    generator,
    loss,
    million,
    near,
    network,
    policies,
    scale,
    thousand,
    threads,
)
from .drive import Effort
from .goals import BY_NAME, GOALS, Row, unmeasured

Measure = Callable[[Collection[str], Effort], AsyncIterator[Row]]


class Section(NamedTuple):
    """Rows by name, and what measures those of them that are wanted."""

    names: tuple[str, ...]
    measure: Measure


SECTIONS: Final = (
    Section(("gets-64-redis", "gets-64-memcached", "gets-64-echo"), partial(network.many_callers, 64)),
    Section(("gets-256-redis",), partial(network.many_callers, 256)),
    Section(("one-caller-echo",), network.one_caller_and_echo),
    Section(("one-caller-busy-redis",), network.one_caller_busy_and_redis),
    Section(("get-many-redis",), partial(network.get_many_and_mget, 1)),
    Section(("get-many-8-redis",), partial(network.get_many_and_mget, 8)),
    Section(("cached-hit", "cached-hit-64"), cached.hits),
    Section(("sync-one", "sync-threads"), threads.gets),
    Section(("django-get", "django-set"), django_backend.calls),
    Section(("embedded-get", "embedded-get-nowait"), embedded.hits),
    Section(("hit-lru", "hit-lfu", "hit-arc", "hit-sieve", "hit-s3-fifo", "hit-w-tinylfu"), policies.hits),
    Section(("million-bytes", "million-pause", "expiry-pause"), million.entries),
    Section(("longest-set", "longest-turn"), policies.longest),
    Section(("groups-100",), scale.many_groups),
    Section(("nodes-100",), scale.many_nodes),
    Section(("nodes-1000", "nodes-1000-memory", "new-ring"), thousand.nodes),
    Section(("set-copies", "gets-copies"), copies.writes),
    Section(("handover-rate", "handover-p99"), copies.handover),
    Section(("kill-hits", "kill-queries"), loss.kill),
    Section(("near-get", "near-aiocache", "near-cached"), near.hits),
    Section(("near-zipf",), near.popular),
    Section(("sets-followed",), near.followed),
    Section(("watch-delivery",), near.delivery),
    Section(("tool-rate",), generator.rate),
    Section(("tool-record",), generator.record),
    Section(("tool-memory",), generator.memory),
    Section(("tool-start",), generator.start),
)


async def measure(
    wanted: Collection[str],
    effort: Effort,
    *,
    sections: Sequence[Section] = SECTIONS,
    on_row: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """The rows of ``wanted``, in the order of `GOALS`; each is handed to ``on_row`` as soon as it is known."""
    rows: dict[str, Row] = {}

    def take(row: Row) -> None:
        rows[row.goal.name] = row
        on_row(row)

    for names, measuring in sections:
        names = tuple(name for name in names if name in wanted)
        if not names:
            continue
        try:
            async for row in measuring(names, effort):
                take(row)
        except (
            Exception
        ) as exc:  # the yardsticks' clients raise errors of their own, which are not imported where they are missing
            why = str(exc) if isinstance(exc, LoadgenError) else f"{type(exc).__name__}: {exc}"
            for name in names:
                if name not in rows:
                    take(unmeasured(name, why))
    return [rows[goal.name] for goal in GOALS if goal.name in rows]


def unknown(names: Collection[str]) -> list[str]:
    """Those of ``names`` that are no row's."""
    return [name for name in names if name not in BY_NAME]
