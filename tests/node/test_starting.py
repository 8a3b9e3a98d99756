"""A start that fails, at whatever point, leaves nothing behind: no task, no member, no address taken, no loader open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from eventually import eventually
from scripted_loader import ScriptedLoader

from zmcache.config import GroupConfig, ImportLoader, NodeConfig, NodeSettings
from zmcache.core import wire
from zmcache.core.ring import Member
from zmcache.errors import ConfigError, DiscoveryError, LifecycleError
from zmcache.node import Node
from zmcache.testing.membership import HandDiscovery, Registry
from zmcache.transport.memory import MemoryNetwork, MemoryTransport


class Place:
    """Where one node is started, with all that may fail."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.other = MemoryTransport(self.network)
        self.registry = Registry()
        self.loader = ScriptedLoader()
        self.groups = {"items": GroupConfig(copies=2), "more": GroupConfig()}
        self.make_transport: Callable[[], MemoryTransport] = lambda: MemoryTransport(self.network)
        self.make_discovery: Callable[[Member], HandDiscovery] = lambda member: HandDiscovery(self.registry, member)

    def node(self) -> Node:
        return Node(
            NodeConfig(cluster="test", node=NodeSettings(id="a", listen="mem://a"), groups=self.groups),
            loaders={"items": self.loader},
            transport=lambda: self.make_transport(),
            discovery=lambda member: self.make_discovery(member),
        )


def no_loader(place: Place) -> None:
    place.groups["more"] = GroupConfig(loader=ImportLoader(target="no.such:loader"))


def no_transport(place: Place) -> None:
    place.make_transport = fails


def no_address(place: Place) -> None:
    place.other.listen("mem://a", lambda peer, frame: None)


def no_discovery(place: Place) -> None:
    place.make_discovery = fails


def no_members(place: Place) -> None:
    make = place.make_discovery

    def made(member: Member) -> HandDiscovery:
        discovery = make(member)
        discovery.start = fails  # type: ignore[method-assign]
        return discovery

    place.make_discovery = made


def fails(*_: Any) -> Any:
    raise DiscoveryError("it fails")


@pytest.mark.parametrize("break_it", [no_loader, no_transport, no_address, no_discovery, no_members])
def test_a_start_that_fails_leaves_nothing_behind(break_it: Callable[[Place], None]) -> None:
    async def main() -> None:
        place = Place()
        break_it(place)
        node = place.node()
        with pytest.raises((ConfigError, DiscoveryError)):
            await node.start()
        await nothing_is_left(place, node)

    asyncio.run(main())


def test_a_start_that_is_given_up_while_the_node_joins_leaves_nothing_behind() -> None:
    async def main() -> None:
        place = Place()
        node, starting = await joining(place)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        assert starting.cancelled()
        await nothing_is_left(place, node)

    asyncio.run(main())


def test_a_node_that_is_stopped_while_it_joins_says_so_and_does_not_come_back() -> None:
    async def main() -> None:
        place = Place()
        node, starting = await joining(place)
        await node.stop()
        with pytest.raises(LifecycleError, match="stopped before it served"):
            await starting
        await nothing_is_left(place, node)

    asyncio.run(main())


def test_frames_that_come_while_a_start_that_failed_is_taken_back_do_no_harm() -> None:
    async def main() -> None:
        place = Place()
        no_discovery(place)
        closing, may_close = asyncio.Event(), asyncio.Event()

        async def close() -> None:
            closing.set()
            await may_close.wait()

        place.loader.aclose = close  # type: ignore[method-assign]
        starting = asyncio.create_task(place.node().start())
        await closing.wait()
        asker = Asker()
        connection = place.other.connect("mem://a", asker)
        await asker.connected.wait()
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        for kind in (wire.PING, wire.STATS, wire.TOPOLOGY):
            connection.send_nowait(wire.encode(wire.Query(*wire.header(kind, 1, (0, 0)))))
        await asker.is_idle()
        may_close.set()
        with pytest.raises(DiscoveryError):
            await starting
        assert not errors
        assert not asker.frames
        place.other.close()

    asyncio.run(main())


class Asker:
    """A connection of a stranger."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.frames: list[bytes] = []

    def on_connected(self) -> None:
        self.connected.set()

    def on_disconnected(self, reason: str) -> None: ...

    def on_writable(self) -> None: ...

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(frame)

    async def is_idle(self) -> None:
        """Return when what was sent has had many turns of the loop to arrive."""
        for _ in range(100):
            await asyncio.sleep(0)


async def joining(place: Place) -> tuple[Node, asyncio.Task[None]]:
    """A node whose start waits for one who serves, and does not say that it has handed over."""
    place.registry.put(Member("b", "mem://b"))
    node = place.node()
    starting = asyncio.create_task(node.start())
    await eventually(lambda: "a" in place.registry.members and len(node.ring()) > 1)
    return node, starting


async def nothing_is_left(place: Place, node: Node) -> None:
    assert place.loader.closed
    assert "a" not in place.registry.members
    assert not place.registry.watchers
    place.other.close()
    MemoryTransport(place.network).listen("mem://a", lambda peer, frame: None).close()
    here = asyncio.current_task()
    await eventually(lambda: asyncio.all_tasks() == {here})
    with pytest.raises(LifecycleError, match="does not run"):
        node.group("items")
    await node.stop()
