"""The library that programs call, the same whatever is behind it.

door.py       a connection, and the groups in it
group.py      the calls on one group: reading.py and writing.py, and those that make values
filling.py    one fill in the whole cluster, as seen from the caller; making.py: how a value is to be made and kept
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

__all__ = ["BoundCached", "Cache", "CacheGroup", "Cached", "CachedStatistics", "Topology"]
