"""Everything about the other nodes, for nodes and clients alike.

batch.py     what one turn of the loop asks of one peer
channel.py   one peer: its batches, answers and health
direct.py    the way to one peer for a thread that waits, past the loop
mesh.py      the members of the ring and the channels to them
remote.py    how a node's group asks over the mesh
"""
