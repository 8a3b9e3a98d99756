"""Freeing what has expired, and what a smaller budget has no room for, in slices between which the loop serves.

An entry takes 2 to 3 us, but every few dozen of them a policy puts its log in order, which takes up to half a millisecond. So a turn ends
`TURN_S` after it began or `AT_ONCE` entries later: within a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from zmcache.core.store import Store

TURN_S: Final = 0.0002
AT_ONCE: Final = 10  # entries between two looks at the clock


def tidy(stores: Iterable[Store], clock: Callable[[], float], until_s: float) -> bool:
    """One turn, until that time of ``clock``; whether there is more to do."""
    more = True
    while more and (now_s := clock()) < until_s:
        # No `any`: all get their turn, for both kinds of work.
        more = sum(store.expire(now_s, AT_ONCE) + store.evict(AT_ONCE) for store in stores) > 0
    return more
