"""One peer: requests batched by the turn of the event loop, matched with their answers, failed when the peer is gone.

What one turn asks of one peer and group travels in one message, or in several where it is much. A batch is opened by the first request
of the turn, and sent by a callback at its end or when it is full (`zmcache.peers.batch`). What else may keep it from going at once
stands in `zmcache.peers.outgoing`.

A request in flight when the peer goes down has no answer coming, so all of them fail at that moment and can be asked elsewhere.
Which states there are, and what a batch meets in them, stands in `zmcache.peers.health`, which also tells a slow load from a hung peer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.deadlines import Deadlines
from zmcache.errors import (
    Busy,
    ConfigError,
    DeadlineExceeded,
    LifecycleError,
    PeerUnavailable,
    ProtocolError,
    RequestError,
    ZmcacheError,
    from_code,
)
from zmcache.peers.batch import Batch, Consumer, remaining_ms
from zmcache.peers.direct import Direct
from zmcache.peers.flow import WAITING_TIMES, Flow
from zmcache.peers.health import State
from zmcache.peers.link import Link
from zmcache.peers.outgoing import Outgoing
from zmcache.peers.pauses import Pauses
from zmcache.peers.trust import JUDGED_AFTER_S, Trust
from zmcache.transport.base import Transport

LATE_S: Final = 0.19
"""A ping that is out for so long tells that what is asked now takes as long. A little less than half a beat: that is when it is looked at, and a
timer of uvloop's may be early by a millisecond.
"""

__all__ = ["Channel", "State"]

_log = logging.getLogger("zmcache.peers")


def of_another_loop() -> LifecycleError:
    """To be raised where a loop uses what is another's."""
    return LifecycleError("this belongs to another event loop, or to the process before a fork; make one in each")


class Channel(Link):
    """The way to one peer. Opens its connection when it is first needed."""

    def __init__(
        self,
        name: str,
        endpoint: str,
        transport: Transport,
        limits: wire.Limits,
        deadlines: Deadlines,
        on_epoch: Callable[[Channel, Epoch], None],
        on_back: Callable[[Channel], None],
        clock: Callable[[], float],
        *,
        ran_s: Callable[[], float] | None = None,
        pauses: Pauses | None = None,
        on_state: Callable[[Channel], None] = lambda _: None,
    ) -> None:
        """``on_epoch``: an answer carries another epoch than this node's. ``on_back``: the peer is used again, after it was not. ``ran_s``:
        see `Link`; None: as the clock says. ``pauses``: back off from the peer when it is busy, as clients do; nodes do not. ``on_state``: told each
        state.
        """
        super().__init__(name, endpoint, transport, clock, ran_s or clock)
        self.limits = limits
        self.strays = 0
        self.garbage = 0
        self.failures = 0
        self._deadlines = deadlines
        self._on_epoch = on_epoch
        self._on_back = on_back
        self._on_state = on_state
        self._pauses = pauses
        self.keys_that_fit = min(
            limits.keys,
            limits.inflight_requests,
            max(1, limits.message_bytes // (limits.key_bytes + wire.ROW_OVERHEAD_BYTES) - 1),
        )
        """So many keys fit one message, however long they are."""
        self._flow = Flow(limits, waiting_bytes=(1 if pauses is None else WAITING_TIMES) * limits.inflight_bytes)
        self._outgoing = Outgoing(self, self._flow, deadlines, clock, self._loop, pauses)
        self._pending: dict[int, Batch | asyncio.Future[wire.Reply]] = {}
        self._trust = Trust()
        self.direct: Direct | None = None
        """For threads; None until one wishes for it (`open_direct`), and whenever the peer is not up."""
        self._forgone: dict[Batch, list[object]] = {}
        self.on_news: Callable[[wire.News], None] | None = None
        """Told what comes without having been asked for."""
        self.on_lost: Callable[[], None] | None = None
        """Told when the peer is not up any more."""

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """By the clock of its deadlines."""
        return self._clock()

    @property
    def collecting(self) -> bool:
        """Whether a batch of this turn is still open here."""
        return self._outgoing.collecting

    @property
    def inflight(self) -> int:
        """Batches and queries that wait for an answer."""
        return len(self._pending) + len(self._outgoing.kept)

    def open_batch(self, consumer: Consumer, kind: int, group: str, *, flags: int = 0, attempt: int = 0) -> Batch:
        """A batch that is sent at the end of this turn of the loop; add to it while it is ``open``.

        Raises `LifecycleError` in any other event loop: sockets and timers are not served there. A batch is where that costs least.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise of_another_loop()
        full_at = min(self.keys_that_fit, self._outgoing.full_at())
        batch = Batch(self, consumer, kind, group, flags=flags, attempt=attempt, now_s=self._clock(), full_at=full_at)
        self._outgoing.collect(batch)
        return batch

    def query(
        self,
        kind: int,
        deadline_s: float,
        group: str = "",
        *,
        flags: int = 0,
        make: Callable[[wire.Header], wire.Message] = lambda header: wire.Query(*header),
    ) -> asyncio.Future[wire.Reply]:
        """Send one message by itself, such as PING, or whatever ``make`` makes of its header. The future ends by the deadline at the latest,
        with the first answer that comes.
        """
        future: asyncio.Future[wire.Reply] = self._loop.create_future()
        self.connect()
        if not self.is_reachable:
            future.set_exception(self.unavailable())
            return future
        if len(self._pending) > 2 * self.limits.inflight_requests:
            future.set_exception(Busy(f"too much is in flight to {self.name}"))
            return future
        self._next_id += 1
        request_id = self._next_id
        self._pending[request_id] = future

        def expire() -> None:
            self._pending.pop(request_id, None)
            if not future.done():
                future.set_exception(DeadlineExceeded(f"no answer from {self._where} within the deadline"))

        self._deadlines.add(deadline_s, expire)

        def send() -> None:
            if future.done():
                return
            if self.is_connected and self._connection is not None:
                deadline_ms = remaining_ms(deadline_s, self._clock())
                header = wire.header(kind, request_id, self.epoch, deadline_ms=deadline_ms, flags=flags, group=group)
                if self._connection.send_nowait(wire.encode(make(header))):
                    return
            self._loop.call_later(0.01, send)

        send()
        return future

    def tell(self, kind: int, group: str, make: Callable[[wire.Header], wire.Message]) -> None:
        """Send one message that has no answer; it is lost where the peer cannot be reached just now."""
        if self.is_connected and self._connection is not None:
            self._next_id += 1
            self._connection.send_nowait(wire.encode(make(wire.header(kind, self._next_id, self.epoch, group=group))))

    def flush(self) -> None:
        """Send what this turn has collected so far."""
        self._outgoing.flush()

    # -- for what is to be sent: see `zmcache.peers.outgoing.Way` --------------------------------------------------

    def unavailable(self) -> PeerUnavailable:
        """Why nothing can be asked of the peer."""
        return PeerUnavailable(f"{self._where} is {self.state.value}", peer=self.name)

    def send(self, batch: Batch) -> bool:
        """False when it has to wait for `on_writable`. There is room for it."""
        assert self._connection is not None
        self._next_id += 1
        batch.request_id = self._next_id
        try:
            if not self._connection.send_nowait(batch.encode(self.epoch, self._clock())):
                return False
        except ProtocolError as error:
            # Larger than the transport takes: no batch behind it may suffer for that.
            self.give_up(batch, error)
            return True
        except Exception as error:  # whatever it is, the batches of others that stand behind this one are to go out
            self.give_up(batch, ProtocolError(f"cannot be sent: {type(error).__name__}: {error}"))
            return True
        self._pending[batch.request_id] = batch
        self._flow.sent(batch)
        batch.sent = True
        return True

    def give_up(self, batch: Batch, error: ZmcacheError) -> None:
        """End a batch without the rest of its answers."""
        self._forget(batch)
        self.failures += 1
        batch.consumer.on_failure(batch, error)

    # -- what becomes of it ----------------------------------------------------------------------------------------

    @property
    def is_late(self) -> bool:
        """Whether what waits there may well be answered sooner by another, though the peer is in use."""
        return self.usable and (not self.preferred or self._pulse.waits_s(self._ran_s()) >= LATE_S)

    def probe(self) -> None:
        """Between two beats: where somebody waits, a ping need not wait for the next one. So what hangs is known to be late half a beat later,
        whenever it was asked.
        """
        if self.is_connected and self._pending:
            self._ping(self._ran_s(), between_beats=True)

    def unanswered_gets(self) -> list[Batch]:
        """Those that wait for an answer, or to be sent."""
        batches = [batch for batch in self._pending.values() if isinstance(batch, Batch)]
        return [batch for batch in (*batches, *self._flow.waiting) if batch.kind == wire.GET]

    def fill_in(self, batch: Batch, answer: wire.Answer) -> None:
        """Another has answered some of it. No effect where it has ended."""
        sent = self._pending.get(batch.request_id) is batch
        if sent or batch in self._flow.waiting:
            batch.consumer.on_answer(batch, answer)
            if sent and answer.positions:
                self._tell_cancelled(batch, answer.positions)
            self._settle(batch)

    def forgo(self, batch: Batch, sink: object) -> None:
        """Nobody waits for this of a batch's sinks: the peer is told, at the end of the turn, and may drop the work."""
        if not self._forgone:
            self._loop.call_soon(self._cancel)
        self._forgone.setdefault(batch, []).append(sink)

    def _cancel(self) -> None:
        # After the flush of this turn, which was planned before: nothing here is still open.
        forgone, self._forgone = self._forgone, {}
        for batch, sinks in forgone.items():
            if not batch.unanswered:
                continue
            positions = batch.forgo(sinks)
            if self._pending.get(batch.request_id) is batch and positions:
                self._tell_cancelled(batch, positions)
            self._settle(batch)

    def _tell_cancelled(self, batch: Batch, positions: list[int]) -> None:
        if self._connection is not None:
            header = wire.header(wire.CANCEL, batch.request_id, self.epoch, group=batch.group)
            whole = None if len(positions) == len(batch.keys) else positions
            # Not sent, where the connection is full: then the peer works for nobody, until the deadline.
            self._connection.send_nowait(wire.encode(wire.Cancel(*header, whole)))

    def _settle(self, batch: Batch) -> None:
        """Some of its keys are not awaited any more, or none is."""
        if not batch.unanswered:
            self._forget(batch)
        else:
            self._outgoing.answered(batch)

    def _forget(self, batch: Batch) -> None:
        self._pending.pop(batch.request_id, None)
        self._outgoing.ended(batch)

    # -- the connection --------------------------------------------------------------------------------------------

    def _become(self, state: State) -> None:
        super()._become(state)
        self._on_state(self)
        if self.direct is not None and state is not State.UP:
            self.direct.close()
            self.direct = None
        if self.on_lost is not None and state is not State.UP:
            self.on_lost()

    def open_direct(self, old: Direct | None = None) -> None:
        """Make a direct way to the peer, in the place of ``old``: no effect where another is there by now, or the peer is not up."""
        if self.state is not State.UP or self.direct is not old:
            return
        if old is not None:
            old.close()
        connection = None
        try:
            connection = self._transport.connect_blocking(self.endpoint)
        except ConfigError as error:
            _log.debug("no second connection to %s: %s", self._where, error)
        self.direct = Direct(self, connection, self._loop)

    @property
    def in_doubt(self) -> bool:
        """Whether it makes a difference to say that an answer could be read."""
        return self._trust.in_doubt

    def on_good_answer(self) -> None:
        """One that was asked for past the loop could be read: where threads ask one by one, none may come to the loop for long."""
        self._trust.good()

    def on_other_epoch(self, epoch: Epoch) -> None:
        """An answer carried another epoch than this channel's."""
        self._on_epoch(self, epoch)

    def _begin_anew(self) -> None:
        self._trust = Trust()

    def _is_back(self) -> None:
        self._on_back(self)

    def _may_be_used(self) -> bool:
        return self._trust.may_be_asked(self._clock())

    def on_writable(self) -> None:
        """From the transport."""
        self._outgoing.send_waiting()

    def on_frame(self, frame: bytes) -> None:
        """From the transport."""
        try:
            reply = wire.decode(frame, self.limits)
        except wire.BadFrame as error:
            if error.request_id is not None:
                self._fail(error.request_id, error)
            # Of more than we take nobody is to blame; it is no garbage.
            self._garbled(error, blame=not isinstance(error.__cause__, RequestError))
            return
        # Only now: what hangs may still send bytes, and a stranger at that address may send any.
        self._hear(is_pong=reply.kind == wire.PONG)
        waiting = self._pending.get(reply.request_id)
        if isinstance(waiting, Batch):
            self._answer_batch(waiting, reply)
        elif isinstance(reply, wire.News) and waiting is None:
            if self.on_news is not None:
                self.on_news(reply)
        elif waiting is None:
            # A pong to a ping of `beat`, or an answer that came too late.
            if reply.kind != wire.PONG or not self._pulse.ponged(reply.request_id, self._ran_s()):
                self.strays += 1
        else:
            del self._pending[reply.request_id]
            if self._trust.in_doubt:
                self._trust.good()
            if waiting.done():
                return
            if isinstance(reply, wire.Refusal):
                waiting.set_exception(from_code(reply.code, reply.message))
            else:
                waiting.set_result(reply)  # type: ignore[arg-type]  # requests never come this way; a wrong kind is the asker's to refuse
        if reply.revision != self.epoch.revision or reply.digest != self.epoch.digest:
            self.on_other_epoch(Epoch(reply.revision, reply.digest))

    def _answer_batch(self, batch: Batch, reply: wire.Message) -> None:
        if self._pauses is not None:
            self._note(self._pauses, batch, reply)
        if isinstance(reply, wire.Answer):
            batch.consumer.on_answer(batch, reply)
            self._settle(batch)
        elif isinstance(reply, wire.Refusal):
            batch.sent = False  # it says itself that nothing was done
            self.give_up(batch, from_code(reply.code, reply.message))
        else:
            error = ProtocolError(f"{self.name} answered with kind {reply.kind}")
            self.give_up(batch, error)
            self._garbled(error)
            return
        if self._trust.in_doubt:
            self._trust.good()

    def _note(self, pauses: Pauses, batch: Batch, reply: wire.Message) -> None:
        """Whether the peer is busy. About 0.1 us where it is not."""
        if isinstance(reply, wire.Answer):
            refused = Busy.code in reply.statuses and reply.statuses.count(Busy.code) == len(reply.statuses)
        else:
            refused = isinstance(reply, wire.Refusal) and reply.code == Busy.code
        if not refused:
            batch.served = True
            if pauses:
                pauses.served((batch.group, batch.kind))
        elif not batch.served:
            pauses.refused((batch.group, batch.kind), batch.opened_s, self._clock())

    def _garbled(self, error: ProtocolError, *, blame: bool = True) -> None:
        self.garbage += 1
        _log.debug("a bad frame from %s: %s", self.name, error)
        if blame and self.state is State.UP and self._trust.bad():
            self._loop.call_later(JUDGED_AFTER_S, self._judge, str(error))

    def _judge(self, what: str) -> None:
        if self.state is State.UP and self._trust.judge(self._clock()):
            self._suspect(f"sends what cannot be read: {what}")

    def _fail(self, request_id: int, error: ZmcacheError) -> None:
        waiting = self._pending.pop(request_id, None)
        if isinstance(waiting, Batch):
            self.give_up(waiting, error)
        elif waiting is not None and not waiting.done():
            waiting.set_exception(error)

    def _fail_all(self, error: ZmcacheError) -> None:
        pending, self._pending = self._pending, {}
        for waiting in [*pending.values(), *self._outgoing.kept]:
            if isinstance(waiting, Batch):
                self.give_up(waiting, error)
            elif not waiting.done():
                waiting.set_exception(error)
