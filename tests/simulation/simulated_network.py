"""The wire between simulated processes: what can go wrong on it, and links that deliver in order or break, as ZeroMQ's over TCP do.

Frames of one link arrive in order, each direction with delays of its own; links know nothing of one another, so what goes two ways may arrive in
any order. What may happen to them:

    slow(a, b, s)       each frame from a to b takes so much longer
    cut(a, b)           one way: nothing arrives any more. What was sent waits (TCP sends it again) until `heal`, or until the heartbeats of
                        ZMTP, which need both ways, give the link up; then it is lost
    a process is stopped  its sockets still take frames, until heartbeats give its links up; a connection to it is not answered
    a process is killed   of what it has sent some may be lost; who was connected hears of it, where the wire lets it

A connection that could not be made, or broke, is tried again with growing pauses. All numbers are those of `zmcache.transport.zeromq`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final

from virtual_time import ProcessLoop, World

from zmcache.errors import ConfigError, ProtocolError
from zmcache.transport.base import ConnectionHandler, TransportStatistics

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 1.0
HANDSHAKE_S: Final = 5.0
HEARTBEATS_S: Final = 3.5  # one of a second, and an answer within three: somewhere between 3 and 4


class Network:
    """See the module's docstring. Processes go by the names of their loops; ``delay_s`` is what a frame takes on average."""

    def __init__(self, world: World, random: Random, *, delay_s: float = 0.0005, queued_bytes: int = 8 << 20) -> None:
        self.world, self.random, self.delay_s, self.queued_bytes = world, random, delay_s, queued_bytes
        self.listeners: dict[str, SimulatedListener] = {}
        self.links: dict[Link, None] = {}
        self._cut: dict[tuple[str, str], float] = {}
        self._slow: dict[tuple[str, str], float] = {}
        self._numbers = 0

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def slow(self, source: str, target: str, by_s: float) -> None:
        self._slow[source, target] = by_s

    def cut(self, source: str, target: str) -> None:
        if (source, target) not in self._cut:
            since_s = self._cut[source, target] = self.world.now
            for lane in self._lanes(source, target):
                lane.stall()
            self.world.after(HEARTBEATS_S, self._beats_missed, source, target, since_s)

    def heal(self, source: str, target: str) -> None:
        if self._cut.pop((source, target), None) is not None:
            for lane in self._lanes(source, target):
                lane.go_on()

    def heal_all(self) -> None:
        for source, target in list(self._cut):
            self.heal(source, target)
        self._slow.clear()

    def stopped(self, process: ProcessLoop) -> None:
        """The process was stopped now."""
        for link in self._links_of(process):
            self.world.after(HEARTBEATS_S, self._still_stopped, link, process, self.world.now)

    def killed(self, process: ProcessLoop) -> None:
        """The process was killed now."""
        for endpoint, listener in list(self.listeners.items()):
            if listener.process is process:
                del self.listeners[endpoint]
                listener.closed = True
        for link in self._links_of(process):
            link.end_from(process)

    @property
    def cuts(self) -> list[tuple[str, str]]:
        """From where to where nothing arrives."""
        return list(self._cut)

    @property
    def is_whole(self) -> bool:
        return not self._cut and not self._slow

    # -- for links and connections -----------------------------------------------------------------------------------

    def delay(self, source: str, target: str) -> float:
        return self.delay_s * (0.5 + self.random.random()) + self._slow.get((source, target), 0.0)

    def is_cut(self, source: str, target: str) -> bool:
        return (source, target) in self._cut

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _lanes(self, source: str, target: str) -> list[Lane]:
        return [
            lane
            for link in list(self.links)
            for lane in link.lanes
            if (lane.source, lane.target.name) == (source, target)
        ]

    def _links_of(self, process: ProcessLoop) -> list[Link]:
        return [link for link in list(self.links) if process in (link.connection.process, link.listener.process)]

    def _beats_missed(self, source: str, target: str, since_s: float) -> None:
        if self._cut.get((source, target)) == since_s:
            for lane in self._lanes(source, target):
                lane.link.give_up("heartbeats are missed")

    def _still_stopped(self, link: Link, process: ProcessLoop, since_s: float) -> None:
        if process.stopped and process.stopped_s == since_s and link in self.links:
            link.give_up("heartbeats are missed")


class Lane:
    """One direction of a link. ``deliver`` is called in the process that it leads to."""

    def __init__(self, link: Link, source: str, target: ProcessLoop, deliver: Callable[[bytes], None]) -> None:
        self.link, self.source, self.target, self._deliver = link, source, target, deliver
        self.network = link.network
        self.queue: deque[bytes] = deque()
        self.last_s = 0.0
        self._held_bytes = 0
        self._try = 0

    def send(self, frame: bytes) -> bool:
        if self._held_bytes and self._held_bytes + len(frame) > self.network.queued_bytes:
            return False
        self._held_bytes += len(frame)
        self.queue.append(frame)
        if not self.network.is_cut(self.source, self.target.name):
            self._plan()
        return True

    def stall(self) -> None:
        self._try += 1

    def go_on(self) -> None:
        for _ in self.queue:
            self._plan()

    def lose_some(self) -> None:
        """Of what is on the way the last frames are lost, or none, or all."""
        for _ in range(self.network.random.randrange(len(self.queue) + 1)):
            self.queue.pop()

    def _plan(self) -> None:
        world = self.network.world
        self.last_s = max(self.last_s, world.now + self.network.delay(self.source, self.target.name))
        world.at(self.last_s, self._arrive, self._try)

    def _arrive(self, attempt: int) -> None:
        if attempt == self._try and self.queue:
            self.target.arrive(self._take, self.queue.popleft())

    def _take(self, frame: bytes) -> None:
        was_full = self._held_bytes > self.network.queued_bytes // 2
        self._held_bytes -= len(frame)
        self._deliver(frame)
        if was_full and self is self.link.lanes[0]:
            self.network.world.after(self.network.delay_s, self.link.connection.tell_writable)


class Link:
    """What connects an asking end with an answering one, until it breaks."""

    def __init__(self, network: Network, connection: SimulatedConnection, listener: SimulatedListener) -> None:
        self.network, self.connection, self.listener = network, connection, listener
        self.peer = b"%d" % network.next_number()
        here, there = connection.process, listener.process
        self.lanes = (
            Lane(self, here.name, there, lambda frame: listener.deliver(self.peer, frame)),
            Lane(self, there.name, here, connection.deliver),
        )
        network.links[self] = None

    def give_up(self, reason: str) -> None:
        """Broken, and both ends know: what is on the way is lost."""
        if self.network.links.pop(self, self) is self:
            return
        for lane in self.lanes:
            lane.queue.clear()
        self.listener.peers.pop(self.peer, None)
        self.connection.lost(self, reason)

    def end_from(self, process: ProcessLoop, *, lingers: bool = False) -> None:
        """One end is closed, or its process was killed: the other hears of it behind what arrives of it, once it can."""
        outgoing, incoming = self.lanes if process is self.connection.process else self.lanes[::-1]
        incoming.queue.clear()
        if not lingers:
            outgoing.lose_some()
        self._end_arrives(outgoing)

    def _end_arrives(self, outgoing: Lane) -> None:
        network = self.network
        if self not in network.links:
            return
        if network.is_cut(outgoing.source, outgoing.target.name):
            network.world.after(0.05, self._end_arrives, outgoing)  # unless heartbeats tell before
        else:
            at_s = max(outgoing.last_s, network.world.now + network.delay(outgoing.source, outgoing.target.name))
            network.world.at(at_s, self.give_up, "closed by the other end")


class SimulatedConnection:
    """See `zmcache.transport.base.Connection`."""

    def __init__(
        self, network: Network, process: ProcessLoop, endpoint: str, handler: ConnectionHandler, limit: int
    ) -> None:
        self.network, self.process, self.endpoint, self._handler, self._limit = (
            network,
            process,
            endpoint,
            handler,
            limit,
        )
        self.closed = self._refused = False
        self._link: Link | None = None
        self._pause_s = FIRST_PAUSE_S
        network.world.after(0.0, self._attempt)

    def send_nowait(self, frame: bytes) -> bool:
        if len(frame) > self._limit:
            raise ProtocolError(f"a frame of {len(frame)} bytes, limit {self._limit}")
        if self._link is None or not self._link.lanes[0].send(frame):
            self._refused = True
            return False
        return True

    def close(self) -> None:
        self.closed = True
        if self._link is not None:
            self._link.end_from(self.process)
            self._link = None

    # -- for the link ----------------------------------------------------------------------------------------------

    def deliver(self, frame: bytes) -> None:
        if not self.closed:
            self._handler.on_frame(frame)

    def lost(self, link: Link, reason: str) -> None:
        if self._link is link:
            self._link = None
            self._report(reason)
            self._try_again()

    def tell_writable(self) -> None:
        if self._refused and self._link is not None and not self.closed:
            self._refused = False
            self.process.arrive(self._handler.on_writable)

    # -- making it ---------------------------------------------------------------------------------------------------

    def _attempt(self) -> None:
        if self.closed or self.process.dead:
            return
        network, here = self.network, self.process.name
        listener = network.listeners.get(self.endpoint)
        if self.process.stopped:
            network.world.after(0.1, self._attempt)
        elif listener is None:
            network.world.after(network.delay(here, self.endpoint), self._failed, "refused")
        elif network.is_cut(here, listener.process.name) or network.is_cut(listener.process.name, here):
            network.world.after(CONNECT_TIMEOUT_S, self._failed, "timed out")
        else:
            there = listener.process.name
            round_s = network.delay(here, there) + network.delay(there, here)
            network.world.after(round_s, self._shake_hands, listener, network.world.now + HANDSHAKE_S)

    def _shake_hands(self, listener: SimulatedListener, until_s: float) -> None:
        network, here, there = self.network, self.process.name, listener.process.name
        if self.closed or self.process.dead:
            return
        if listener.closed or network.world.now >= until_s:
            self._failed("no handshake")
        elif (
            self.process.stopped
            or listener.process.stopped
            or network.is_cut(here, there)
            or network.is_cut(there, here)
        ):
            network.world.after(0.05, self._shake_hands, listener, until_s)
        else:
            self._pause_s = FIRST_PAUSE_S
            self._link = Link(network, self, listener)
            listener.peers[self._link.peer] = self._link
            self.process.arrive(self._handler.on_connected)
            self.tell_writable()

    def _failed(self, reason: str) -> None:
        self._report(reason)
        self._try_again()

    def _try_again(self) -> None:
        if not self.closed:
            self.network.world.after(self._pause_s, self._attempt)
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)

    def _report(self, reason: str) -> None:
        self.process.arrive(
            lambda: None if self.closed else self._handler.on_disconnected(f"{self.endpoint}: {reason}")
        )


class SimulatedListener:
    """See `zmcache.transport.base.Listener`."""

    def __init__(
        self,
        network: Network,
        process: ProcessLoop,
        endpoint: str,
        on_frame: Callable[[bytes, bytes], None],
        limit: int,
    ) -> None:
        if endpoint in network.listeners:
            raise ConfigError(f"cannot listen on {endpoint}: Address already in use")
        self.network, self.process, self.endpoint, self._on_frame, self._limit = (
            network,
            process,
            endpoint,
            on_frame,
            limit,
        )
        self.closed = False
        self.peers: dict[bytes, Link] = {}
        network.listeners[endpoint] = self

    def send_nowait(self, peer: bytes, frame: bytes) -> bool:
        link = self.peers.get(peer)
        return link is not None and not self.closed and len(frame) <= self._limit and link.lanes[1].send(frame)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            del self.network.listeners[self.endpoint]
            for link in self.peers.values():
                link.end_from(self.process, lingers=True)

    def deliver(self, peer: bytes, frame: bytes) -> None:
        if not self.closed:
            self._on_frame(peer, frame)


class SimulatedTransport:
    """See `zmcache.transport.base.Transport`."""

    def __init__(self, network: Network, process: ProcessLoop, *, max_message_bytes: int = 8 << 20) -> None:
        self._network, self._process, self._limit = network, process, max_message_bytes
        self._ends: list[SimulatedConnection | SimulatedListener] = []

    def connect(self, endpoint: str, handler: ConnectionHandler) -> SimulatedConnection:
        connection = SimulatedConnection(self._network, self._process, endpoint, handler, self._limit)
        self._ends.append(connection)
        return connection

    def listen(self, endpoint: str, on_frame: Callable[[bytes, bytes], None]) -> SimulatedListener:
        listener = SimulatedListener(self._network, self._process, endpoint, on_frame, self._limit)
        self._ends.append(listener)
        return listener

    def statistics(self) -> TransportStatistics:
        return TransportStatistics(0, 0, {}, 0, 0, 0)

    def close(self) -> None:
        for end in self._ends:
            end.close()
