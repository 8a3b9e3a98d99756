"""Everything about the other nodes, for nodes and clients alike.

channel.py   one peer: batches, answers, health
mesh.py      the members of the ring and the channels to them
remote.py    how a node's group asks over the mesh
"""
