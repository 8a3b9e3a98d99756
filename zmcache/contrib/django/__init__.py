"""A cache backend for Django: ``"BACKEND": "zmcache.contrib.django.ZmcacheCache"``.

backend.py      the backend: the calls of Django's threads
awaited.py      the same calls awaited, over a connection of the event loop's own
settings.py     what an entry of CACHES says; keys and lives as the cluster takes them
values.py       values to bytes: whole numbers as digits, so that they can be counted up, anything else as signed pickles
connections.py  the connections of this process, which all backend objects share

How it is used stands in docs/django.md.
"""

from __future__ import annotations

from zmcache.contrib.django.backend import ZmcacheCache
from zmcache.contrib.django.connections import close_connections

__all__ = ["ZmcacheCache", "close_connections"]
