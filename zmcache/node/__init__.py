"""A node: what serves a share of the ring.

node.py         its life: start, serve, drain, stop
parts.py        what a running node consists of, made in one go and closed in the opposite order; wiring.py: what its config names, made
presence.py     how it comes into the ring and leaves it
reactions.py    what happens to it, and what it does then
housekeeping.py its regular work, and how it notices that it stood still
reload.py       what of its config can change while it serves

dispatch.py     which frame from the wire is whose; frontdesk.py: what the dispatcher asks of its node
keyrequests.py  what others ask of keys: to read and to change them; tagrequests.py: of tags; followers.py: to be told of changes
inflight.py     how many keys of each connection wait for an answer; late.py: the positions of a request until they are answered
answering.py    answers to the wire; rows.py: what they say of each key, and how much of it fits a message
about.py        what it tells of itself and the ring to whoever asks; figures.py: its counters, by name

membership.py   snapshots of the members to the ring in use
handover.py     who is to hold something, and lacks it, is sent it: when, by whom, to whom
comparing.py    what a peer lacks, found by digests; walking.py: over all that is held; sending.py: copies on their way
doubt.py        what a node that was away waits for before it trusts what it holds
away.py         a node that reaches none of the others sends who asks on to them
repairing.py    tags that were invalidated while it could not be told
usage.py        which keys are in use, told to who holds copies
short.py        how many entries have fewer holders than they are to have
"""

from __future__ import annotations

from zmcache.node.node import Node

__all__ = ["Node"]
