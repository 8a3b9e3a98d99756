"""The product's own store and ring without sockets: what they do to a stream of keys, faster than any network.

The only package of the generator that reaches past the public names of `zmcache`, and only into its pure part: a simulation of
a copy would show what the copy does.

    stream.py     accesses in order: from a trace, or from whole numbers
    replay.py     a stream through the product's store, with any of its policies, in items or in bytes
    beside.py     the same stream through the caches of other packages, where these are installed
    belady.py     the most hits that any cache can have
    sizes.py      how large a cache is, as people write it
    sweep.py      every cache at every size, and what came of it
    overhead.py   what an entry costs in memory beside its key and value, in a process of its own
    longest.py    the longest that the store holds a loop
    rings.py      the product's ring
"""

from . import beside
from .belady import most_hits, next_uses
from .longest import Longest, in_a_dict, in_the_store
from .overhead import overhead_bytes
from .replay import DEFAULT_POLICY, POLICIES, Outcome, budget_bytes, filled, replay
from .rings import RingFigures, ring_figures
from .sizes import CacheSize, WrongSize, parse_size
from .stream import Stream, read_trace, same_length
from .sweep import Sweep, sweep

__all__ = [
    "DEFAULT_POLICY",
    "POLICIES",
    "CacheSize",
    "Longest",
    "Outcome",
    "RingFigures",
    "Stream",
    "Sweep",
    "WrongSize",
    "beside",
    "budget_bytes",
    "filled",
    "in_a_dict",
    "in_the_store",
    "most_hits",
    "next_uses",
    "overhead_bytes",
    "parse_size",
    "read_trace",
    "replay",
    "ring_figures",
    "same_length",
    "sweep",
]
