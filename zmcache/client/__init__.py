"""The client library: it learns the ring from any node, sends each key to its owner, and never imports a node.

client.py   the life of a client, and its topology
group.py    what is asked for one group: asking.py, and bulk.py for many keys of one call
hedging.py  gets that are asked of a second node when the first is late
direct.py   gets and sets of threads past the loop
route.py    which channel a key goes to
"""

from __future__ import annotations

from zmcache.client.client import Client, make_client, parse_addresses

__all__ = ["Client", "make_client", "parse_addresses"]
