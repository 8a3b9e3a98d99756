"""A network in which each node has an interface, an address and a stack of its own: Linux network namespaces, joined by a bridge.

The command runs itself again inside a user namespace of its own, in which it may do all that, whether or not it is root outside; the kernel takes
everything away when the last process of it has ended, so that nothing is left behind. Clients and etcd are at the bridge.

A direction is cut by telling the sender's stack a wrong hardware address of the receiver: its packets vanish without a word, as in a broken switch.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from faults.children import Child, Failed, dying_with_us
from faults.network import ETCD, Place

INSIDE: Final = "FAULTS_INSIDE"
_ENTER: Final = ("unshare", "--user", "--map-root-user", "--net", "--")
_NOBODY: Final = "02:00:00:00:de:ad"
_BRIDGE: Final = "10.77.0.1"
_BRIDGE_HARDWARE: Final = "02:00:00:00:00:01"  # locally administered
_ETCD: Final = "10.77.0.2"
_PORT: Final = 7401


def inside(command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The same command with a network of its own, and the variable that tells it so."""
    return [*_ENTER, *dying_with_us(), *command], {INSIDE: "1"}


@functools.cache
def why_not() -> str | None:
    """Why there can be no such network on this machine; None: there can."""
    if os.environ.get(INSIDE):
        return None
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"there is no `{program}` on the PATH"
    script = "ip link add zmtest type bridge && unshare --net true"
    probe = subprocess.run(
        [*_ENTER, "sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return (
        None
        if probe.returncode == 0
        else f"no network namespaces here: {(probe.stderr.strip().splitlines() or ['?'])[-1]}"
    )


class Namespaces:
    """A `Network`, for a process that is `inside` one of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._holders: dict[str, Child] = {}
        self._places: dict[str, Place] = {}
        self._cuts: list[tuple[str, str]] = []
        self._relay: asyncio.Server | None = None
        _ip("link", "set", "lo", "up")  # etcd is to start before `open`

    async def open(self, etcd: str) -> None:
        with contextlib.suppress(Failed):
            _ip("link", "del", "zmbridge")  # of the run before this one
        # With an address of its own: else it takes the lowest of its ports', and when a node joins the others may send to one that is no more.
        _ip("link", "add", "zmbridge", "address", _BRIDGE_HARDWARE, "type", "bridge")
        for address in (_BRIDGE, _ETCD):
            _ip("addr", "add", f"{address}/24", "dev", "zmbridge")
        _ip("link", "set", "zmbridge", "up")
        if etcd:
            # Ours listens on loopback only.
            self._relay = await asyncio.start_server(_relay_to(etcd), _ETCD, 0)

    async def place(self, node: str) -> Place:
        if node not in self._places:
            holder = self._holders[node] = Child(f"net-{node}", ["unshare", "--net", "sleep", "infinity"], self._folder)
            await _wait_apart(holder)
            address, outside = f"10.77.0.{10 + len(self._holders)}", f"zm{len(self._holders)}"
            _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
            _ip("link", "set", outside, "master", "zmbridge", "up")
            prefix = ("nsenter", f"--net=/proc/{holder.pid}/ns/net", "--")
            for rest in (
                ("link", "set", "lo", "up"),
                ("addr", "add", f"{address}/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
            ):
                _ip(*rest, prefix=prefix)
            endpoint = f"tcp://{address}:{_PORT}"
            etcd = f"{_ETCD}:{self._relay.sockets[0].getsockname()[1]}" if self._relay else ""
            self._places[node] = Place(endpoint, endpoint, etcd, prefix)
        return self._places[node]

    def runs_as(self, node: str, pid: int) -> None:
        pass

    async def cut(self, sender: str, receiver: str) -> None:
        to = self._address(receiver)
        _ip(
            "neigh",
            "replace",
            to,
            "lladdr",
            _NOBODY,
            "dev",
            "eth0",
            "nud",
            "permanent",
            prefix=self._places[sender].prefix,
        )
        self._cuts.append((sender, to))

    async def heal(self) -> None:
        for sender, to in self._cuts:
            _ip("neigh", "del", to, "dev", "eth0", prefix=self._places[sender].prefix)
        self._cuts.clear()

    async def close(self) -> None:
        if self._relay is not None:
            self._relay.close()
        for holder in self._holders.values():
            holder.kill()

    def _address(self, node: str) -> str:
        return _ETCD if node == ETCD else self._places[node].address.partition(":")[0]


async def _wait_apart(holder: Child) -> None:
    ours = os.readlink("/proc/self/ns/net")
    for _ in range(500):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{holder.pid}/ns/net") != ours:
                return
        await asyncio.sleep(0.01)
    raise Failed(f"{holder.name} has no network of its own: {holder.said()}")


def _ip(*arguments: str, prefix: Sequence[str] = ()) -> None:
    done = subprocess.run(
        [*prefix, "ip", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _relay_to(target: str):  # type: ignore[no-untyped-def] # what start_server takes
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, onward = await asyncio.open_connection(*target.split(":"))
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(pump(reader, onward), pump(back, writer))

    return relay


if __name__ == "__main__":
    print(why_not() or "each node can have a network of its own", file=sys.stderr)
