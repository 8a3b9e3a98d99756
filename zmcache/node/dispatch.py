"""Requests from the wire to answers on the wire. A hit is answered inside the drain callback that brought it; a miss costs no task.

Hits of a GET go out at once. Its misses join flights and go out later (`zmcache.node.late`), under the same request id, each answer
naming the positions it fills.

A frame that breaks a rule is counted and, where its request id could be read, refused; the next one is served as if nothing had been.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol, TypeAlias

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.deadlines import Deadlines
from zmcache.errors import Busy, PeerUnavailable, ProtocolError, UnknownGroup, ZmcacheError
from zmcache.group import ABSENT, LocalGroup, hit
from zmcache.node.late import Late, Row
from zmcache.node.rows import TEXT_BYTES, Values, error_text, lives_ms, parts, rows_bytes

_LOG_PAUSE_S: Final = 5.0
_HEADER_BYTES: Final = 1024  # a generous guess of what an answer holds besides its rows

_Request: TypeAlias = wire.Get | wire.Set | wire.Delete

_log = logging.getLogger("zmcache.node")


class Desk(Protocol):
    """What the dispatcher needs of its node."""

    @property
    def epoch(self) -> Epoch:
        """That of the ring in use."""

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives the key to this node."""

    def look_back(self) -> None:
        """Before a write: notice now whether the node stood still, for then the frame may be older than what others wrote meanwhile."""

    def members_frame(self, request_id: int) -> bytes:
        """The answer to TOPOLOGY, encoded."""

    def figures_frame(self, request_id: int) -> bytes:
        """The answer to STATS, encoded."""


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
        self._room = limits.message_bytes - _HEADER_BYTES
        # So many rows fit one message, whatever they hold.
        self._rows_that_fit = self._room // (max(limits.value_bytes, TEXT_BYTES) + wire.ROW_OVERHEAD_BYTES)
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
            self._send(peer, self._desk.members_frame(request.request_id))
        elif request.kind == wire.STATS:
            self._send(peer, self._desk.figures_frame(request.request_id))
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
        self._answer(peer, wire.Refusal(*header, error.code, error_text(error)))

    def _answer(self, peer: bytes, reply: wire.Reply) -> None:
        self._send(peer, wire.encode(reply))

    # -- keys ------------------------------------------------------------------------------------------------------

    def _group(self, peer: bytes, request: _Request) -> LocalGroup | None:
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
        self._send_rows(peer, get, None, bytes(len(keys)), values, lives_ms(expiries, now_s))

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
        found: list[Row] = []
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
                late.joined(group.begin(get.keys[at], waiter, late.deadline_s, forwarded=forwarded), waiter)

    def _write(self, peer: bytes, request: wire.Set | wire.Delete) -> None:
        group = self._group(peer, request)
        if group is None:
            return
        late = self._late(peer, request, len(request.keys))
        if late is None:
            return
        self._desk.look_back()
        forwarded = bool(request.flags & wire.FORWARDED)
        for at, key in enumerate(request.keys):
            value, ttl_ms = (request.values[at], request.ttls_ms[at]) if isinstance(request, wire.Set) else (b"", 0)
            group.write(request.kind, key, value, ttl_ms, late.deadline_s, late.waiter(at), forwarded=forwarded)
        # What was written here needs no further turn of the loop.
        late.flush()

    def _late(self, peer: bytes, request: _Request, count: int) -> Late | None:
        inflight = self._inflight.get(peer, 0) + count
        if inflight > self._limits.inflight_requests:
            self._refuse(peer, request.request_id, Busy(f"{inflight} requests of one connection are in flight"))
            return None
        self._inflight[peer] = inflight
        return Late(
            count,
            self.last_request_s + request.deadline_ms / 1000,
            loop=self._loop,
            deadlines=self._deadlines,
            send=partial(self._send_late, peer, request),
            give_up=partial(self._settle, peer),
        )

    def _settle(self, peer: bytes, count: int) -> None:
        """That many keys of a connection are answered or given up."""
        left = self._inflight[peer] - count
        if left:
            self._inflight[peer] = left
        else:
            del self._inflight[peer]

    # -- answers ---------------------------------------------------------------------------------------------------

    def _send_late(self, peer: bytes, request: _Request, rows: list[Row]) -> None:
        self._settle(peer, len(rows))
        self._send_outcomes(peer, request, rows)

    def _send_outcomes(self, peer: bytes, request: _Request, rows: list[Row]) -> None:
        now_s = self._clock()
        self._send_rows(
            peer,
            request,
            [at for at, _ in rows],
            bytes(outcome.status for _, outcome in rows),
            [outcome.value if outcome.error is None else error_text(outcome.error) for _, outcome in rows],
            # What was found at the beginning of this turn may have ended by now.
            lives_ms([max(outcome.expires_at_s, now_s) for _, outcome in rows], now_s),
        )

    def _send_rows(
        self,
        peer: bytes,
        request: _Request,
        positions: list[int] | None,
        statuses: bytes,
        values: Values,
        lives: list[int],
    ) -> None:
        """One answer, or as many as keep each within the message limit. ``positions`` are None where every key was found."""
        epoch = self._desk.epoch
        flags = 0
        if request.revision != epoch.revision or request.digest != epoch.digest:
            is_ours = self._desk.is_ours
            if not all(is_ours(key) for key in request.keys):
                flags = wire.NOT_OWNER
        header = wire.header(wire.ANSWER, request.request_id, epoch, flags=flags)
        if len(values) <= self._rows_that_fit or rows_bytes(values, all_found=positions is None) <= self._room:
            self._answer(peer, wire.Answer(*header, positions, statuses, list(values), lives))
            return
        at = positions if positions is not None else range(len(values))
        for part in parts(values, self._room):
            self._answer(peer, wire.Answer(*header, list(at[part]), statuses[part], list(values[part]), lives[part]))
