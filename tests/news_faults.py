"""News of changed keys that is lost, late, doubled or out of order, and a reader who is to find nothing too old for all that."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from eventually import eventually
from mesh_fixture import Cluster

from zmcache.cache import CacheGroup
from zmcache.calls import Group
from zmcache.peers.following import SILENCE_S


class Wire:
    """What nodes send of their own accord to clients goes through here."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.treat: Callable[[Callable[[], None]], None] = lambda send: send()
        self.heard = 0

    def tap(self, cluster: Cluster) -> None:
        for node in cluster.nodes.values():
            followers = node._parts.followers
            followers._send = self._tapped(followers._send)

    def _tapped(self, send: Callable[[bytes, bytes], bool]) -> Callable[[bytes, bytes], bool]:
        def tapped(peer: bytes, frame: bytes) -> bool:
            self.heard += 1
            self.treat(lambda: send(peer, frame) and None)
            return True

        return tapped

    # Ways to treat it.

    def lose(self, send: Callable[[], None]) -> None:
        if self.random.random() < 0.7:
            send()

    def lose_all(self, send: Callable[[], None]) -> None:
        pass

    def double(self, send: Callable[[], None]) -> None:
        send()
        if self.random.random() < 0.3:
            send()

    def delay(self, send: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self.random.uniform(0, 0.4), send)

    def hold_back(self, send: Callable[[], None]) -> None:
        """For longer than a copy may be believed."""
        asyncio.get_running_loop().call_later(SILENCE_S + 0.5, send)


async def read_against_writer(
    near: CacheGroup[bytes] | Group,
    write: Callable[[bytes], Any],
    seconds: float,
    disturb: Callable[[int], Any] | None = None,
    *,
    key: str = "k",
) -> tuple[int, float]:
    """How many reads there were, and how long ago the oldest value that one found had been replaced."""
    replaced_at_s: list[float] = [0.0]  # by number: when it was acknowledged that the next one stands
    done = False

    async def writer() -> None:
        n = 0
        while not done:
            n += 1
            await write(b"%d" % n)
            replaced_at_s[n - 1] = time.monotonic()
            replaced_at_s.append(0.0)
            await asyncio.sleep(0.001)

    writing = asyncio.create_task(writer())
    await eventually(lambda: len(replaced_at_s) > 2)
    reads, oldest_s, until_s, looks = 0, 0.0, time.monotonic() + seconds, 0
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        value = await near.get(key)
        reads += 1
        # One that stands there before its writer knows is as new as can be.
        if value is not None and int(value) < len(replaced_at_s) and (replaced_s := replaced_at_s[int(value)]):
            oldest_s = max(oldest_s, began_s - replaced_s)
        if reads % 100 == 0:
            await asyncio.sleep(0)
            looks += 1
            if disturb is not None:
                disturb(looks)
    done = True
    await writing
    return reads, oldest_s


# What is done to the news, how old a value may be, and how long that is looked at: a broken promise would show within this time.
FAULTS = {
    "none": (None, 1.0, 1.0),
    "lost": (Wire.lose, SILENCE_S, 3.0),
    "all lost": (Wire.lose_all, SILENCE_S, 3.0),
    "doubled": (Wire.double, SILENCE_S, 1.0),
    "delayed and reordered": (Wire.delay, SILENCE_S, 2.0),
    "held back": (Wire.hold_back, SILENCE_S, 3.0),
}
