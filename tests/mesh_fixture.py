"""A cluster in one process: nodes over the in-memory transport, with loaders that are told what to do and members that come and go by hand.

    async with Cluster("a", "b") as cluster:
        key = cluster.key_of("b")                  # one that the ring gives to b
        await cluster.group("a").get(key)
        async with cluster.client("a") as client: ...

Leaving the block stops everything, and fails the test when a task was left behind or an error went unseen into the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from typing import Any, Self

from eventually import eventually
from scripted_loader import ScriptedLoader

from zmcache.calls import Group
from zmcache.client import Client, make_client
from zmcache.config import GroupConfig, NodeConfig, NodeSettings
from zmcache.core.wire import Limits
from zmcache.node import Node
from zmcache.testing.clock import Clock
from zmcache.testing.membership import HandDiscovery, Registry
from zmcache.transport.memory import MemoryNetwork, MemoryTransport

PATIENT_S = 20.0
"""A call's time in tests that are not about it: on a machine with much else to do a thousand keys may take seconds."""


class Cluster:
    """See the module's docstring. ``settings`` are those of the group ``items``; every node has a loader of its own. ``clock`` may be put forward: by
    it entries end, and a test that waits for their end by the machine's own may find them gone before it has looked.
    """

    def __init__(
        self,
        *names: str,
        loads: bool = True,
        limits: Limits | None = None,
        make_loader: Callable[[str], ScriptedLoader] = lambda name: ScriptedLoader(),
        drain_timeout_s: float = 2.0,
        join_timeout_s: float = 30.0,
        **settings: Any,
    ) -> None:
        self.names = names
        self.network = MemoryNetwork()
        self.registry = Registry()
        self.clock = Clock()
        self.nodes: dict[str, Node] = {}
        self.loaders: dict[str, ScriptedLoader] = {}
        self.limits = limits or Limits()
        self._loads = loads
        self._make_loader = make_loader
        self._timeouts = {"drain_timeout_s": drain_timeout_s, "join_timeout_s": join_timeout_s}
        self._settings = {"hot_ttl_s": 1.0, "ttl_jitter": 0.0} | settings
        self._errors: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self._errors.append(context))
        for name in self.names:
            await self.start(name, settle=False)
        await self.settled()
        return self

    async def __aexit__(self, exc_type: object, *exc_info: object) -> None:
        for node in self.nodes.values():
            await node.stop()
        if exc_type is None:
            here = asyncio.current_task()
            await eventually(lambda: asyncio.all_tasks() == {here})
            assert not self._errors, self._errors

    async def start(self, name: str, *, settle: bool = True) -> Node:
        """One more node."""
        config = NodeConfig(
            cluster="test",
            node=NodeSettings(id=name, listen=endpoint(name), **self._timeouts),
            limits=self.limits,
            groups={"items": GroupConfig(**self._settings)},
        )
        loaders = {}
        if self._loads:
            loaders["items"] = self.loaders[name] = self._make_loader(name)
        node = Node(
            config,
            loaders=loaders,
            transport=lambda: MemoryTransport(self.network, max_message_bytes=self.limits.message_bytes),
            discovery=lambda member: HandDiscovery(self.registry, member),
            clock=self.clock,
            # All of them are on one loop: where that stands still, nobody has stood in for anybody.
            boot_time=lambda: 0.0,
        )
        self.network.heal(endpoint(name))  # which was cut where it was killed
        await node.start()
        self.nodes[name] = node
        if settle:
            await self.settled()
        return node

    async def kill(self, name: str) -> None:
        """As SIGKILL: nobody is told; its lease stands until `Registry.drop`."""
        self.network.cut(endpoint(name))
        self.registry.watchers.pop(name)
        await self.nodes.pop(name).stop()

    async def settled(self) -> None:
        """Every node's ring is of the latest revision."""
        await eventually(
            lambda: all(node.ring().epoch.revision == self.registry.revision for node in self.nodes.values())
        )

    async def oppose(self) -> None:
        """Make each of the nodes a and b believe that nearly everything is the other's."""
        members = self.registry.members
        for here, there in (("a", "b"), ("b", "a")):
            self.registry.views[here] = (members[here]._replace(weight=0.002), members[there])
        self.registry.publish()
        await self.settled()

    def group(self, name: str) -> Group:
        """The group ``items`` of a node in this process."""
        return self.nodes[name].group("items")

    def client(self, *names: str, route: str = "owner", timeout: float = PATIENT_S, **options: Any) -> Client:
        """A client that knows the addresses of these nodes (all of them where none is named)."""
        addresses = ",".join(endpoint(name) for name in names or self.names)
        return make_client(
            addresses,
            lambda: MemoryTransport(self.network),
            route=route,
            timeout=timeout,
            limits=self.limits,
            **options,
        )

    def keys_of(self, owner: str, stand_in: str | None = None, *, seen_by: str | None = None) -> Iterator[str]:
        """Keys that the ring (of the node ``seen_by``) gives to ``owner``, and next to ``stand_in``."""
        ring = (self.nodes[seen_by] if seen_by else next(iter(self.nodes.values()))).ring()
        for n in count():
            key = f"key-{n}"
            owners = [member.node_id for member in ring.owners(key, 2)]
            if owners[0] == owner and (stand_in is None or owners[1] == stand_in):
                yield key

    def key_of(self, owner: str, stand_in: str | None = None, *, seen_by: str | None = None) -> str:
        """The first of `keys_of`."""
        return next(self.keys_of(owner, stand_in, seen_by=seen_by))

    @property
    def loaded(self) -> Counter[str]:
        """How often each key was loaded, on all nodes together."""
        return sum((loader.loaded for loader in self.loaders.values()), Counter())


def endpoint(name: str) -> str:
    """Where the node of that name listens."""
    return f"mem://{name}"


def mesh_test(test: Callable[[Cluster], Coroutine[Any, Any, None]], *names: str, **options: Any) -> None:
    """Run ``test`` with a cluster of these nodes."""

    async def main() -> None:
        async with Cluster(*(names or ("a", "b")), **options) as cluster:
            await test(cluster)

    asyncio.run(main())


@contextlib.contextmanager
def took_less_than(limit_s: float) -> Iterator[None]:
    """Fail when the block took longer, not counting the time in which the loop did not run: other processes may have had the processor."""
    loop = asyncio.get_running_loop()
    beat_s, began_s, stalled_s = 0.002, loop.time(), 0.0
    timer: asyncio.TimerHandle

    def beat(due_s: float) -> None:
        nonlocal timer, stalled_s
        now_s = loop.time()
        stalled_s += max(0.0, now_s - due_s)
        timer = loop.call_at(now_s + beat_s, beat, now_s + beat_s)

    timer = loop.call_at(began_s + beat_s, beat, began_s + beat_s)
    try:
        yield
    finally:
        timer.cancel()
    took_s = loop.time() - began_s
    assert took_s < limit_s + stalled_s, f"took {took_s:.3f} s, {stalled_s:.3f} s of it stalled, limit {limit_s} s"
