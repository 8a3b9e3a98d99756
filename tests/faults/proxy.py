"""A relay in front of each node, at the address that it advertises, and one in front of etcd for each node: seeded, and able to do wrong.

What passes can be held back (a cut, healed later, as TCP would have it: nothing is lost but time), slowed down, delayed, dropped, halved (the
rest of it is lost and the connection ends) or garbled. Who is at the other end of a connection is asked of the kernel: which process has that socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from faults.network import ETCD, Place, Ports

_CHUNK: Final = 16384
CLIENT: Final = "client"


@dataclass
class Wrongs:
    """What befalls the chunks that come to one node, and go from it: the chances of each, and how fast and late they are.

    ``rate``: bytes a second, of what the node reads; None: as fast as it comes.
    """

    rate: float | None = None
    delay_s: float = 0.0
    drop: float = 0.0
    halve: float = 0.0
    garble: float = 0.0


class Relays:
    """A `Network`."""

    def __init__(self, seed: int) -> None:
        self.wrongs: dict[str, Wrongs] = {}
        self.etcd_delay_s = 0.0
        """How late what passes between the nodes and etcd may be, each way."""
        self.done = {"dropped": 0, "halved": 0, "garbled": 0}
        self._rng = random.Random(seed)
        self._ports = Ports()
        self._etcd = ""
        self._places: dict[str, Place] = {}
        self._pids: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._cuts: set[tuple[str, str]] = set()
        self._healed = asyncio.Event()

    async def open(self, etcd: str) -> None:
        self._etcd = etcd

    async def place(self, node: str) -> Place:
        if node not in self._places:
            port = self._ports.next()
            front = await self._serve(node, f"127.0.0.1:{port}")
            etcd = await self._serve(ETCD, self._etcd, client=node) if self._etcd else ""
            self._places[node] = Place(f"tcp://127.0.0.1:{port}", f"tcp://{front}", etcd)
        return self._places[node]

    def runs_as(self, node: str, pid: int) -> None:
        self._pids[node] = pid

    async def cut(self, sender: str, receiver: str) -> None:
        self._healed.clear()
        self._cuts.add((sender, receiver))

    async def heal(self) -> None:
        self._cuts.clear()
        self._healed.set()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # -- connections -----------------------------------------------------------------------------------------------

    async def _serve(self, node: str, target: str, client: str | None = None) -> str:
        """Relay to ``target``. ``client``: who connects, where that is known beforehand."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._relay(node, target, client, reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def _relay(
        self, node: str, target: str, client: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        other = client or owner_of_port(writer.get_extra_info("peername")[1], self._pids) or CLIENT
        onward: asyncio.StreamWriter | None = None
        try:
            await self._pass(other, node)
            back, onward = await asyncio.open_connection(*target.split(":"))
            ways = [
                asyncio.create_task(self._pump(other, node, reader, onward)),
                asyncio.create_task(self._pump(node, other, back, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # nobody listens there any more: who connected sees that the connection ends
        finally:
            for end in (writer, onward):
                if end is not None:
                    end.transport.abort()

    async def _pump(
        self, sender: str, receiver: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._pass(sender, receiver)
                with_etcd = ETCD in (sender, receiver)
                if with_etcd and self.etcd_delay_s:
                    await asyncio.sleep(self._rng.uniform(0, self.etcd_delay_s))
                wrongs = None if with_etcd else self.wrongs.get(receiver) or self.wrongs.get(sender)
                if wrongs is None:
                    writer.write(chunk)
                    await writer.drain()
                elif not await self._do_wrong(wrongs, chunk, writer, slowly=receiver in self.wrongs):
                    return

    async def _do_wrong(self, wrongs: Wrongs, chunk: bytes, writer: asyncio.StreamWriter, *, slowly: bool) -> bool:
        """Whether the connection goes on."""
        rng = self._rng
        if wrongs.delay_s:
            await asyncio.sleep(rng.uniform(0, wrongs.delay_s))
        if rng.random() < wrongs.drop:
            self.done["dropped"] += 1
            return True
        if rng.random() < wrongs.garble:
            self.done["garbled"] += 1
            chunk = garbled(chunk, rng)
        halved = rng.random() < wrongs.halve
        if halved:
            self.done["halved"] += 1
            chunk = chunk[: len(chunk) // 2]
        if wrongs.rate and slowly:
            for at in range(0, len(chunk), 1024):
                part = chunk[at : at + 1024]
                writer.write(part)
                await asyncio.sleep(len(part) / wrongs.rate)
        else:
            writer.write(chunk)
        await writer.drain()
        return not halved

    async def _pass(self, sender: str, receiver: str) -> None:
        while (sender, receiver) in self._cuts:
            await self._healed.wait()


def garbled(chunk: bytes, rng: random.Random) -> bytes:
    """With a few of its bytes changed."""
    spoilt = bytearray(chunk)
    for _ in range(rng.randint(1, 8)):
        spoilt[rng.randrange(len(spoilt))] ^= rng.randint(1, 255)
    return bytes(spoilt)


def owner_of_port(port: int, pids: dict[str, int]) -> str | None:
    """Which of these processes has the socket that is bound to this port of loopback; None: none of them, or the kernel does not tell."""
    with contextlib.suppress(OSError):
        inodes = {
            fields[9]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if (fields := line.split())[1].endswith(f":{port:04X}")
        }
        for name, pid in pids.items():
            with contextlib.suppress(OSError):
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        if os.readlink(f"/proc/{pid}/fd/{fd}").strip("socket:[]") in inodes:
                            return name
    return None
