"""A hit in the program's own process, against the least that a cache with an order of use can be: an OrderedDict.

Both hold the same entries, and are asked for all of them in order, in a plain loop; what is told is the nanoseconds of one step of the loop,
the loop's own included on both sides.
"""

from __future__ import annotations

import tempfile
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import zmcache
from zmcache.examples import value_of

from . import clients
from .drive import Effort, Side, in_turns
from .goals import Row, judge
from .servers import LOOPBACK

_CONFIG: Final = """
node: {{id: embedded, listen: "tcp://{host}:0", drain_timeout: 0s}}
groups:
  {group}: {{budget: 256MiB}}
"""


async def hits(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """`Group.get` awaited, and `Group.get_nowait`."""
    keys = clients.make_keys(effort.keys)
    plain = OrderedDict((key, value_of(key)) for key in keys)
    with tempfile.TemporaryDirectory(prefix="zmcache-bench-") as folder:
        file = Path(folder) / "node.yaml"
        file.write_text(_CONFIG.format(host=LOOPBACK, group=clients.GROUP))
        node = zmcache.Node.from_yaml(file)
    await node.start()
    try:
        group = node.group(clients.GROUP)
        for key in keys:
            await group.set(key, value_of(key))
        sides: dict[str, Side] = {
            "embedded-get": partial(_awaited, group, keys),
            "embedded-get-nowait": partial(_nowait, group, keys),
        }
        sides = {"plain": partial(_plain, plain, keys)} | {name: sides[name] for name in wanted}
        samples = await in_turns(effort.runs, sides)
    finally:
        await node.stop()
    for name in wanted:
        yield judge(name, samples[name], samples["plain"])


async def _plain(entries: OrderedDict[str, bytes], keys: Sequence[str]) -> float:
    get, move_to_end = entries.get, entries.move_to_end
    began_s = time.perf_counter()
    for key in keys:
        get(key)
        move_to_end(key)
    return (time.perf_counter() - began_s) / len(keys) * 1e9


async def _awaited(group: zmcache.Group, keys: Sequence[str]) -> float:
    get = group.get
    began_s = time.perf_counter()
    for key in keys:
        await get(key)
    return (time.perf_counter() - began_s) / len(keys) * 1e9


async def _nowait(group: zmcache.Group, keys: Sequence[str]) -> float:
    get_nowait = group.get_nowait
    began_s = time.perf_counter()
    for key in keys:
        get_nowait(key)
    return (time.perf_counter() - began_s) / len(keys) * 1e9
