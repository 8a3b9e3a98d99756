"""What a get costs when there is more around it: a hundred groups in the config, a hundred nodes in the ring.

The others are never asked: this is the price of their being there. The ring's 99 further members do not exist, so
that only keys of the real node are asked for; the node that is alone is asked for the same ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from typing import Any, Final

import zmcache

from . import clients, servers
from .drive import Asked, Effort, Side, in_turns
from .goals import Row, judge

_CALLERS: Final = 64
_MANY: Final = 100
_RING_KEYS: Final = 10
"""A hundredth of the keys belong to the real node, so ten times as few are asked for as elsewhere, or finding them would take longest."""


async def many_groups(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Two nodes alike, but for the number of groups; in both the same one is asked."""
    keys = clients.make_keys(effort.keys)
    others = {f"group-{number}": {"budget": "1MiB"} for number in range(_MANY - 1)}
    async with AsyncExitStack() as stack:
        sides: dict[str, Side] = {}
        for name, groups in (("one", {}), ("many", others)):
            server = await stack.enter_async_context(servers.node({**groups, clients.GROUP: clients.ITEMS}))
            sides[name] = await _cost_us(stack, server, keys, effort)
        samples = await in_turns(effort.runs, sides)
    for name in wanted:
        yield judge(name, samples["many"], samples["one"])


async def many_nodes(wanted: Collection[str], effort: Effort) -> AsyncIterator[Row]:
    """Two nodes alike, but for the members that their static lists name."""
    port = servers.free_port()
    real = zmcache.Member("bench", f"tcp://{servers.LOOPBACK}:{port}")
    # Nobody listens at the lowest ports.
    absent = [zmcache.Member(f"absent-{number}", f"tcp://{servers.LOOPBACK}:{number}") for number in range(1, _MANY)]
    ring = zmcache.Ring.build([real, *absent], 0)
    keys: list[str] = []
    for number in count():
        key = f"k{number}"
        if ring.owner(key).node_id == real.node_id:
            keys.append(key)
            if len(keys) == effort.keys // _RING_KEYS:
                break
    listed: list[dict[str, Any]] = [{"id": each.node_id, "endpoint": each.endpoint} for each in (real, *absent)]
    groups = {clients.GROUP: clients.ITEMS}
    async with AsyncExitStack() as stack:
        alone = await stack.enter_async_context(servers.node(groups))
        among = await stack.enter_async_context(servers.node(groups, port=port, discovery={"static": listed}))
        sides = {
            "one": await _cost_us(stack, alone, keys, effort),
            "many": await _cost_us(stack, among, keys, effort),
        }
        samples = await in_turns(effort.runs, sides)
    for name in wanted:
        yield judge(name, samples["many"], samples["one"])


async def _cost_us(stack: AsyncExitStack, server: servers.Server, keys: list[str], effort: Effort) -> Side:
    group = await stack.enter_async_context(clients.zmcache_group(server, keys))
    return partial(_inverse, Asked(group.get, keys), effort.requests)


async def _inverse(asked: Asked, requests: int) -> float:
    """What a get costs, in microseconds, with the usual callers."""
    return 1e6 / await asked.rate(_CALLERS, requests)
