"""A node: what serves a share of the ring.

node.py         its life: start, serve, drain, stop
dispatch.py     requests from the wire to answers on the wire
late.py         the positions of a request that could not be answered at once
rows.py         what an answer says of each key, and how much of it fits a message
membership.py   snapshots of the members to the ring in use
housekeeping.py its regular work, and how it notices that it stood still
wiring.py       what a config names, made
figures.py      its counters, by name
about.py        what it tells of itself and the ring to whoever asks
"""

from __future__ import annotations

from zmcache.node.node import Node

__all__ = ["Node"]
