"""The transport over libzmq. The only place that imports zmq. The floor plan:

    transport.py   ZmqTransport: one libzmq context, what it made, closing; endpoints understood and errors translated
    settings.py    the limits and pauses, with how to choose them, and the socket options they become
    drained.py     DrainedSocket: a raw socket read by callback from the event loop, with no wakeup lost
    dealer.py      DealerConnection: the asking side, one DEALER and its monitor
    blocking.py    BlockingDealer: the asking side for threads that wait, past the event loop
    monitor.py     Monitor: libzmq's events about a socket, by callback
    router.py      RouterListener: the answering side, one ROUTER
    outbox.py      Outbox: what waits for peers that read slowly, bounded in bytes
    counters.py    what all of them count

The way of a frame: dealer.send_nowait -> libzmq -> router's drain -> on_frame -> router.send_nowait -> libzmq -> dealer's
drain -> on_frame. No task, future or lock on it. zmq.asyncio is not used: it costs a future and two passes of the loop a
frame (half the rate of a blocking echo; this is at it).
"""

from __future__ import annotations

from zmcache.transport.zeromq.transport import ZmqTransport

__all__ = ["ZmqTransport"]
