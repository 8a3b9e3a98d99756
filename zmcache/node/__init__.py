"""A node: what serves a share of the ring.

node.py         its life: start, serve, drain, stop
dispatch.py     which frame from the wire is whose
keyrequests.py  what others ask of keys: to read and to change them; tagrequests.py: of tags; followers.py: to be told of changes
inflight.py     how many keys of each connection wait for an answer; late.py: the positions of a request that could not be answered at once
answering.py    answers to the wire; rows.py: what they say of each key, and how much of it fits a message
membership.py   snapshots of the members to the ring in use
handover.py     who is to hold something, and lacks it, is sent it: when, by whom, to whom
comparing.py    what a peer lacks, found by digests; walking.py: over all that is held; sending.py: copies on their way
doubt.py        what a node that was away waits for before it trusts what it holds
usage.py        which keys are in use, told to who holds copies
housekeeping.py its regular work, and how it notices that it stood still
wiring.py       what a config names, made
figures.py      its counters, by name
about.py        what it tells of itself and the ring to whoever asks
"""

from __future__ import annotations

from zmcache.node.node import Node

__all__ = ["Node"]
