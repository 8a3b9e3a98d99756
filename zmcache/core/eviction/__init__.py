"""Eviction policies, one a file, by the name that stands in a config.

base.py      what a policy is
lru.py       least recently used
lfu.py       least frequently used, with ageing
arc.py       recency and frequency, balanced by what comes back
sieve.py     first in, first out, sparing what was used
s3fifo.py    a small queue that newcomers have to pass
wtinylfu.py  a window, and admission by frequency

Made of: uselog.py (an order by last use), ghosts.py (what has gone), sketch.py (how often keys were asked for).
"""

from __future__ import annotations

from typing import Final

from zmcache.core.charge import STORE_OVERHEAD
from zmcache.core.eviction.arc import Arc
from zmcache.core.eviction.base import EvictionPolicy
from zmcache.core.eviction.lfu import Lfu
from zmcache.core.eviction.lru import Lru
from zmcache.core.eviction.s3fifo import S3Fifo
from zmcache.core.eviction.sieve import Sieve
from zmcache.core.eviction.wtinylfu import WTinyLfu

POLICIES: Final[dict[str, type[Arc | Lfu | Lru | S3Fifo | Sieve | WTinyLfu]]] = {
    "lru": Lru,
    "lfu": Lfu,
    "arc": Arc,
    "sieve": Sieve,
    "s3-fifo": S3Fifo,
    "w-tinylfu": WTinyLfu,
}

DEFAULT: Final = "s3-fifo"
"""On the traces and sizes of docs/eviction.md it is, but for a cache too small to hold what is asked for again, the best of those whose hit
costs no more than LRU's; and its entries stay within 1.3 times redis'.
"""


def make_policy(name: str, budget_bytes: int) -> EvictionPolicy:
    """A new policy of that name for so many bytes. Raises `KeyError` for an unknown one; the config has checked."""
    return POLICIES[name](budget_bytes)


def entry_overhead(name: str) -> int:
    """What an entry costs with that policy beside its key and value, in bytes."""
    return STORE_OVERHEAD + POLICIES[name].ENTRY_BYTES


__all__ = ["DEFAULT", "POLICIES", "EvictionPolicy", "entry_overhead", "make_policy"]
