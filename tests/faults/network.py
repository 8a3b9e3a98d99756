"""What lies between the nodes: nothing (loopback), relays that can be told to do wrong, or a network in which each node has an address of its own.

All three tell a node where to listen and what to advertise, and the latter two cut one direction between two of them: what ``a`` sends no longer
reaches ``b``. To be cut off from etcd is to send it nothing.
"""

from __future__ import annotations

import socket
from typing import Final, NamedTuple, Protocol

ETCD: Final = "etcd"


class Place(NamedTuple):
    """Where a node is. ``prefix``: what puts its process there."""

    listen: str
    advertise: str
    etcd: str
    prefix: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """For clients: host:port."""
        return self.advertise.removeprefix("tcp://")


class Network(Protocol):
    """See above."""

    async def open(self, etcd: str) -> None:
        """Before the first node; ``etcd``: where it answers, host:port. Raises `Failed` where this network cannot be had."""

    async def place(self, node: str) -> Place:
        """The place of a node, the same whenever it is asked for."""

    def runs_as(self, node: str, pid: int) -> None:
        """The node has been started."""

    async def cut(self, sender: str, receiver: str) -> None:
        """From now on nothing gets through in this direction."""

    async def heal(self) -> None:
        """All cuts are over."""

    async def close(self) -> None:
        """After the last node."""


class Loopback:
    """Nothing in between; it cannot be cut."""

    def __init__(self) -> None:
        self._etcd = ""
        self._places: dict[str, Place] = {}
        self._ports = Ports()

    async def open(self, etcd: str) -> None:
        self._etcd = etcd

    async def place(self, node: str) -> Place:
        if node not in self._places:
            endpoint = f"tcp://127.0.0.1:{self._ports.next()}"
            self._places[node] = Place(endpoint, endpoint, self._etcd)
        return self._places[node]

    def runs_as(self, node: str, pid: int) -> None:
        pass

    async def cut(self, sender: str, receiver: str) -> None:
        raise NotImplementedError

    async def heal(self) -> None:
        pass

    async def close(self) -> None:
        pass


class Ports:
    """Ports from the system, each of them once: a node keeps its own over its restarts."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def next(self) -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in self._given:
                self._given.add(port)
                return port
