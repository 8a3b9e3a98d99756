"""The library that programs call, the same whatever is behind it.

door.py       a connection, and the groups in it
group.py      the calls on one group: reading.py and writing.py, and those that make values
filling.py    one fill in the whole cluster, as seen from the caller; making.py: how a value is to be made and kept, made.py: what comes of it
flights.py    what is being made in this process; waiting.py: a caller's wait for it; underway.py: who waits for whom, and for itself
filler.py     one fill, from the question to the answer; keeping.py: what was made, on its way to the owner; pauses.py: after failures
fences.py     what this process changes ends what it was making
cached.py     the decorator
away.py       what becomes of a call when the cache is away
raw.py        the border: what all of this asks of a cluster, or of a store in this process
entrance.py   the same where the connection is not open yet, or is closed
lanes.py      what is too much to be asked at once, in parts
"""

from __future__ import annotations

from zmcache.cache.cached import BoundCached, Cached, CachedStatistics
from zmcache.cache.door import Cache, Topology
from zmcache.cache.group import CacheGroup
from zmcache.cache.watching import Update

__all__ = ["BoundCached", "Cache", "CacheGroup", "Cached", "CachedStatistics", "Topology", "Update"]
