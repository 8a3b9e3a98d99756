"""The demonstration: ``python -m zmcache_loadgen.demo``, or ``make demo``.

1. A SQLite database of 20,000 rows, etcd, and three nodes that load from it.
2. 1,000 callers, spread over three clients that each know one node only, ask for one key at the same moment.
3. Zipf traffic through a client while the ring is at rest.
4. More of it while a fourth node joins and another one is stopped.
5. What was seen, in words. Every number is counted here and now.

The exit code is 0 when no request failed and the stopped node ended as it should, 1 otherwise, 130 after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import uvloop
from rich.console import Console
from rich.markup import escape

import zmcache

from .demo_cluster import FIRST_NODES, GROUP, Cluster, DemoFailed, joining_node, running_cluster, value_of
from .errors import LoadgenError
from .live import drawing, live_screen
from .load.figures import Figures
from .load.plan import Closed, Destination, Plan
from .load.run import measure
from .table import print_table
from .targets.zmcache_client import ZmcacheTarget
from .workloads import Synthetic, Zipf

ROWS: Final = 20_000
JOINER: Final = "node-4"
LEAVER: Final = "node-2"

_COLD_KEY: Final = str(ROWS - 1)
_COLD_CALLERS: Final = 999  # as many for each of three clients
_CALLERS: Final = 32
_CALM_S: Final = 3.0
_EVENTFUL_S: Final = 8.0
_BEFORE_JOIN_S: Final = 0.5
_BETWEEN_S: Final = 2.0
_RING_LIMIT_S: Final = 20.0

_console = Console(highlight=False, soft_wrap=True)


@dataclass
class _Seen:
    """What was counted on the way."""

    cold_loads: int = 0
    cold_callers: int = 0
    wrong_values: int = 0
    calm: dict[str, Any] = field(default_factory=dict)
    eventful: dict[str, Any] = field(default_factory=dict)
    moved_by_join: int = 0
    moved_by_leave: int = 0


def main() -> None:
    """Run it, and leave with its exit code."""
    try:
        sys.exit(uvloop.run(_demonstrate()))
    except (LoadgenError, zmcache.ZmcacheError) as error:
        _console.print(f"[bold red]The demonstration broke off:[/] {escape(str(error))}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


async def _demonstrate() -> int:
    seen = _Seen()
    _say(f"A SQLite database of {ROWS:,} rows, etcd, and three nodes that load from it ...")
    async with running_cluster(ROWS) as cluster:
        for name, (address, pid) in sorted(cluster.serving.items()):
            _console.print(f"  {name:<7} {address} (pid {pid})")
        addresses = [cluster.serving[node_id].address for node_id in FIRST_NODES]
        async with zmcache.connect(",".join(addresses)) as client:
            target = ZmcacheTarget(client, GROUP)
            await _ask_for_one_cold_key(addresses, target, seen)
            await _calm(target, seen)
            async with AsyncExitStack() as stack:
                await _eventful(cluster, client, target, seen, stack)
                await _check_values(client, seen)
                _say("Taking everything down ...")
    print_table(seen.eventful)
    return _tell(seen, cluster.endings.get(LEAVER, "has not ended"))


async def _ask_for_one_cold_key(addresses: list[str], target: ZmcacheTarget, seen: _Seen) -> None:
    each = _COLD_CALLERS // len(addresses)
    _say(
        f"{each * len(addresses):,} callers, each client at another node, ask for one missing key at the same moment ..."
    )
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(zmcache.connect(address, route="any")) for address in addresses]
        before = await _loads(target)
        values = await asyncio.gather(*(client.group(GROUP).get(_COLD_KEY) for client in clients for _ in range(each)))
        seen.cold_callers, seen.cold_loads = len(values), await _loads(target) - before
        seen.wrong_values += sum(value != value_of(_COLD_KEY) for value in values)


async def _calm(target: ZmcacheTarget, seen: _Seen) -> None:
    _say(f"Zipf traffic, {_CALLERS} callers, the ring at rest, {_CALM_S:g} s ...")
    seen.calm = await _traffic(target, 1, _CALM_S, asyncio.Event())
    _console.print(f"  {seen.calm['requests']:,} requests, {seen.calm['errors']['total']} errors")


async def _eventful(
    cluster: Cluster, client: zmcache.Cache, target: ZmcacheTarget, seen: _Seen, stack: AsyncExitStack
) -> None:
    _say(f"The same for {_EVENTFUL_S:g} s more, and meanwhile the cluster changes ...")
    stop = asyncio.Event()
    changes = asyncio.create_task(_change(cluster, client, seen, stack))
    # Traffic goes on for as long as the changes take; if they break off, it ends with them.
    changes.add_done_callback(lambda task: stop.set() if task.cancelled() or task.exception() else None)
    try:
        seen.eventful = await _traffic(target, 2, _EVENTFUL_S, stop)
        await changes
    finally:
        changes.cancel()


async def _traffic(target: ZmcacheTarget, seed: int, duration_s: float, stop: asyncio.Event) -> Figures:
    plan = Plan(
        destination=Destination(target="zmcache", group=GROUP),
        workload=_workload(seed),
        loop=Closed(callers=_CALLERS),
        duration_s=duration_s,
    )
    with live_screen(shown=True) as draw:
        on_row = drawing(draw, plan.title, duration_s)
        return await measure(plan, lambda _: nullcontext(target), stop=stop, on_row=on_row)


async def _change(cluster: Cluster, client: zmcache.Cache, seen: _Seen, stack: AsyncExitStack) -> None:
    await asyncio.sleep(_BEFORE_JOIN_S)
    before = client.ring()
    await stack.enter_async_context(joining_node(cluster, JOINER))
    # It is in the ring while it joins, too, and owns nothing yet.
    await _wait_ring(client, lambda ring: bool(ring.share().get(JOINER)), f"{JOINER} to own keys by the client's ring")
    joined = client.ring()
    seen.moved_by_join = _moved(before, joined)
    _console.print(f"  {JOINER} has joined: {seen.moved_by_join:,} of {ROWS:,} keys have another owner")
    await asyncio.sleep(_BETWEEN_S)
    cluster.stop_node(LEAVER)
    await _wait_ring(client, lambda ring: not ring.share().get(LEAVER), f"{LEAVER} out of the client's ring")
    seen.moved_by_leave = _moved(joined, client.ring())
    _console.print(f"  {LEAVER} was stopped (SIGTERM): {seen.moved_by_leave:,} keys have another owner")
    await cluster.wait(lambda: LEAVER in cluster.endings, f"the end of {LEAVER}")
    _console.print(f"  {LEAVER} {cluster.endings[LEAVER]}")


async def _check_values(client: zmcache.Cache, seen: _Seen) -> None:
    """After all that, every key still has its own value."""
    _say(f"Reading all {ROWS:,} keys once, and comparing each with the database ...")
    keys = [str(row) for row in range(ROWS)]
    values = await client.group(GROUP).get_many(keys, timeout=30)
    seen.wrong_values += sum(values.get(key) != value_of(key) for key in keys)


async def _wait_ring(client: zmcache.Cache, condition: Callable[[zmcache.Ring], bool], what: str) -> None:
    try:
        async with asyncio.timeout(_RING_LIMIT_S):
            while not condition(client.ring()):  # noqa: ASYNC110 - a client tells nobody of a new ring
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise DemoFailed(f"waited {_RING_LIMIT_S:g} s for {what}") from None


def _workload(seed: int) -> Synthetic:
    return Synthetic(keys=ROWS, distribution=Zipf(0.99), seed=seed)


async def _loads(target: ZmcacheTarget) -> int:
    return sum(node.loads for node in (await target.counters()).values())


def _moved(before: zmcache.Ring, after: zmcache.Ring) -> int:
    keys = (str(row) for row in range(ROWS))
    return sum(before.owner(key).node_id != after.owner(key).node_id for key in keys)


def _tell(seen: _Seen, ending: str) -> int:
    """What was seen, in words; the exit code."""
    calm, eventful = seen.calm, seen.eventful
    requests, errors = calm["requests"] + eventful["requests"], calm["errors"]["total"] + eventful["errors"]["total"]
    hits, moved, gone = eventful["latency_us"]["hits"], seen.moved_by_join / ROWS, seen.moved_by_leave / ROWS
    _say("What it showed")
    lines = [
        f"{seen.cold_callers:,} callers asked three nodes for one missing key at once: it was loaded {_times(seen.cold_loads)}.",
        f"With the ring at rest {calm['requests']:,} requests were for {calm['loads']['distinct_keys']:,} different keys; {_loaded(calm)}.",
        f"A node joined, and {moved:.1%} of the keys changed owners; a node left, and {gone:.1%} did. The others stayed.",
        f"Meanwhile {eventful['hit_ratio']:.2%} of {eventful['requests']:,} requests were answered from memory, half of those within "
        f"{hits['p50']:,.0f} us, 99% within {hits['p99']:,.0f} us.",
        f"Keys that had moved, or were new, were loaded as they were asked for: {_loaded(eventful)}.",
        f"{LEAVER} {ending}: it left the ring first and finished what it had begun.",
        f"Afterwards all {ROWS:,} keys were compared with the database: {seen.wrong_values:,} wrong values.",
        f"{requests:,} requests, {errors:,} errors.",
    ]
    for line in lines:
        _console.print(f"  - {line}")
    if errors or seen.wrong_values or ending != "exited with code 0":
        _console.print("[bold red]That is not as it should be.[/]")
        return 1
    _console.print("[bold green]No request failed.[/]")
    return 0


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _loaded(shown: dict[str, Any]) -> str:
    loads = shown["loads"]
    return f"{'' if loads['loaded_exact'] else 'at least '}{loads['loaded']:,} keys were loaded by the nodes"


def _say(text: str) -> None:
    _console.print(f"\n[bold]{text}[/]")


if __name__ == "__main__":
    main()
