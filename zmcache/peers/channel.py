"""One peer: requests batched by the turn of the event loop, matched with their answers, failed when the peer is gone.

What one turn asks of one peer and group travels in one message. A batch is opened by the first request of the turn and sent by a
callback at its end; it carries the latest deadline of its requests, and the callers expire on their own side. Costs per key are
two list appends here; everything else is per batch.

States, and what a batch meets in them:

    new, connecting   it waits, bounded, for the first attempt to end
    up                it is sent
    down              it fails at once with `PeerUnavailable`; the transport goes on reconnecting
    suspect           connected, but the peer's loop has not answered pings: as down, until a frame comes
    closed            it fails

A request in flight when the peer goes down has no answer coming, so all of them fail at that moment and can be asked elsewhere.
Whether a slow answer is a slow load or a hung peer is told apart by pings through the peer's loop (`beat`): silence counts in
beats of our own loop, so a loop of ours that stood still does not take its peers for dead.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.deadlines import Deadlines
from zmcache.errors import Busy, ConfigError, DeadlineExceeded, PeerUnavailable, ProtocolError, ZmcacheError, from_code
from zmcache.transport.base import Connection, Transport

BEAT_S: Final = 0.4
# Three unanswered beats and the one in which the ping was sent: a hung peer is out of use 1.6 s after its last word.
MISSED_BEATS: Final = 3
# An entry of an answer is larger than its value by about this much on the wire.
ENTRY_OVERHEAD_BYTES: Final = 32

_log = logging.getLogger("zmcache.peers")


class State(enum.Enum):
    """See the module's docstring."""

    NEW = "new"
    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"
    SUSPECT = "suspect"
    CLOSED = "closed"


class Consumer(Protocol):
    """Who opened a batch, and hears how it went."""

    def on_answer(self, batch: Batch, answer: wire.Answer) -> None:
        """Some positions of the batch are answered; `Batch.fill` yields them."""

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """The positions that `Batch.unfilled` yields will not be answered."""


class Batch:
    """Requests of one kind for one group to one peer. ``sinks`` are the consumer's own, one a key; None once filled."""

    __slots__ = (
        "attempt", "bucket", "bytes", "channel", "consumer", "deadline_s", "flags", "group", "keys", "kind", "open",
        "opened_s", "request_id", "sinks", "ttls_ms", "unanswered", "values",
    )  # fmt: skip

    def __init__(
        self, channel: Channel, consumer: Consumer, kind: int, group: str, flags: int, attempt: int, now_s: float
    ) -> None:
        self.channel = channel
        self.consumer = consumer
        self.kind = kind
        self.group = group
        self.flags = flags
        self.attempt = attempt
        self.opened_s = now_s
        self.deadline_s = now_s
        self.keys: list[str] = []
        self.sinks: list[Any] = []
        self.values: list[bytes] = []
        self.ttls_ms: list[int] = []
        self.bucket = 0
        self.bytes = 0
        self.open = True
        self.request_id = 0
        self.unanswered = 0

    def add(self, key: str, sink: object, deadline_s: float) -> None:
        """One more GET or DELETE."""
        self.keys.append(key)
        self.sinks.append(sink)
        if deadline_s > self.deadline_s:
            self.deadline_s = deadline_s
        if len(self.keys) >= self.channel.limits.keys:
            self.open = False

    def extend(self, sinks: list[Any], deadline_s: float) -> list[Any]:
        """Many GETs at once, each sink a sequence that begins with its key; returns those that found no room."""
        room = self.channel.limits.keys - len(self.keys)
        taken, left = (sinks, []) if len(sinks) <= room else (sinks[:room], sinks[room:])
        self.keys += [sink[0] for sink in taken]
        self.sinks += taken
        self.deadline_s = max(self.deadline_s, deadline_s)
        self.open = len(self.keys) < self.channel.limits.keys
        return left

    def add_set(self, key: str, value: bytes, ttl_ms: int, sink: object, deadline_s: float) -> None:
        """One more SET."""
        self.values.append(value)
        self.ttls_ms.append(ttl_ms)
        self.bytes += len(value) + 4 * len(key) + ENTRY_OVERHEAD_BYTES
        self.add(key, sink, deadline_s)
        limits = self.channel.limits
        if self.bytes + limits.value_bytes + 4 * limits.key_bytes > limits.message_bytes:
            self.open = False

    def is_whole(self, answer: wire.Answer) -> bool:
        """Whether this answer fills every position, in order, none was filled before, and none with an error."""
        return (
            answer.positions is None
            and self.unanswered == len(self.keys) == len(answer.statuses)
            and max(answer.statuses) < wire.FIRST_ERROR
        )

    def fill(self, answer: wire.Answer) -> list[tuple[Any, int, Any, int]]:
        """(sink, status, value, life in ms) of each position that this answer fills for the first time."""
        rows: list[tuple[Any, int, Any, int]] = []
        positions = range(len(self.keys)) if answer.positions is None else answer.positions
        for position, status, value, life_ms in zip(
            positions, answer.statuses, answer.values, answer.lives_ms, strict=False
        ):
            sink = self.sinks[position] if position < len(self.sinks) else None
            if sink is not None:
                rows.append((sink, status, value, life_ms))
                self.sinks[position] = None
        self.unanswered -= len(rows)
        return rows

    def unfilled(self) -> list[Any]:
        """The sinks of the positions without an answer; they count as filled from now on."""
        sinks = [sink for sink in self.sinks if sink is not None]
        self.sinks = [None] * len(self.keys)
        self.unanswered = 0
        return sinks

    def expire(self) -> None:
        """The latest deadline of the batch has passed."""
        if self.unanswered:
            self.channel.give_up(self, DeadlineExceeded("no answer within the deadline"))

    def encode(self, epoch: Epoch, now_s: float) -> bytes:
        """The frame."""
        deadline_ms = min(max(0, int((self.deadline_s - now_s) * 1000)), wire.MAX_DEADLINE_MS)
        header = (
            wire.VERSION,
            self.kind,
            self.request_id,
            deadline_ms,
            epoch.revision,
            epoch.digest,
            self.flags,
            self.group,
        )
        if self.kind == wire.SET:
            return wire.encode(wire.Set(*header, self.keys, self.values, self.ttls_ms))
        return wire.encode((wire.Get if self.kind == wire.GET else wire.Delete)(*header, self.keys))


class Channel:
    """The way to one peer. Opens its connection when it is first needed."""

    def __init__(
        self,
        name: str,
        endpoint: str,
        transport: Transport,
        limits: wire.Limits,
        deadlines: Deadlines,
        on_epoch: Callable[[Channel, Epoch], None],
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.limits = limits
        self.state = State.NEW
        self.usable = True  # whether a batch has a chance now; an attribute, because every key's routing reads it
        self.epoch = Epoch(0, 0)
        self.strays = 0
        self.garbage = 0
        self.failures = 0
        self._transport = transport
        self._deadlines = deadlines
        self._on_epoch = on_epoch
        self._clock = clock
        self._where = endpoint if name == endpoint else f"{name} at {endpoint}"
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._outbox: list[Batch] = []
        self._backlog: deque[Batch] = deque()
        self._pending: dict[int, Batch | asyncio.Future[wire.Reply]] = {}
        self._inflight_keys = 0
        self._inflight_bytes = 0
        self._next_id = 0
        self._heard = self._ping_out = False
        self._missed = 0

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def collecting(self) -> bool:
        """Whether a batch of this turn is still open here."""
        return bool(self._outbox)

    @property
    def inflight(self) -> int:
        """Batches and queries that wait for an answer."""
        return len(self._pending) + len(self._backlog)

    def open_batch(self, consumer: Consumer, kind: int, group: str, *, flags: int = 0, attempt: int = 0) -> Batch:
        """A batch that is sent at the end of this turn of the loop; add to it while it is ``open``."""
        batch = Batch(self, consumer, kind, group, flags, attempt, self._clock())
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(batch)
        return batch

    def query(self, kind: int, deadline_s: float) -> asyncio.Future[wire.Reply]:
        """Send PING, TOPOLOGY or STATS. The future ends by the deadline at the latest."""
        future: asyncio.Future[wire.Reply] = self._loop.create_future()
        self._connect()
        if not self.usable:
            future.set_exception(PeerUnavailable(f"{self._where} is {self.state.value}", peer=self.name))
            return future
        self._next_id += 1
        request_id = self._next_id
        self._pending[request_id] = future

        def expire() -> None:
            self._pending.pop(request_id, None)
            if not future.done():
                future.set_exception(DeadlineExceeded(f"no answer from {self._where} within the deadline"))

        self._deadlines.add(deadline_s, expire)
        self._send_query(kind, request_id, deadline_s, future)
        return future

    def _send_query(self, kind: int, request_id: int, deadline_s: float, future: asyncio.Future[wire.Reply]) -> None:
        deadline_ms = min(max(0, int((deadline_s - self._clock()) * 1000)), wire.MAX_DEADLINE_MS)
        frame = wire.encode(wire.Query(wire.VERSION, kind, request_id, deadline_ms, *self.epoch, 0, ""))
        if future.done() or (
            self.state is State.UP and self._connection is not None and self._connection.send_nowait(frame)
        ):
            return
        self._loop.call_later(0.01, self._send_query, kind, request_id, deadline_s, future)

    def _flush(self) -> None:
        self._connect()
        outbox, self._outbox = self._outbox, []
        for batch in outbox:
            batch.open = False
            batch.unanswered = len(batch.keys)
            self._inflight_keys += batch.unanswered
            self._inflight_bytes += batch.bytes
            batch.bucket = self._deadlines.add(batch.deadline_s, batch.expire)
            if self._inflight_keys > self.limits.inflight_requests or self._inflight_bytes > self.limits.inflight_bytes:
                self.give_up(batch, Busy(f"too much is in flight to {self.name}"))
            elif not self.usable:
                self.give_up(batch, PeerUnavailable(f"{self._where} is {self.state.value}", peer=self.name))
            elif self.state is not State.UP or self._backlog or not self._send(batch):
                self._backlog.append(batch)

    def _send(self, batch: Batch) -> bool:
        """False when it has to wait for `on_writable`."""
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
        self._pending[batch.request_id] = batch
        return True

    def give_up(self, batch: Batch, error: ZmcacheError) -> None:
        """End a batch without the rest of its answers."""
        self._forget(batch)
        if batch in self._backlog:
            self._backlog.remove(batch)
        self.failures += 1
        batch.consumer.on_failure(batch, error)

    def _forget(self, batch: Batch) -> None:
        self._pending.pop(batch.request_id, None)
        # Or its keys and values would be kept until its deadline.
        self._deadlines.discard(batch.bucket, batch.expire)
        self._inflight_keys -= len(batch.keys)
        self._inflight_bytes -= batch.bytes

    def _become(self, state: State) -> None:
        self.state = state
        self.usable = state is State.UP or state is State.CONNECTING

    # -- the connection --------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        if self.state is State.NEW:
            self._become(State.CONNECTING)
            try:
                self._connection = self._transport.connect(self.endpoint, self)
            except ConfigError as error:
                # Somebody registered what is no address: for the callers, a peer that cannot be reached.
                _log.warning("%s cannot be reached: %s", self.name, error)
                self._become(State.DOWN)

    def on_connected(self) -> None:
        """From the transport."""
        if self.state is State.CLOSED:
            return
        self._become(State.UP)
        self._heard, self._ping_out, self._missed = True, False, 0
        self.on_writable()

    def on_writable(self) -> None:
        """From the transport."""
        while self._backlog and self.state is State.UP:
            batch = self._backlog[0]
            if not self._send(batch):
                return
            self._backlog.popleft()

    def on_disconnected(self, reason: str) -> None:
        """From the transport."""
        if self.state is not State.CLOSED:
            if self.state is State.UP or self.state is State.SUSPECT:
                _log.warning("%s is gone: %s", self._where, reason)
            self._become(State.DOWN)
            self._fail_all(PeerUnavailable(f"{self._where}: {reason}", peer=self.name))

    def on_frame(self, frame: bytes) -> None:
        """From the transport."""
        self._heard = True
        if self.state is State.SUSPECT:
            _log.warning("%s answers again", self._where)
            self._become(State.UP)
        try:
            reply = wire.decode(frame, self.limits)
        except wire.BadFrame as error:
            self.garbage += 1
            _log.debug("a bad frame from %s: %s", self.name, error)
            if error.request_id is not None:
                self._fail(error.request_id, error)
            return
        waiting = self._pending.get(reply.request_id)
        if isinstance(waiting, Batch):
            self._answer_batch(waiting, reply)
        elif waiting is None:
            # A pong to a ping that no one waits for, or an answer that came too late.
            self._ping_out = self._ping_out and reply.kind != wire.PONG
            self.strays += reply.kind != wire.PONG
        else:
            del self._pending[reply.request_id]
            if waiting.done():
                return
            if isinstance(reply, wire.Refusal):
                waiting.set_exception(from_code(reply.code, reply.message))
            else:
                waiting.set_result(reply)  # type: ignore[arg-type]  # requests never come this way; a wrong kind is the asker's to refuse
        if reply.revision != self.epoch.revision or reply.digest != self.epoch.digest:
            self._on_epoch(self, Epoch(reply.revision, reply.digest))

    def _answer_batch(self, batch: Batch, reply: wire.Message) -> None:
        if isinstance(reply, wire.Answer):
            batch.consumer.on_answer(batch, reply)
            if not batch.unanswered:
                self._forget(batch)
        elif isinstance(reply, wire.Refusal):
            self.give_up(batch, from_code(reply.code, reply.message))
        else:
            self.garbage += 1
            self.give_up(batch, ProtocolError(f"{self.name} answered with kind {reply.kind}"))

    def _fail(self, request_id: int, error: ZmcacheError) -> None:
        waiting = self._pending.pop(request_id, None)
        if isinstance(waiting, Batch):
            self.give_up(waiting, error)
        elif waiting is not None and not waiting.done():
            waiting.set_exception(error)

    def _fail_all(self, error: ZmcacheError) -> None:
        pending, self._pending = self._pending, {}
        backlog, self._backlog = self._backlog, deque()
        for waiting in [*pending.values(), *backlog]:
            if isinstance(waiting, Batch):
                self.give_up(waiting, error)
            elif not waiting.done():
                waiting.set_exception(error)

    # -- health ----------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Called every `BEAT_S`: count the beats of silence and ping, in use or not, so that a hung peer is known before it is needed."""
        if self.state is State.CONNECTING:
            # A stopped process still accepts connections, in its kernel, and then says nothing.
            self._missed += 1
            if self._missed > MISSED_BEATS:
                self.on_disconnected("no answer to the handshake")
            return
        if self.state is not State.UP and self.state is not State.SUSPECT:
            return
        if self._heard:
            self._missed = 0
            self._ping_out = False
        elif self._ping_out:
            self._missed += 1
            if self._missed == MISSED_BEATS and self.state is State.UP:
                _log.warning("%s does not answer pings", self._where)
                self._become(State.SUSPECT)
                self._fail_all(PeerUnavailable(f"{self._where} does not answer pings", peer=self.name))
        self._heard = False
        if not self._ping_out:
            self._next_id += 1
            ping = wire.encode(wire.Query(wire.VERSION, wire.PING, self._next_id, 0, *self.epoch, 0, ""))
            self._ping_out = self._connection is not None and self._connection.send_nowait(ping)

    def close(self) -> None:
        """Close the connection; what is under way fails."""
        if self.state is State.CLOSED:
            return
        self._become(State.CLOSED)
        if self._connection is not None:
            self._connection.close()
        self._fail_all(PeerUnavailable(f"{self.name} is not a member any more", peer=self.name))
