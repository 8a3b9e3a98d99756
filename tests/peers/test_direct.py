"""The direct way to a peer, over a connection that does what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.errors import DeadlineExceeded
from zmcache.peers.direct import AskThroughLoop, Direct

EPOCH = Epoch(3, 7)
Step = bytes | None | BaseException | Callable[[Any], bytes]


class Scripted:
    """A `BlockingConnection` that gives these one after the other; then nothing comes."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.sent: list[Any] = []
        self.held = self.closed = False
        self.connected = self.writable = True

    def hold_nowait(self) -> bool:
        if self.held or self.closed:
            return False
        self.held = True
        return True

    def let_go(self) -> None:
        assert self.held
        self.held = False

    def send_nowait(self, frame: bytes) -> bool:
        assert self.held
        if self.writable:
            self.sent.append(wire.decode(frame, wire.Limits()))
        return self.writable

    def receive(self) -> bytes | None:
        assert self.held
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, BaseException):
            raise step
        return step(self.sent[-1]) if callable(step) else step

    def is_connected(self) -> bool:
        return self.connected

    def close(self) -> None:
        self.closed = True


def answer(value: bytes, *, after: int = 0, epoch: Epoch = EPOCH) -> Callable[[Any], bytes]:
    def make(request: Any) -> bytes:
        head = (wire.VERSION, wire.ANSWER, request.request_id - after, 0, *epoch, 0, "")
        return wire.encode(wire.Answer(*head, None, bytes([wire.FROM_OWNER]), [value], [wire.FOREVER]))

    return make


def direct_over(connection: Scripted | None, *, in_doubt: bool = False) -> tuple[Direct, list[object]]:
    told: list[object] = []
    channel: Any = SimpleNamespace(
        epoch=EPOCH,
        limits=wire.Limits(),
        in_doubt=in_doubt,
        on_good_answer=lambda: told.append("good"),
        on_other_epoch=told.append,
        open_direct=lambda old: told.append("anew"),
    )
    loop: Any = SimpleNamespace(call_soon_threadsafe=lambda callback, *args: callback(*args))
    return Direct(channel, connection, loop), told


def ask(direct: Direct, *, deadline_s: float = 1e12, trace: str | None = None) -> Any:
    return direct.ask("items", "k", deadline_s, trace)


def test_the_answer_to_this_very_question_is_waited_for() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    connection = Scripted(None, answer(b"late", after=1), None, answer(b"mine"))
    direct, told = direct_over(connection)
    assert ask(direct, trace=trace).values == [b"mine"]
    (request,) = connection.sent
    assert (request.kind, request.group, request.keys, request.trace) == (wire.GET, "items", ["k"], trace)
    assert Epoch(request.revision, request.digest) == EPOCH
    assert not connection.held
    assert told == []


def test_where_it_is_held_closed_or_not_there_nothing_is_asked() -> None:
    connection = Scripted(answer(b"1"))
    direct, _ = direct_over(connection)
    connection.held = True
    assert ask(direct) is None
    connection.held = False
    direct.close()
    assert ask(direct) is None
    assert connection.sent == []
    assert ask(direct_over(None)[0]) is None


def test_a_connection_that_is_not_ready_is_replaced_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Scripted()
    connection.writable = False
    direct, told = direct_over(connection)
    assert ask(direct) is None
    assert told == []
    monkeypatch.setattr(direct, "_made_s", direct._made_s - 2)
    assert ask(direct) is None
    assert told == ["anew"]
    assert not connection.held


def test_what_was_asked_on_a_lost_connection_is_asked_through_the_loop() -> None:
    connection = Scripted(None)
    connection.connected = False
    direct, _ = direct_over(connection)
    with pytest.raises(AskThroughLoop):
        ask(direct)
    assert not connection.held


def test_an_answer_that_came_before_the_loss_counts() -> None:
    connection = Scripted(answer(b"1"))
    connection.connected = False
    assert ask(direct_over(connection)[0]).values == [b"1"]


def test_a_bad_frame_is_for_the_loop_to_judge() -> None:
    connection = Scripted(b"\xc1")
    with pytest.raises(AskThroughLoop):
        ask(direct_over(connection)[0])
    assert not connection.held


def test_a_bad_answer_to_another_question_is_dropped() -> None:
    def bad(request: Any) -> bytes:
        head = (wire.VERSION, wire.ANSWER, request.request_id - 1, 0, *EPOCH, 0, "")
        return wire.sealed(wire._pack((*head, "no positions", b"", [], [])))

    assert ask(direct_over(Scripted(bad, answer(b"mine")))[0]).values == [b"mine"]


@pytest.mark.parametrize("steps", [(), (answer(b"late", after=1), answer(b"late", after=1))])
def test_a_deadline_ends_it_whether_or_not_frames_come(steps: tuple[Step, ...]) -> None:
    connection = Scripted(*steps)
    with pytest.raises(DeadlineExceeded):
        ask(direct_over(connection)[0], deadline_s=0.0)
    assert not connection.held


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interruption_tells_the_node_and_leaves_it_usable(interruption: BaseException) -> None:
    connection = Scripted(interruption, answer(b"late", after=1), answer(b"mine"))
    direct, _ = direct_over(connection)
    with pytest.raises(type(interruption)):
        ask(direct)
    get, cancel = connection.sent
    assert (cancel.kind, cancel.request_id, cancel.positions) == (wire.CANCEL, get.request_id, None)
    assert ask(direct).values == [b"mine"]


def test_another_epoch_is_told_to_the_loop() -> None:
    direct, told = direct_over(Scripted(answer(b"1", epoch=Epoch(4, 9))))
    assert ask(direct).values == [b"1"]
    assert told == [Epoch(4, 9)]


def test_an_answer_that_can_be_read_ends_the_doubt_about_a_peer_and_nothing_else_does() -> None:
    def pong(request: Any) -> bytes:
        return wire.encode(wire.Query(wire.VERSION, wire.PONG, request.request_id, 0, *EPOCH, 0, ""))

    direct, told = direct_over(Scripted(answer(b"1"), pong), in_doubt=True)
    assert ask(direct).values == [b"1"]
    assert told == ["good"]
    assert ask(direct).kind == wire.PONG
    assert told == ["good"]
