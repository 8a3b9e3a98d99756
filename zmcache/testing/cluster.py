"""A cluster in one process, for tests: see `Cluster`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from itertools import count, product
from string import ascii_lowercase
from types import MappingProxyType
from typing import Final, Self

from zmcache.cache import Cache
from zmcache.client import make_client
from zmcache.config import NodeConfig, NodeSettings
from zmcache.core.calls import DEFAULT_TIMEOUT_S, Duration, check_timeout
from zmcache.core.ring import Ring
from zmcache.errors import ConfigError, LifecycleError
from zmcache.node import Node
from zmcache.testing.clock import Clock
from zmcache.testing.given import Batch, Groups, Loaders, make_loaders, read_groups
from zmcache.testing.leftovers import Leftovers, wait_until
from zmcache.testing.membership import HandDiscovery, Registry
from zmcache.transport.memory import MemoryNetwork, MemoryTransport

# A ring takes milliseconds; in a cluster of two a node that hung and is removed is let go once its pings are missed: two seconds.
_SETTLES_WITHIN_S: Final = 20.0
_DRAIN_TIMEOUT_S: Final = 2.0


class Cluster:
    """Nodes named a, b, c and so on, over an in-memory wire, on the loop that enters it. ``async with Cluster(nodes=3) as cluster``.

    nodes      how many there are at the start.
    groups     the groups' settings by name, as in a config file (``{"items": {"ttl": "1h", "budget": "16MiB"}}``; the fields of `GroupConfig`
               do as well), or just their names. None: those that ``loaders`` names, else ``items``. Unlike in a file, ``ttl_jitter`` is 0.
    loaders    what fetches a missing key, by group: a function as in a config's ``loader.import``. Every node calls the same.
    batch      whether the loaders take a list of keys, or the names of the groups whose loaders do.

    Leaving the block closes the clients and stops the nodes, and raises `LifecycleError` where a task of zmcache did not end. Raises `ConfigError`
    for what a config file would be refused for.
    """

    def __init__(self, nodes: int = 3, *, groups: Groups = None, loaders: Loaders = None, batch: Batch = False) -> None:
        if isinstance(nodes, bool) or not isinstance(nodes, int) or nodes < 1:
            raise ConfigError(f"expected one node or more, found {nodes!r}")
        self.clock = Clock()
        self._count = nodes
        self._groups = read_groups(groups, loaders)
        self._given_loaders, self._batch = loaders, batch
        make_loaders(loaders, batch, self._groups)  # what is wrong with them is told here, not by a node
        self._names = _names()
        self._network = MemoryNetwork()
        self._registry = Registry()
        self._nodes: dict[str, Node] = {}
        self._cut: set[str] = set()
        self._paused_at_s: dict[str, float] = {}
        self._stack: AsyncExitStack | None = None
        self._leftovers: Leftovers | None = None

    async def __aenter__(self) -> Self:
        """Start the nodes."""
        if self._leftovers is not None:
            raise LifecycleError("a cluster is entered once; make another")
        self._leftovers = Leftovers()
        async with AsyncExitStack() as stack:
            self._stack = stack
            for _ in range(self._count):
                await self._start(next(self._names))
            await self.settled()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop everything."""
        assert self._stack is not None
        assert self._leftovers is not None
        stack, self._stack = self._stack, None
        for watcher in list(self._registry.watchers.values()):
            watcher.on_snapshot = None  # who stops needs no other ring
        await stack.aclose()
        self._nodes.clear()
        if not any(exc_info):
            await self._leftovers.check()

    async def connect(
        self,
        *,
        timeout: Duration = DEFAULT_TIMEOUT_S,
        on_error: str = "raise",
        route: str = "owner",
        nodes: Iterable[str] | None = None,
    ) -> Cache:
        """A connection as `zmcache.connect` makes them, open, and closed with the cluster. ``nodes``: those it knows at first; all, by default."""
        stack = self._running()
        client = make_client(
            [_endpoint(self._checked(name)) for name in nodes or self._nodes],
            lambda: MemoryTransport(self._network),
            route=route,
            timeout=check_timeout(timeout),
            on_error=on_error,
        )
        return await stack.enter_async_context(client)

    # -- what happens to nodes -------------------------------------------------------------------------------------

    def cut(self, name: str) -> None:
        """As if it had died: its connections break, and nobody reaches it. The others' rings name it until it is removed, as they do
        until a dead node's lease ends.
        """
        self._cut.add(self._checked(name))
        self._network.cut(_endpoint(name))

    def heal(self, name: str) -> None:
        """Undo `cut`. As after a lost lease, it keeps what it holds for ``moved_ttl`` (10 s) at most: the others may have been written to
        meanwhile.
        """
        if self._checked(name) in self._cut:
            self._cut.discard(name)
            self._nodes[name].lease_lost()
            self._network.heal(_endpoint(name))

    def pause(self, name: str) -> None:
        """As if it hung: connections stand, nothing comes. Within two seconds the others stop asking it."""
        self._paused_at_s.setdefault(self._checked(name), asyncio.get_running_loop().time())
        self._network.pause(_endpoint(name))

    def resume(self, name: str) -> None:
        """Undo `pause`: it gets all that was sent to it. After a long one it does what a node does that notices that it stood still."""
        since_s = self._paused_at_s.pop(self._checked(name), None)
        if since_s is not None:
            self._nodes[name].stood_still(asyncio.get_running_loop().time() - since_s)
            self._network.resume(_endpoint(name))

    async def add(self) -> str:
        """One more node, with the next name; returns when all rings have it."""
        self._running()
        name = next(self._names)
        await self._start(name)
        await self.settled()
        return name

    async def remove(self, name: str) -> None:
        """Stop a node, and return when no ring has it. It leaves in good order (half a second), unless it is cut or paused: then its lease ends."""
        node = self._nodes[self._checked(name)]
        if name in self._cut or name in self._paused_at_s:
            self._network.cut(_endpoint(name))
        else:
            await node.drain()
        del self._nodes[name]
        await node.stop()
        self._cut.discard(name)
        self._paused_at_s.pop(name, None)
        await self.settled()

    async def settled(self) -> None:
        """Return when every node has the latest ring; the calls above that can, wait for it themselves. Raises `TimeoutError`."""
        if not await wait_until(self._is_settled, _SETTLES_WITHIN_S):
            raise TimeoutError(f"the nodes do not agree on a ring within {_SETTLES_WITHIN_S:g} s")

    def advance(self, by: float | str) -> None:
        """Move what entries and leases end by, on all nodes: seconds, or text such as ``"1h30m"``. Timeouts of calls go by real time."""
        self.clock.advance(by)

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by name, those that were cut or paused included."""
        return MappingProxyType(self._nodes)

    def owner_of(self, key: str) -> str:
        """The node that the ring gives ``key`` to."""
        return self._ring().owner(key).node_id

    def stand_in_of(self, key: str) -> str | None:
        """The node that answers for ``key`` while its owner cannot be reached; None where there is only one node."""
        owners = self._ring().owners(key, 2)
        return owners[1].node_id if len(owners) == 2 else None

    def key_of(self, node: str) -> str:
        """A key that the ring gives to ``node``; the same each time, while the nodes are the same."""
        return next(self.keys_of(node))

    def keys_of(self, node: str) -> Iterator[str]:
        """Keys that the ring gives to ``node``, without end."""
        self._checked(node)
        return (key for n in count() if self.owner_of(key := f"key-{n}") == node)

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _start(self, name: str) -> None:
        settings = NodeSettings(id=name, listen=_endpoint(name), drain_timeout_s=_DRAIN_TIMEOUT_S)
        node = Node(
            NodeConfig(cluster="testing", node=settings, groups=self._groups),
            loaders=make_loaders(self._given_loaders, self._batch, self._groups),
            transport=lambda: MemoryTransport(self._network),
            discovery=lambda member: HandDiscovery(self._registry, member),
            clock=self.clock,
        )
        self._running().push_async_callback(node.stop)
        await node.start()
        self._nodes[name] = node
        self.clock.watch(node.clock_moved)

    def _is_settled(self) -> bool:
        names = self._nodes.keys()
        rings = [node.ring() for node in self._nodes.values()]
        return all(
            ring.epoch.revision == self._registry.revision and {member.node_id for member in ring.members} == names
            for ring in rings
        )

    def _ring(self) -> Ring:
        self._running()
        return next(iter(self._nodes.values())).ring()

    def _checked(self, name: str) -> str:
        self._running()
        if name not in self._nodes:
            raise ConfigError(f"expected a node ({', '.join(self._nodes)}), found {name!r}")
        return name

    def _running(self) -> AsyncExitStack:
        if self._stack is None:
            raise LifecycleError("the cluster does not run: use it inside `async with`")
        return self._stack


def _endpoint(name: str) -> str:
    return f"mem://{name}"


def _names() -> Iterator[str]:
    """a, b, ..., z, aa, ab, ..."""
    return ("".join(letters) for length in count(1) for letters in product(ascii_lowercase, repeat=length))
