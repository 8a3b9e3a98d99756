"""The wire between simulated processes: what can go wrong on it, and links that deliver in order or break, as ZeroMQ's over TCP do.

Frames of one link arrive in order, each direction with delays of its own; links know nothing of one another, so what goes two ways may arrive in
any order. What may happen to them:

    slow(a, b, s)       each frame from a to b takes so much longer
    cut(a, b)           one way: nothing arrives any more. What was sent waits (TCP sends it again) until `heal`, or until the heartbeats of
                        ZMTP, which need both ways, give the link up; then it is lost
    a process is stopped  its sockets still take frames, until heartbeats give its links up; a connection to it is not answered
    a process is killed   of what it has sent some may be lost; who was connected hears of it, where the wire lets it

What its ends do is in `simulated_transport`. All numbers are those of `zmcache.transport.zeromq`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, Protocol

from virtual_time import Handle, ProcessLoop, World

HEARTBEATS_S: Final = 3.5  # one of a second, and an answer within three: somewhere between 3 and 4


class AskingEnd(Protocol):
    """What a link needs of a connection."""

    process: ProcessLoop

    def deliver(self, frame: bytes) -> None:
        """An answer has arrived, in the process."""

    def lost(self, link: Link, reason: str) -> None:
        """The link is broken."""

    def tell_writable(self) -> None:
        """There is room again."""


class AnsweringEnd(Protocol):
    """What a link needs of a listener."""

    process: ProcessLoop
    closed: bool
    peers: dict[bytes, Link]

    def deliver(self, peer: bytes, frame: bytes) -> None:
        """A question has arrived, in the process."""


class Network:
    """See the module's docstring. Processes go by the names of their loops; ``delay_s`` is what a frame takes on average."""

    def __init__(self, world: World, random: Random, *, delay_s: float = 0.0005, queued_bytes: int = 8 << 20) -> None:
        self.world, self.random, self.delay_s, self.queued_bytes = world, random, delay_s, queued_bytes
        self._draw = random.random
        self.listeners: dict[str, AnsweringEnd] = {}
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
        delay_s = self.delay_s * (0.5 + self._draw())
        return delay_s + self._slow.get((source, target), 0.0) if self._slow else delay_s

    def is_cut(self, source: str, target: str) -> bool:
        return bool(self._cut) and (source, target) in self._cut

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
        self.network, self._target = link.network, target.name
        self.queue: deque[bytes] = deque()
        self.last_s = 0.0
        self._held_bytes = 0
        self._try = 0

    def send(self, frame: bytes) -> bool:
        if self._held_bytes and self._held_bytes + len(frame) > self.network.queued_bytes:
            return False
        self._held_bytes += len(frame)
        self.queue.append(frame)
        if not self.network.is_cut(self.source, self._target):
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
        network = self.network
        world = network.world
        arrives_s = world.now + network.delay(self.source, self._target)
        if arrives_s > self.last_s:
            self.last_s = arrives_s
        world.plan(self.last_s, Handle(None, self._arrive, (self._try,), None, self.last_s))

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

    def __init__(self, network: Network, connection: AskingEnd, listener: AnsweringEnd) -> None:
        self.network, self.connection, self.listener = network, connection, listener
        self.peer = b"%d" % network.next_number()
        here, there = connection.process, listener.process
        self.lanes = (
            Lane(self, here.name, there, partial(listener.deliver, self.peer)),
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
