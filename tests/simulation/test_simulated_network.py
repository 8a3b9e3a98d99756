"""Links between simulated processes deliver in order or break; what happens to a wire or a process, connections hear of as ZeroMQ's would."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from simulated_network import HEARTBEATS_S, Network
from simulated_transport import CONNECT_TIMEOUT_S, SimulatedListener, SimulatedTransport
from virtual_time import ProcessLoop, World


class Wire:
    """A client that connects to a server, and all that each of them is told."""

    def __init__(self, **settings: float) -> None:
        self.world = World()
        self.network = Network(self.world, Random(1), **settings)  # type: ignore[arg-type]
        self.server, self.client = ProcessLoop(self.world, "server"), ProcessLoop(self.world, "client")
        self.received: list[bytes] = []
        self.answers: list[bytes] = []
        self.events: list[tuple[float, str]] = []
        self.peers: list[bytes] = []
        self.listener = self.listen(self.server)
        self.connection = SimulatedTransport(self.network, self.client).connect("mem://server", self)

    def listen(self, process: ProcessLoop) -> SimulatedListener:
        def on_frame(peer: bytes, frame: bytes) -> None:
            self.peers.append(peer)
            self.received.append(frame)

        return SimulatedTransport(self.network, process).listen("mem://server", on_frame)

    def on_connected(self) -> None:
        self.events.append((round(self.world.now, 1), "connected"))

    def on_disconnected(self, reason: str) -> None:
        self.events.append((round(self.world.now, 1), "disconnected"))

    def on_writable(self) -> None:
        self.events.append((round(self.world.now, 1), "writable"))

    def on_frame(self, frame: bytes) -> None:
        self.answers.append(frame)

    def send(self, *frames: bytes) -> bool:
        return all(self.connection.send_nowait(frame) for frame in frames)

    def run(self, for_s: float = 1.0) -> None:
        self.world.run(self.world.now + for_s)

    def kinds(self) -> list[str]:
        return [event for _, event in self.events]


NUMBERS = [b"%d" % number for number in range(100)]


def test_frames_arrive_in_order_however_long_each_takes() -> None:
    wire = Wire(delay_s=0.01)
    wire.run()
    assert wire.send(*NUMBERS)
    wire.run()
    assert wire.received == NUMBERS
    for frame in NUMBERS:
        wire.listener.send_nowait(wire.peers[0], frame)
    wire.run()
    assert wire.answers == NUMBERS


def test_nothing_is_taken_before_there_is_a_connection_and_then_it_is_told() -> None:
    wire = Wire()
    assert not wire.send(b"early")
    wire.run()
    assert wire.kinds() == ["connected", "writable"]
    assert wire.received == []


def test_what_a_cut_holds_up_arrives_in_order_when_it_heals_soon() -> None:
    wire = Wire()
    wire.run()
    wire.send(*NUMBERS[:50])
    wire.network.cut("client", "server")
    wire.send(*NUMBERS[50:])
    wire.run()
    assert wire.received == []
    wire.network.heal("client", "server")
    wire.run()
    assert wire.received == NUMBERS
    assert wire.kinds() == ["connected"]


def test_a_cut_that_lasts_breaks_the_link_and_what_was_on_it_is_lost() -> None:
    wire = Wire()
    wire.run()
    wire.network.cut("server", "client")  # one way is enough: heartbeats need both
    wire.send(b"arrives")
    wire.run(0.5)
    wire.listener.send_nowait(wire.peers[0], b"lost")
    wire.run(HEARTBEATS_S + CONNECT_TIMEOUT_S + 0.5)
    assert wire.kinds() == ["connected", "disconnected", "disconnected"]
    wire.network.heal_all()
    wire.run(10.0)
    assert wire.kinds()[-1] == "connected"
    assert (wire.received, wire.answers) == ([b"arrives"], [])


def test_who_was_connected_to_a_killed_process_hears_of_it_at_once_and_finds_its_successor() -> None:
    wire = Wire()
    wire.run()
    wire.server.kill()
    wire.network.killed(wire.server)
    wire.run(0.05)
    assert wire.kinds() == ["connected", "disconnected"]
    wire.listen(ProcessLoop(wire.world, "server"))
    wire.run(2.0)
    assert wire.kinds()[-1] == "connected"
    assert wire.send(b"hello")
    wire.run()
    assert wire.received == [b"hello"]


def test_what_lies_in_the_socket_of_a_stopped_process_is_read_when_it_goes_on() -> None:
    wire = Wire()
    wire.run()
    wire.server.stop_process()
    wire.network.stopped(wire.server)
    wire.send(*NUMBERS)
    wire.run(HEARTBEATS_S + 1.0)
    assert (wire.received, wire.kinds()) == ([], ["connected", "disconnected"])
    wire.server.continue_process()
    wire.run(1.0)
    assert wire.received == NUMBERS
    assert wire.kinds() == ["connected", "disconnected", "connected"]


def test_a_link_takes_so_many_bytes_and_tells_when_there_is_room_again() -> None:
    wire = Wire(queued_bytes=100)
    wire.run()
    wire.server.stop_process()
    assert wire.send(b"x" * 60)
    assert not wire.send(b"x" * 60)
    wire.run(0.5)
    wire.server.continue_process()
    wire.run(0.5)
    assert wire.kinds() == ["connected", "writable"]
    assert wire.send(b"x" * 60)


def test_what_was_answered_before_a_listener_closed_still_arrives() -> None:
    wire = Wire()
    wire.run()
    wire.send(b"?")
    wire.run()
    wire.listener.send_nowait(wire.peers[0], b"!")
    wire.listener.close()
    wire.run()
    assert wire.answers == [b"!"]
    assert "disconnected" in wire.kinds()


def _delays(slow: Callable[[Network], None]) -> float:
    wire = Wire(delay_s=0.001)
    wire.run()
    slow(wire.network)
    wire.send(b"x")
    began_s = wire.world.now
    wire.world.run(began_s + 5.0, lambda: bool(wire.received))
    return wire.world.now - began_s


def test_a_slow_way_delays_each_frame() -> None:
    assert _delays(lambda network: None) < 0.01
    assert 0.3 < _delays(lambda network: network.slow("client", "server", 0.3)) < 0.31
