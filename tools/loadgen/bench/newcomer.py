"""A client in a process of its own, from its start until it has asked each node: what it then has in memory, and how its loop fared.

``python -m zmcache_loadgen.bench.newcomer ADDRESS GROUP``; the keys to ask for come as lines of the standard input, and what was seen goes as
one JSON object to the standard output: ``resident_bytes``, and ``pause_ms``, the longest from before the connection until all is answered. A
line before it tells when that begins.
"""

from __future__ import annotations

import json
import os
import sys

import uvloop

import zmcache

from .goals import NotMeasurable
from .probe import Probe
from .servers import Server


async def ask(address: str, group: str, keys: list[str]) -> dict[str, float]:
    """Raises `NotMeasurable` when a key was not there."""
    print(flush=True)
    probe = Probe()
    async with zmcache.connect(address, connect_timeout=30) as client:
        items = client.group(group)
        for key in keys:
            if await items.get(key) is None:
                raise NotMeasurable(f"key {key!r} is not there")
        seen = probe.read()
        return {"resident_bytes": Server(0, os.getpid()).resident_bytes(), **seen}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(ask(sys.argv[1], sys.argv[2], sys.stdin.read().split()))))
