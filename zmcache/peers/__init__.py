"""Everything about the other nodes, for nodes and clients alike.

batch.py       what one turn of the loop asks of one peer
link.py        the connection to one peer, and the state it is in
channel.py     one peer: its batches and their answers, over its link
direct.py      the way to one peer for a thread that waits, past the loop
outgoing.py    what is to be sent to it and is not yet
flow.py        how much of it is in flight, and what waits for room
pauses.py      how a client backs off from a node that is busy
health.py      whether a peer is in use: the states, and the way back by probes
pulse.py       whether its loop lives; trust.py: whether what it sends makes sense
slowness.py    whether it is slow, held against the others; ownloop.py: not counting our own pauses; backoff.py: for longer each time
mesh.py        the members of the ring and the channels to them
following.py   what a node tells of its own accord, and until when its silence means something; hearing.py: what a node's hot copies are told
remote.py      how a node's group asks over the mesh; explanation.py: what all who hold a key know of it
placement.py   who holds a key, as a node sees it; errands.py: its requests to others, until their outcome
background.py  how many copies may be under way that nobody waits for
"""
