"""The rows of the benchmark as data: what is measured, against what, and where the floor is. A row's verdict follows from nothing else.

``at least`` rows are rates, more is better; ``at most`` rows are latencies and costs. The floor is on the ratio (measured /
yardstick), or, where `Goal.absolute`, on what was measured. `Goal.wanted` is what the row is to come to, where that is more than the
floor; no verdict follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from ..errors import LoadgenError

ALL_HOLD: Final = 0
FALLS_SHORT: Final = 1
NOT_MEASURED: Final = 3  # 2 is click's, for a wrong option


class NotMeasurable(LoadgenError):
    """Something that a row needs is not there, or did not work; the text says what to do about it."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What one row is to show."""

    name: str
    title: str
    unit: str
    against: str
    bound: Literal["at least", "at most"]
    floor: float
    absolute: bool = False
    wanted: float | None = None


GOALS: Final = (
    Goal("gets-64-redis", "64 callers", "gets/s", "redis.asyncio", "at least", 5.0, wanted=6.0),
    Goal("gets-64-memcached", "64 callers", "gets/s", "aiomcache", "at least", 3.0),
    Goal("gets-64-echo", "64 callers", "gets/s", "blocking ZeroMQ echo", "at least", 1.0),
    Goal("gets-256-redis", "256 callers", "gets/s", "redis.asyncio", "at least", 9.0, wanted=12.0),
    Goal("one-caller-echo", "one caller, p50", "us", "blocking ZeroMQ echo", "at most", 1.7),
    Goal("one-caller-busy-redis", "one caller, p50, busy polling", "us", "redis.asyncio", "at most", 1.2),
    Goal("get-many-redis", "get_many of 100, one caller", "calls/s", "redis.asyncio mget", "at least", 0.9),
    Goal("get-many-8-redis", "get_many of 100, 8 callers", "calls/s", "redis.asyncio mget", "at least", 1.2),
    Goal("cached-hit", "a cached function's hit, one caller, p50", "us", "get of the same keys", "at most", 1.5),
    Goal("cached-hit-64", "a cached function's hits, 64 callers", "calls/s", "get of the same keys", "at least", 0.6),
    Goal("sync-one", "zmcache.sync, one thread, p50", "us", "redis-py", "at most", 2.0),
    Goal("sync-threads", "zmcache.sync, 16 threads", "gets/s", "redis-py", "at least", 2.0),
    Goal("django-get", "Django backend, get, one thread, p50", "us", "Django's redis backend", "at most", 1.2),
    Goal("django-set", "Django backend, set, one thread, p50", "us", "Django's redis backend", "at most", 1.2),
    Goal("embedded-get", "embedded hit, await get", "ns", "OrderedDict get, move_to_end", "at most", 10.0),
    Goal("embedded-get-nowait", "embedded hit, get_nowait", "ns", "OrderedDict get, move_to_end", "at most", 4.0),
    Goal("hit-lru", "a hit in the store, lru", "ns", "OrderedDict get, move_to_end", "at most", 2.0),
    Goal("hit-lfu", "a hit in the store, lfu", "ns", "lru", "at most", 2.0),
    Goal("hit-arc", "a hit in the store, arc", "ns", "lru", "at most", 2.0),
    Goal("hit-sieve", "a hit in the store, sieve", "ns", "lru", "at most", 2.0),
    Goal("hit-s3-fifo", "a hit in the store, s3-fifo", "ns", "lru", "at most", 1.3),
    Goal("hit-w-tinylfu", "a hit in the store, w-tinylfu", "ns", "lru", "at most", 5.0),
    Goal("million-bytes", "1M entries of 13 + 128 bytes, with expiry", "bytes/entry", "redis", "at most", 1.3),
    Goal("million-pause", "longest pause of the loop meanwhile", "ms", "an idle node's loop", "at most", 20.0, absolute=True),
    Goal("expiry-pause", "the same, while 1M entries end in one second", "ms", "an idle node's loop", "at most", 20.0, absolute=True),
    Goal("longest-set", "the longest set of 1M, by the store's own doing", "ms", "a dict's", "at most", 5.0, absolute=True),
    Goal("longest-turn", "the longest turn of clearing away 1M", "ms", "a dict's clear", "at most", 1.0, absolute=True),
    Goal("groups-100", "a get with 100 groups, 64 callers", "us", "one group", "at most", 1.2),
    Goal("nodes-100", "a get with 100 nodes in the ring, 64 callers", "us", "one node", "at most", 1.2),
    Goal("nodes-1000", "a get with 1,000 nodes in the ring, 10 asked, 640 callers", "us", "one node", "at most", 1.5),
    Goal("nodes-1000-memory", "what 1,000 nodes add to a client", "MiB", "a client of one node", "at most", 64.0, absolute=True),
    Goal("new-ring", "longest pause of a client's loop, new ring of 1,000", "ms", "an idle loop", "at most", 10.0, absolute=True),
    Goal("set-copies", "a set of two copies, one caller, p50", "us", "with one copy", "at most", 3.0),
    Goal("gets-copies", "gets where there are two copies, 64 callers", "gets/s", "with one copy", "at least", 0.95),
    Goal("handover-rate", "values of 4 KiB that are handed over", "MiB/s", "nothing", "at least", 50.0, absolute=True),
    Goal("handover-p99", "gets while 4 KiB values are handed over, p99", "us", "before", "at most", 2.0),
    Goal("kill-hits", "hit ratio, 5 s after one of three nodes is killed", "points less", "before", "at most", 2.0, absolute=True),
    Goal("kill-queries", "queries after a node is killed, of its share", "% of its keys", "all of them", "at most", 1.0, absolute=True),
    Goal("near-get", "near hit, await get", "ns", "OrderedDict get, move_to_end", "at most", 10.0),
    Goal("near-aiocache", "aiocache's memory, await get", "ns", "near hit", "at least", 10.0),
    Goal("near-cached", "a cached function's near hit", "ns", "near hit", "at most", 3.0),
    Goal("near-zipf", "Zipf 0.99, near copies of 1 % of the bytes, 64 callers, mean", "us", "without copies", "at most", 0.6),
    Goal("sets-followed", "sets by 64 callers, 100 clients keep other keys", "sets/s", "without them", "at least", 0.5),
    Goal("watch-delivery", "a set until it is told, 10,000 sets/s, p50", "us", "gets by as many callers", "at most", 1.5),
    Goal("tool-rate", "this generator, 64 callers", "gets/s", "a bare loop over the client", "at least", 0.8),
    Goal("tool-record", "recording a latency", "us", "an append to a list", "at most", 1.5, absolute=True),
    Goal("tool-memory", "8M requests in the generator", "MiB", "with one request", "at most", 300.0, absolute=True),
    Goal("tool-start", "a trace of 5M accesses, first request", "s", "only --help", "at most", 3.0, absolute=True),
)  # fmt: skip
BY_NAME: Final = {goal.name: goal for goal in GOALS}


@dataclass(frozen=True, slots=True)
class Row:
    """A goal and what came of it. All figures are None, and ``holds`` too, where nothing could be measured."""

    goal: Goal
    measured: float | None
    yardstick: float | None
    ratio: float | None
    holds: bool | None
    runs: tuple[float, ...] = ()
    """Each run's ratio; each run's figure where the goal is absolute."""
    note: str = ""


def judge(name: str, measured: Sequence[float], yardstick: Sequence[float], note: str = "") -> Row:
    """The row of that name, from what each run measured and its yardstick beside it.

    The ratio is the median of the runs' ratios, not the ratio of medians: what ran side by side is compared. An absolute
    goal counts the median of what was measured. Raises `ValueError` where the runs are not pairs, or none.
    """
    goal = BY_NAME[name]
    ratios = tuple(a / b for a, b in zip(measured, yardstick, strict=True) if b > 0)
    ratio = None if goal.absolute else median(ratios)
    judged = median(measured) if ratio is None else ratio
    holds = judged >= goal.floor if goal.bound == "at least" else judged <= goal.floor
    runs = tuple(measured) if goal.absolute else ratios
    return Row(goal, median(measured), median(yardstick), ratio, holds, runs, note)


def unmeasured(name: str, why: str) -> Row:
    """The row of that name, of which nothing is known because of ``why``."""
    return Row(BY_NAME[name], None, None, None, None, note=why)


def exit_code(rows: Iterable[Row]) -> int:
    """1 where a row falls short, else 3 where one could not be measured, else 0."""
    verdicts = {row.holds for row in rows}
    return FALLS_SHORT if False in verdicts else NOT_MEASURED if None in verdicts else ALL_HOLD
