"""The backend of a simulated cluster: a loader that writes down what it was asked, and a mood that all loaders share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random

from history_record import Load
from virtual_time import World

_UNKNOWN = ("4", "5")  # keys that end so are not in the backend


class LoaderMood:
    """How the backend is: well, slow, or failing every other call."""

    def __init__(self, random: Random, load_s: float) -> None:
        self.random, self._load_s = random, load_s
        self.slow_s = 0.0
        self.fails = False
        self.values = 0

    def be_well(self) -> None:
        self.slow_s, self.fails = 0.0, False

    @property
    def is_well(self) -> bool:
        return not self.slow_s and not self.fails

    def pause(self) -> float:
        return self._load_s * (0.5 + self.random.random()) + self.slow_s * self.random.random()

    def failing(self) -> bool:
        return self.fails and self.random.random() < 0.5


class SimulatedLoader:
    """See `zmcache.loading.Loader`. No two loads of a key bring the same value."""

    name = "tests:simulated"
    max_batch = 4

    def __init__(self, mood: LoaderMood, world: World, node: str, group: str, loads: list[Load]) -> None:
        self._mood, self._world, self._node, self._group, self._loads = mood, world, node, group, loads

    async def load(self, keys: list[str]) -> Mapping[str, bytes]:
        mood, now = self._mood, self._world.now
        loads = [Load(self._group, key, self._node, now, failed=True) for key in keys]
        self._loads += loads
        try:
            await asyncio.sleep(mood.pause())
            if mood.failing():
                raise RuntimeError("the backend has a bad day")
            for load in loads:
                load.failed = False
                if not load.key.endswith(_UNKNOWN):
                    mood.values += 1
                    load.value = f"{self._group}|{load.key}|loaded {mood.values}|".encode()
            return {load.key: load.value for load in loads if load.value is not None}
        finally:
            for load in loads:
                load.ended_s = self._world.now

    async def aclose(self) -> None:
        pass
