"""The plain limit of ZeroMQ: a blocking ROUTER that sends back what it gets, and a blocking client. No loop, no cache, no codec.

The server is ``python -m zmcache_loadgen.bench.echo``; it writes the port it bound, and ends when its standard input does.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from statistics import median
from typing import Final

import zmq

from .goals import NotMeasurable

MESSAGE: Final = b"x" * 128
_ANSWER_LIMIT_MS: Final = 5_000


class EchoClient:
    """Blocks the loop that it is called on, as it must to be the limit: nothing else is measured meanwhile."""

    def __init__(self, port: int) -> None:
        self._context = zmq.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        self._dealer.setsockopt(zmq.RCVTIMEO, _ANSWER_LIMIT_MS)
        self._dealer.setsockopt(zmq.LINGER, 0)
        self._dealer.connect(f"tcp://127.0.0.1:{port}")

    async def rate(self, in_flight: int, requests: int) -> float:
        """Messages a second there and back, with so many under way. Raises `NotMeasurable` when none comes back."""
        send, recv = self._dealer.send, self._dealer.recv
        try:
            for _ in range(in_flight):
                send(MESSAGE)
            began_s = time.perf_counter()
            for _ in range(requests):
                recv()
                send(MESSAGE)
            taken_s = time.perf_counter() - began_s
            for _ in range(in_flight):
                recv()
        except zmq.Again:
            raise NotMeasurable("the ZeroMQ echo does not answer") from None
        return requests / taken_s

    async def p50_us(self, requests: int) -> float:
        """The median of one message there and back, in microseconds. Raises `NotMeasurable` when none comes back."""
        send, recv, clock = self._dealer.send, self._dealer.recv, time.perf_counter
        samples = []
        try:
            for _ in range(requests):
                began_s = clock()
                send(MESSAGE)
                recv()
                samples.append(clock() - began_s)
        except zmq.Again:
            raise NotMeasurable("the ZeroMQ echo does not answer") from None
        return median(samples) * 1e6

    def close(self) -> None:
        """Let go of the socket."""
        self._context.destroy(linger=0)


def _leave_with_launcher() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # the other thread is in a receive that nothing else ends


def _serve() -> None:
    router = zmq.Context().socket(zmq.ROUTER)
    print(router.bind_to_random_port("tcp://127.0.0.1"), flush=True)
    threading.Thread(target=_leave_with_launcher, daemon=True).start()
    while True:
        router.send_multipart(router.recv_multipart())


if __name__ == "__main__":
    _serve()
