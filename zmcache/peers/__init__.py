"""Everything about the other nodes, for nodes and clients alike.

batch.py     what one turn of the loop asks of one peer
channel.py   one peer: its batches, answers and health
direct.py    the way to one peer for a thread that waits, past the loop
flow.py      how much of it is in flight, and what waits for room
pulse.py     whether its loop lives; trust.py: whether what it sends makes sense
mesh.py      the members of the ring and the channels to them
remote.py    how a node's group asks over the mesh
"""
