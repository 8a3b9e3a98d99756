"""What befalls the network: it is cut, in both directions or in one, it is slow, it garbles, and somebody does not read."""

from __future__ import annotations

import asyncio
from typing import Final

import zmq
import zmq.asyncio

import zmcache
from faults.network import ETCD
from faults.proxy import Relays, Wrongs
from faults.record import CUT
from faults.stage import Stage
from zmcache.core import wire

_CUT_S: Final = 8.0
_ETCD_LATE_S: Final = 0.5
DEAF: Final = 8
_BIG: Final = 200_000


async def partition(stage: Stage) -> None:
    """From the others and from etcd; clients reach both sides."""
    with stage.outage(stage.victim, CUT):
        for other in sorted(stage.cluster.nodes.keys() - {stage.victim}):
            await stage.network.cut(stage.victim, other)
            await stage.network.cut(other, stage.victim)
        await stage.network.cut(stage.victim, ETCD)
        await stage.pass_time(_CUT_S)
        await stage.network.heal()


async def partition_one_way(stage: Stage) -> None:
    """The others do not hear it; it hears them."""
    with stage.outage(stage.victim, CUT):
        for other in sorted(stage.cluster.nodes.keys() - {stage.victim}):
            await stage.network.cut(stage.victim, other)
        await stage.pass_time(_CUT_S)
        await stage.network.heal()


async def read_slowly(stage: Stage) -> None:
    assert isinstance(stage.network, Relays)
    wrongs = Wrongs(rate=4096)
    with stage.outage(stage.victim, CUT):
        stage.network.wrongs[stage.victim] = wrongs
        await stage.pass_time(_CUT_S)
        wrongs.rate = None
        del stage.network.wrongs[stage.victim]


async def break_links(stage: Stage) -> None:
    """Connections are slow, and end in the middle of what they carry."""
    await _do_wrong(stage, Wrongs(delay_s=0.01, halve=0.01))


async def slow_etcd(stage: Stage) -> None:
    """Whatever passes between the nodes and etcd comes late, each way."""
    assert isinstance(stage.network, Relays)
    stage.network.etcd_delay_s = _ETCD_LATE_S
    await stage.pass_time(_CUT_S)
    stage.network.etcd_delay_s = 0.0


async def garble(stage: Stage) -> None:
    """Connections go on with bytes missing, or others in their place: what no checksum of the network's saw."""
    await _do_wrong(stage, Wrongs(drop=0.003, garble=0.01))


async def _do_wrong(stage: Stage, wrongs: Wrongs) -> None:
    assert isinstance(stage.network, Relays)
    with stage.outage(stage.victim, CUT):
        stage.network.wrongs[stage.victim] = wrongs
        await stage.pass_time(_CUT_S)
        del stage.network.wrongs[stage.victim]
    stage.notes.append(", ".join(f"{count} {what}" for what, count in stage.network.done.items()))


async def deaf_clients(stage: Stage) -> None:
    """A few connections that ask for large values without end and read none of the answers."""
    place = stage.cluster.places[stage.victim]
    (key,) = await stage.keys_of(stage.victim, "big.{}", 1)
    async with zmcache.connect(stage.cluster.addresses) as cache:
        await cache.group("kept").set(key, b"x" * _BIG)
    context = zmq.asyncio.Context()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(DEAF):
                group.create_task(_ask_and_never_read(context, place.advertise, key))
    finally:
        context.destroy(linger=0)


async def _ask_and_never_read(context: zmq.asyncio.Context, endpoint: str, key: str) -> None:
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.RCVHWM, 1)
    socket.setsockopt(zmq.RCVBUF, 4096)
    # What the node has not taken when this is over is nobody's: the context would wait for it for ever.
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint)
    until_s = asyncio.get_running_loop().time() + 6.0
    number = 0
    while (left_s := until_s - asyncio.get_running_loop().time()) > 0:
        number += 1
        head = wire.header(wire.GET, number, zmcache.Epoch(0, 0), deadline_ms=2000, group="kept")
        frame = wire.encode(wire.Get(*head, [key]))
        try:
            async with asyncio.timeout(left_s):
                await socket.send(frame)
        except TimeoutError:
            return
        await asyncio.sleep(0.005)
