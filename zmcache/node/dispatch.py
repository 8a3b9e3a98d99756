"""Requests from the wire to answers on the wire. A hit is answered inside the drain callback that brought it; a miss costs no task.

Hits of a GET go out at once. Its misses join flights, and what has come by the end of a turn of the loop goes out together, under
the same request id, each answer naming the positions it fills. When the request's deadline passes, what is missing is given up:
nobody waits for it any more.

A frame that breaks a rule is counted and, where its request id could be read, refused; the next one is served as if nothing had been.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from zmcache.core import wire
from zmcache.core.flight import Flight, Outcome, Waiter
from zmcache.core.ring import Epoch
from zmcache.deadlines import Deadlines
from zmcache.errors import Busy, PeerUnavailable, ProtocolError, UnknownGroup, ZmcacheError
from zmcache.group import ABSENT, LocalGroup, hit

_log = logging.getLogger("zmcache.node")
_LOG_PAUSE_S = 5.0


class Desk(Protocol):
    """What the dispatcher needs of its node."""

    @property
    def epoch(self) -> Epoch:
        """That of the ring in use."""

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives the key to this node."""

    def members_answer(self, request_id: int) -> wire.Members:
        """The answer to TOPOLOGY."""

    def figures_answer(self, request_id: int) -> wire.Figures:
        """The answer to STATS."""


class Dispatcher:
    """Serves one listener's frames from a node's groups."""

    def __init__(
        self,
        desk: Desk,
        groups: Mapping[str, LocalGroup],
        limits: wire.Limits,
        deadlines: Deadlines,
        send: Callable[[bytes, bytes], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._groups = groups
        self._limits = limits
        self._deadlines = deadlines
        self._send = send
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._inflight: dict[bytes, int] = {}
        self._logged_s = -math.inf
        self.serving = False
        self.requests = 0
        self.forwarded = 0
        self.frames = 0
        self.bad_frames = 0
        self.refused = 0
        self.last_request_s = 0.0

    @property
    def late(self) -> int:
        """Keys that were asked for and are not answered yet."""
        return sum(self._inflight.values())

    def on_frame(self, peer: bytes, frame: bytes) -> None:
        """From the listener."""
        self.frames += 1
        try:
            request = wire.decode(frame, self._limits)
        except wire.BadFrame as error:
            self._refuse_frame(peer, error)
            return
        if not self.serving and request.kind != wire.PING:
            # Not `Busy`, which is an answer: this sends the asker on to the next node.
            self._refuse(peer, request.request_id, PeerUnavailable("the node is starting or stopping"))
        elif isinstance(request, wire.Get):
            self._get(peer, request)
        elif isinstance(request, (wire.Set, wire.Delete)):
            self._write(peer, request)
        elif request.kind == wire.PING:
            self._answer(peer, wire.Query(*wire.header(wire.PONG, request.request_id, self._desk.epoch)))
        elif request.kind == wire.TOPOLOGY:
            self._answer(peer, self._desk.members_answer(request.request_id))
        elif request.kind == wire.STATS:
            self._answer(peer, self._desk.figures_answer(request.request_id))
        else:
            self._refuse_frame(peer, wire.BadFrame(f"kind {request.kind} is an answer", request_id=request.request_id))

    def _refuse_frame(self, peer: bytes, error: wire.BadFrame) -> None:
        self.bad_frames += 1
        now_s = self._clock()
        if now_s - self._logged_s >= _LOG_PAUSE_S:
            self._logged_s = now_s
            _log.warning("a bad frame (%d so far): %s", self.bad_frames, error)
        if error.request_id is not None:
            cause = error.__cause__
            self._refuse(
                peer, error.request_id, cause if isinstance(cause, ZmcacheError) else ProtocolError(str(error))
            )

    def _refuse(self, peer: bytes, request_id: int, error: ZmcacheError) -> None:
        self.refused += 1
        header = wire.header(wire.REFUSAL, request_id, self._desk.epoch)
        self._answer(peer, wire.Refusal(*header, error.code, _text(error)))

    def _answer(self, peer: bytes, reply: wire.Reply) -> None:
        self._send(peer, wire.encode(reply))

    # -- keys ------------------------------------------------------------------------------------------------------

    def _group(self, peer: bytes, request: wire.Get | wire.Set | wire.Delete) -> LocalGroup | None:
        group = self._groups.get(request.group)
        if group is None:
            self._refuse(
                peer, request.request_id, UnknownGroup(f"there is no group {request.group[:64]!r} on this node")
            )
            return None
        count = len(request.keys)
        if request.flags & wire.FORWARDED:
            self.forwarded += count
        else:
            self.requests += count
        self.last_request_s = self._clock()
        return group

    def _get(self, peer: bytes, get: wire.Get) -> None:
        group = self._group(peer, get)
        if group is None:
            return
        now_s = self.last_request_s
        keys = get.keys
        values, expiries, from_hot = group.get_local(keys, now_s)
        if None in values or from_hot or ABSENT in values:
            self._get_mixed(peer, get, group, values, expiries, from_hot)
            return
        lives_ms = [wire.FOREVER if e == math.inf else int((e - now_s) * 1000) for e in expiries]
        self._send_rows(peer, get, None, bytes(len(keys)), values, lives_ms)

    def _get_mixed(
        self,
        peer: bytes,
        get: wire.Get,
        group: LocalGroup,
        values: list[bytes | None],
        expiries: list[float],
        from_hot: list[int],
    ) -> None:
        hot = set(from_hot)
        found: list[tuple[int, Outcome]] = []
        missing: list[int] = []
        for at, value in enumerate(values):
            if value is None:
                missing.append(at)
            else:
                found.append((at, hit(value, expiries[at], hot=at in hot)))
        if found:
            self._send_outcomes(peer, get, found)
        if missing:
            late = self._late(peer, get, len(missing))
            if late is None:
                return
            forwarded = bool(get.flags & wire.FORWARDED)
            for at in missing:
                waiter = late.waiter(at)
                late.flights.append((group.begin(get.keys[at], waiter, late.deadline_s, forwarded=forwarded), waiter))

    def _write(self, peer: bytes, request: wire.Set | wire.Delete) -> None:
        group = self._group(peer, request)
        if group is None:
            return
        late = self._late(peer, request, len(request.keys))
        if late is None:
            return
        forwarded = bool(request.flags & wire.FORWARDED)
        for at, key in enumerate(request.keys):
            value, ttl_ms = (request.values[at], request.ttls_ms[at]) if isinstance(request, wire.Set) else (b"", 0)
            group.write(request.kind, key, value, ttl_ms, late.deadline_s, late.waiter(at), forwarded=forwarded)
        # What was written here needs no further turn of the loop.
        late.flush()

    def _late(self, peer: bytes, request: wire.Get | wire.Set | wire.Delete, count: int) -> Late | None:
        inflight = self._inflight.get(peer, 0) + count
        if inflight > self._limits.inflight_requests:
            self._refuse(peer, request.request_id, Busy(f"{inflight} requests of one connection are in flight"))
            return None
        self._inflight[peer] = inflight
        late = Late(self, peer, request, count, self.last_request_s + request.deadline_ms / 1000)
        late.bucket = self._deadlines.add(late.deadline_s, late.expire)
        return late

    def forget(self, late: Late) -> None:
        """All of it is answered: keep neither its keys nor its values until its deadline."""
        self._deadlines.discard(late.bucket, late.expire)

    def settle(self, peer: bytes, count: int) -> None:
        """That many keys of a connection are answered or given up."""
        left = self._inflight[peer] - count
        if left:
            self._inflight[peer] = left
        else:
            del self._inflight[peer]

    def call_soon(self, callback: Callable[[], None]) -> None:
        """At the end of this turn of the loop."""
        self._loop.call_soon(callback)

    def _send_outcomes(
        self, peer: bytes, request: wire.Get | wire.Set | wire.Delete, outcomes: list[tuple[int, Outcome]]
    ) -> None:
        now_s = self._clock()
        self._send_rows(
            peer,
            request,
            [at for at, _ in outcomes],
            bytes(outcome.status for _, outcome in outcomes),
            [outcome.value if outcome.error is None else _text(outcome.error) for _, outcome in outcomes],
            [
                wire.FOREVER if outcome.expires_at_s == math.inf else max(0, int((outcome.expires_at_s - now_s) * 1000))
                for _, outcome in outcomes
            ],
        )

    def _send_rows(
        self,
        peer: bytes,
        request: wire.Get | wire.Set | wire.Delete,
        positions: list[int] | None,
        statuses: bytes,
        values: Sequence[bytes | str | None],
        lives_ms: list[int],
    ) -> None:
        """One answer, or as many as keep each within the message limit."""
        epoch = self._desk.epoch
        flags = 0
        if request.revision != epoch.revision or request.digest != epoch.digest:
            is_ours = self._desk.is_ours
            if not all(is_ours(key) for key in request.keys):
                flags = wire.NOT_OWNER
        header = wire.header(wire.ANSWER, request.request_id, epoch, flags=flags)
        room = self._limits.message_bytes - 1024
        if sum(map(len, filter(None, values))) + wire.ROW_OVERHEAD_BYTES * len(values) <= room:
            self._answer(peer, wire.Answer(*header, positions, statuses, list(values), lives_ms))
            return
        at = positions if positions is not None else range(len(values))
        start = size = 0
        for row, value in enumerate(values):
            row_bytes = len(value or b"") + wire.ROW_OVERHEAD_BYTES
            if size and size + row_bytes > room:
                part = slice(start, row)
                self._answer(
                    peer, wire.Answer(*header, list(at[part]), statuses[part], list(values[part]), lives_ms[part])
                )
                start, size = row, 0
            size += row_bytes
        part = slice(start, None)
        self._answer(peer, wire.Answer(*header, list(at[part]), statuses[part], list(values[part]), lives_ms[part]))


class Late:
    """The positions of one request that could not be answered at once."""

    __slots__ = ("_came", "_dispatcher", "_left", "_peer", "_planned", "_request", "bucket", "deadline_s", "flights")

    def __init__(
        self,
        dispatcher: Dispatcher,
        peer: bytes,
        request: wire.Get | wire.Set | wire.Delete,
        count: int,
        deadline_s: float,
    ) -> None:
        self._dispatcher = dispatcher
        self._peer = peer
        self._request = request
        self._left = count
        self._came: list[tuple[int, Outcome]] = []
        self._planned = False
        self.bucket = 0
        self.deadline_s = deadline_s
        self.flights: list[tuple[Flight, Waiter]] = []

    def waiter(self, at: int) -> Waiter:
        """For the flight of position ``at``."""
        return partial(self._arrive, at)

    def _arrive(self, at: int, outcome: Outcome) -> None:
        if not self._left:
            return
        self._came.append((at, outcome))
        if not self._planned:
            self._planned = True
            self._dispatcher.call_soon(self.flush)

    def flush(self) -> None:
        """Send what has come."""
        self._planned = False
        if self._came and self._left:
            came, self._came = self._came, []
            self._left -= len(came)
            self._dispatcher.settle(self._peer, len(came))
            self._dispatcher._send_outcomes(self._peer, self._request, came)
            if not self._left:
                self._dispatcher.forget(self)
                self._let_go()

    def expire(self) -> None:
        """The request's deadline has passed: the asker has told its callers, so nothing is sent."""
        if self._left:
            self._dispatcher.settle(self._peer, self._left)
            self._left = 0
            for flight, waiter in self.flights:
                flight.leave(waiter)
            self._let_go()

    def _let_go(self) -> None:
        # The waiters hold this object and it holds them: a ring of references for each miss, which only a full collection would find, slowly.
        self.flights.clear()


def _text(error: ZmcacheError) -> str:
    # What a loader raised may hold anything, lone surrogates from file names too, and those cannot be encoded.
    return str(error)[:1024].encode(errors="replace").decode()
