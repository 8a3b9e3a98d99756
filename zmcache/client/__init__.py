"""The client library: it learns the ring from any node, sends each key to its owner, and never imports a node.

client.py   the life of a client, and its topology
group.py    the calls on one group
route.py    which channel a key goes to
"""

from __future__ import annotations

from zmcache.client.client import Client, Topology, make_client, parse_addresses
from zmcache.client.group import ClientGroup

__all__ = ["Client", "ClientGroup", "Topology", "make_client", "parse_addresses"]
