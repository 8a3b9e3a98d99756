"""The client library: it learns the ring from any node, sends each key to its owner, and never imports a node.

client.py   the life of a client, and its topology
group.py    what is asked for one group: asking.py its gets, bulk.py those of many keys of one call, errands.py all else
batches.py  the batches that it travels in, where calls have timeouts of their own
route.py    which channel a key goes to; elsewhere.py: where next, when the node there is gone
hedging.py  gets that are asked of a second node when the first is late
direct.py   gets and sets of threads past the loop
"""

from __future__ import annotations

from zmcache.client.client import Client, make_client, parse_addresses

__all__ = ["Client", "make_client", "parse_addresses"]
