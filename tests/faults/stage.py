"""What a fault has at hand while it is done: the cluster, its network, a seeded choice, and the notebook of what was done to whom and when."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import zmcache
from faults.cluster import Cluster
from faults.network import Network
from faults.record import CRASH, GONE, Outage


@dataclass
class Stage:
    """Of one run. ``victim``: the node that it is done to; ``leaver``: the one that leaves where one does. ``copies_again``: what one
    copy is left of is copied once more.
    """

    cluster: Cluster
    network: Network
    folder: Path
    rng: random.Random
    victim: str
    leaver: str
    seed: int
    timeout_s: float
    copies_again: bool
    outages: list[Outage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def kill(self, node: str) -> None:
        """SIGKILL, noted."""
        # Noted as before it, so that whatever it took is known to be after.
        now_s = time.monotonic()
        self.outages += [Outage(node, CRASH, now_s), Outage(node, GONE, now_s)]
        self.cluster.kill(node)

    def repaired(self) -> None:
        """All is at rest: the ring has closed, and what dead nodes held has been copied again, so that the next crash is the first one once more."""
        over = (CRASH, GONE) if self.copies_again else (GONE,)
        now_s = time.monotonic()
        self.outages = [o._replace(ended_s=min(o.ended_s, now_s)) if o.kind in over else o for o in self.outages]

    @contextlib.contextmanager
    def outage(self, node: str, kind: str) -> Iterator[None]:
        """Around what makes a node unable, noted."""
        began_s = time.monotonic()
        at = len(self.outages)
        self.outages.append(Outage(node, kind, began_s))
        try:
            yield
        finally:
            self.outages[at] = Outage(node, kind, began_s, time.monotonic())

    def signal(self, node: str, signum: signal.Signals) -> None:
        """To the node's process."""
        self.cluster.nodes[node].signal(signum)

    async def keys_of(self, node: str, form: str, count: int) -> list[str]:
        """So many keys that the ring gives to this node: ``form`` with a number in it."""
        async with zmcache.connect(self.cluster.addresses, connect_timeout=5.0) as cache:
            ring = cache.ring()
        found = []
        for number in range(100_000):
            key = form.format(number)
            if ring.owner(key).node_id == node:
                found.append(key)
                if len(found) == count:
                    break
        return found

    async def pass_time(self, seconds: float) -> None:
        """Let the fault last."""
        await asyncio.sleep(seconds)
