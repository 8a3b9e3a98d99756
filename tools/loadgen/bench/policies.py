"""The product's own store in a plain loop: a hit with each of its policies, against an OrderedDict and against LRU, and the longest that it holds
a loop, against a dict.

Every policy holds the same entries and is asked for all of them in order, so that no two hits of a batch are of one key: the most work there is.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial
from typing import Final

from zmcache.examples import value_of

from ..simulation import POLICIES, filled, in_a_dict, in_the_store
from . import clients
from .drive import Effort, Side, in_turns
from .goals import Row, judge

_REPEATS: Final = 6  # the odds that a machine stands still in the same step each time are nil


async def hits(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """``hit-NAME`` for each policy."""
    keys = clients.make_keys(effort.keys)
    plain = OrderedDict((key, value_of(key)) for key in keys)
    chosen = ["lru", *(policy for policy in POLICIES if policy != "lru" and f"hit-{policy}" in wanted)]
    sides: dict[str, Side] = {"plain": partial(_plain, plain, keys)}
    for policy in chosen:
        sides[policy] = partial(_hits, filled(policy, keys, value_of), keys)
    samples = await in_turns(effort.runs, sides)
    for policy in chosen:
        if f"hit-{policy}" in wanted:
            yield judge(f"hit-{policy}", samples[policy], samples["plain" if policy == "lru" else "lru"])


async def longest(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """``longest-set``, ``longest-turn``, in one and the same hash order."""
    ours, theirs = in_the_store(effort.entries, _REPEATS), in_a_dict(effort.entries, _REPEATS)
    if "longest-set" in wanted:
        yield judge("longest-set", [ours.set_s * 1e3], [theirs.set_s * 1e3])
    if "longest-turn" in wanted:
        yield judge("longest-turn", [ours.turn_s * 1e3], [theirs.turn_s * 1e3])


async def _plain(entries: OrderedDict[str, bytes], keys: Sequence[str]) -> float:
    get, move_to_end = entries.get, entries.move_to_end
    began_s = time.perf_counter()
    for key in keys:
        get(key)
        move_to_end(key)
    return (time.perf_counter() - began_s) / len(keys) * 1e9


async def _hits(get: Callable[[str, float], bytes | str | None], keys: Sequence[str]) -> float:
    began_s = time.perf_counter()
    for key in keys:
        get(key, 0.0)
    return (time.perf_counter() - began_s) / len(keys) * 1e9
