"""The in-process twin: the contract of `base`, with no socket, no thread and no clock.

A `MemoryNetwork` is the wire. Transports made on one network reach each other at ``mem://name``; every frame and every
event travels through `call_soon`, in order, so that nobody sees a callback from inside a call of his own, and a test
needs no sleep. The floor plan:

    network.py     Registry: who listens where, and the levers (cut, heal, pause, resume)
    ends.py        the two ends of a link: MemoryConnection, MemoryListener
    transport.py   MemoryNetwork, MemoryTransport

Where it differs from the wire: a failed attempt is reported once and then waits for the listener to come, instead of
failing again and again; frames queue only while an endpoint is paused.
"""

from __future__ import annotations

from zmcache.transport.memory.transport import MemoryNetwork, MemoryTransport

__all__ = ["MemoryNetwork", "MemoryTransport"]
