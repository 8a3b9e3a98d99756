"""What one turn of the event loop asks of one peer and group, as one message, and which of it has been answered.

A batch is filled while it is ``open``, sent once by its channel, and answered in one or several pieces, each naming the positions it
fills. It carries the latest deadline of its requests; the callers expire on their own side. Costs per key are two list appends; everything
else is per batch.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, Protocol

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.errors import DeadlineExceeded, OutcomeUnknown, PeerUnavailable, ProtocolError, ZmcacheError

if TYPE_CHECKING:
    from zmcache.peers.channel import Channel

_LATE_S: Final = 1.0
_NO_ERRORS: Final = bytes(range(wire.FIRST_ERROR))


class Consumer(Protocol):
    """Who opened a batch, and hears how it went."""

    def on_answer(self, batch: Batch, answer: wire.Answer) -> None:
        """Some positions of the batch are answered; `Batch.fill` yields them."""

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """The positions that `Batch.unfilled` yields will not be answered."""


class Batch:
    """Requests of one kind for one group to one peer. ``sinks`` are the consumer's own, one a key; None once filled."""

    __slots__ = (
        "_full_at", "attempt", "bucket", "bytes", "changes", "channel", "consumer", "deadline_s", "flags", "group", "has_tags", "in_flight", "kept",
        "keys", "kind", "looked", "open", "opened_s", "request_id", "sent", "served", "sinks", "trace", "unanswered",
    )  # fmt: skip

    def __init__(
        self,
        channel: Channel,
        consumer: Consumer,
        kind: int,
        group: str,
        *,
        flags: int,
        attempt: int,
        now_s: float,
        full_at: int,
    ) -> None:
        """``full_at``: with so many keys it is sent at once."""
        self.channel = channel
        self.consumer = consumer
        self.kind = kind
        self.group = group
        self.flags = flags
        self.attempt = attempt
        self._full_at = full_at
        self.opened_s = now_s
        self.deadline_s = now_s
        self.keys: list[str] = []
        self.sinks: list[Any] = []
        self.changes: list[wire.Change] = []
        self.kept: dict[int, None] | None = None
        """The positions (a set, in order) of which the asker keeps copies: the peer is to tell when they are old. None: there are none."""
        self.trace: str | None = None
        """The traceparent of all that is in it."""
        self.bucket = 0
        self.bytes = 0
        self.has_tags = False
        self.in_flight: int | None = None
        """For `zmcache.peers.flow`: how many of its keys count."""
        self.open = True
        self.request_id = 0
        self.unanswered = 0
        self.sent = False
        """Whether the peer may have carried it out."""
        self.looked: set[int] = set()
        """The positions that were asked of others, too (`zmcache.peers.looking`)."""
        self.served = False
        """Whether any of it was answered with anything but `Busy`."""

    def add(self, key: str, sink: object, deadline_s: float) -> None:
        """One more GET."""
        self.keys.append(key)
        self.sinks.append(sink)
        if deadline_s > self.deadline_s:
            self.deadline_s = deadline_s
        if len(self.keys) >= self._full_at:
            self.open = False
            self.channel.flush()

    def keep_next(self) -> None:
        """A copy of the next one is kept."""
        if self.kept is None:
            self.kept = {}
        self.kept[len(self.keys)] = None

    def fill_up(self, keys: list[str], deadline_s: float) -> None:
        """GETs of these keys and no others: as many as a message may hold, sent at once, so that the peer works on them while this turn goes
        on. The consumer puts ``sinks`` in place before it lets `fill` or `unfilled` look at them.
        """
        self.keys = keys
        self.deadline_s = deadline_s
        self.open = False
        self.channel.flush()

    def add_change(self, change: wire.Change, sink: object, deadline_s: float) -> None:
        """One more request of another kind."""
        self.changes.append(change)
        self.bytes += len(change.value or b"") + 4 * len(change.key) + wire.ROW_OVERHEAD_BYTES
        if change.tags:
            # Once for this one, and once for the next, which has to fit, too.
            self.has_tags = True
            self.bytes += 8 * len(change.tags)
        self.add(change.key, sink, deadline_s)
        limits = self.channel.limits
        if self.bytes + limits.value_bytes + 4 * limits.key_bytes > limits.message_bytes:
            self.open = False

    def is_whole(self, answer: wire.Answer) -> bool:
        """Whether this answer fills every position, in order, none was filled before, and none with an error."""
        return (
            answer.positions is None
            and self.unanswered == len(self.keys) == len(answer.statuses)
            and not answer.statuses.translate(None, _NO_ERRORS)
        )

    def fill(self, answer: wire.Answer) -> list[tuple[Any, int, Any, int, int]]:
        """(sink, status, value, life in ms, token) of each position that this answer fills for the first time."""
        rows: list[tuple[Any, int, Any, int, int]] = []
        positions = range(len(self.keys)) if answer.positions is None else answer.positions
        tokens = answer.versions or repeat(0)
        for position, status, value, life_ms, token in zip(
            positions, answer.statuses, answer.values, answer.lives_ms, tokens, strict=False
        ):
            sink = self.sinks[position] if position < len(self.sinks) else None
            if sink is not None:
                rows.append((sink, status, value, life_ms, token))
                self.sinks[position] = None
        self.unanswered -= len(rows)
        return rows

    def unfilled(self) -> list[Any]:
        """The sinks of the positions without an answer; they count as filled from now on."""
        sinks = [sink for sink in self.sinks if sink is not None]
        self.sinks = [None] * len(self.keys)
        self.unanswered = 0
        return sinks

    def open_positions(self) -> list[int]:
        """Those without an answer."""
        if self.unanswered == len(self.keys):
            return list(range(len(self.keys)))
        return [at for at, sink in enumerate(self.sinks) if sink is not None]

    def forgo(self, sinks: list[Any]) -> list[int]:
        """Nobody waits for these any more. The positions that the peer need not answer; they count as filled."""
        gone = set(map(id, sinks))
        positions = [at for at, sink in enumerate(self.sinks) if id(sink) in gone]
        # A lease that is granted all the same has to be given back: its answer is still looked at.
        if self.kind != wire.FILL:
            for at in positions:
                self.sinks[at] = None
            self.unanswered -= len(positions)
        return positions

    @property
    def ends_s(self) -> float:
        """When nothing more is expected. A lease that is granted too late for its asker has to be given back, or all others would wait for its
        end: so its answer is awaited for longer than its asker waits.
        """
        return self.deadline_s + _LATE_S if self.kind == wire.FILL else self.deadline_s

    def expire(self) -> None:
        """The batch has ended."""
        if self.unanswered:
            self.channel.give_up(self, DeadlineExceeded("no answer within the deadline"))

    def encode(self, epoch: Epoch, now_s: float) -> bytes:
        """The frame."""
        header = wire.header(
            self.kind,
            self.request_id,
            epoch,
            deadline_ms=remaining_ms(self.deadline_s, now_s),
            flags=self.flags | wire.KEEPS if self.kept else self.flags,
            group=self.group,
        )
        if self.kind == wire.GET:
            return wire.encode(wire.Get(*header, self.keys, self.trace, list(self.kept) if self.kept else None))
        if self.kind == wire.DELETE:
            return wire.encode(wire.Delete(*header, self.keys))
        changes = self.changes
        ttls_ms = [change.ttl_ms for change in changes]
        tags = [change.tags for change in changes] if self.has_tags else None
        if self.kind == wire.SET:
            values = [change.value or b"" for change in changes]
            flags = [wire.NONE_FLAG * (change.value is None) for change in changes]
            return wire.encode(wire.Set(*header, self.keys, values, ttls_ms, flags if any(flags) else None, None, tags))
        if self.kind == wire.COPY:
            return wire.encode(copies_message(header, changes))
        times = (None, None, None)
        if self.kind == wire.PUT:
            times = tuple(map(list, zip(*[(c.stale_ms, c.error_ms, c.took_ms) for c in changes], strict=True)))  # type: ignore[assignment]
        return wire.encode(
            wire.Changes(
                *header,
                self.keys,
                [c.value for c in changes],
                ttls_ms,
                [c.token for c in changes],
                *times,
                self.trace,
                tags=tags,
            )
        )


def copies_message(header: wire.Header, copies: list[wire.Change]) -> wire.Changes:
    """A COPY of so many keys; columns that none of them needs are left out."""
    stale_ms, took_ms = [copy.stale_ms for copy in copies], [copy.took_ms for copy in copies]
    fresh_ms, flags = [copy.fresh_ms for copy in copies], [copy.flags for copy in copies]
    tags = [copy.tags for copy in copies]
    return wire.Changes(
        *header,
        [copy.key for copy in copies],
        [copy.value for copy in copies],
        [copy.ttl_ms for copy in copies],
        [copy.token for copy in copies],
        stale_ms if any(stale_ms) else None,
        None,
        took_ms if any(took_ms) else None,
        None,
        fresh_ms if any(fresh != wire.FOREVER for fresh in fresh_ms) else None,
        flags if any(flags) else None,
        tags if any(tags) else None,
        [copy.stamp for copy in copies] if any(tags) else None,
    )


def remaining_ms(deadline_s: float, now_s: float) -> int:
    """What is left until a deadline, as it stands in a header."""
    return min(max(0, int((deadline_s - now_s) * 1000)), wire.MAX_DEADLINE_MS)


def undone(batch: Batch, error: ZmcacheError) -> ZmcacheError:
    """What a batch's failure is for its callers: `OutcomeUnknown` where it may have been carried out, and must not be twice."""
    if (
        batch.sent
        and batch.kind in wire.ONCE_ONLY
        and isinstance(error, (PeerUnavailable, DeadlineExceeded, ProtocolError))
    ):
        unknown = OutcomeUnknown(f"it may have been done, and may not: {error}")
        unknown.__cause__ = error
        return unknown
    return error
