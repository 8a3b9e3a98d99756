"""One process with a node in it, whose group is set and set again: what `memory` watches. ``python -m`` this, with a JSON object of `Fill`.

Each line that it writes is JSON: the resident bytes of the process, what the group charges for its entries, and how many there are.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import random
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import uvloop

import zmcache
from zmcache.examples import VALUE_BYTES

GROUP: Final = "items"
_SAMPLES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """``sets`` of keys that are all new, with sizes drawn log-uniformly from ``smallest`` to ``largest`` bytes."""

    policy: str
    budget_bytes: int
    sets: int
    seed: int
    smallest: int = 10
    largest: int = 1 << 20


async def _fill(fill: Fill, config: Path) -> None:
    async with zmcache.Node.from_yaml(config) as node:
        group = node.group(GROUP)
        await group.set("first", bytes(VALUE_BYTES))
        content = memoryview(os.urandom(fill.largest))
        drawn = random.Random(fill.seed)
        low, high = math.log(fill.smallest), math.log(fill.largest)
        step = max(1, fill.sets // _SAMPLES)
        _tell(0, group)
        for number in range(1, fill.sets + 1):
            size = int(math.exp(drawn.uniform(low, high)))
            await group.set(f"key:{number:012d}", bytes(content[:size]))
            if number % step == 0:
                await asyncio.sleep(0)  # the node's own work has its turn
                _tell(number, group)


def _tell(sets: int, group: zmcache.Group) -> None:
    found = group.statistics()
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    told = {"sets": sets, "resident_bytes": resident, "used_bytes": found.used_bytes, "entries": found.entries}
    print(json.dumps(told), flush=True)


def main() -> None:
    """From the command line: the object, and the node's config file."""
    gc.freeze()
    uvloop.run(_fill(Fill(**json.loads(sys.argv[1])), Path(sys.argv[2])))


def arguments(fill: Fill, config: Path) -> list[str]:
    """What starts it."""
    return [sys.executable, "-m", "zmcache_loadgen.experiments.memory_fill", json.dumps(asdict(fill)), str(config)]


if __name__ == "__main__":
    main()
