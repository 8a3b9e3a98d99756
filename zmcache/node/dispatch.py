"""Requests from the wire to answers on the wire. A hit is answered inside the drain callback that brought it; a miss costs no task.

Hits of a GET go out at once. Its misses, and whatever else takes time, join flights and go out later (`zmcache.node.late`), under the
same request id, each answer naming the positions it fills.

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
from zmcache.core.explained import explained
from zmcache.core.marks import Held, all_plain
from zmcache.core.ring import Epoch
from zmcache.core.tags import WHOLE_GROUP
from zmcache.deadlines import Deadlines
from zmcache.errors import Busy, PeerUnavailable, ProtocolError, RequestError, UnknownGroup, ZmcacheError
from zmcache.group import OUT_OF_REACH, LocalGroup
from zmcache.node import tagrequests
from zmcache.node.followers import Followers
from zmcache.node.late import Late, Row
from zmcache.node.rows import TEXT_BYTES, Values, changes_of, error_text, lives_ms, parts, rows_bytes
from zmcache.peers.telling import tags_at_once
from zmcache.tracing import is_traceparent

_LOG_PAUSE_S: Final = 5.0
_HEADER_BYTES: Final = 1024  # a generous guess of what an answer holds besides its rows

_Request: TypeAlias = wire.Get | wire.Set | wire.Delete | wire.Changes
# Whether the node serves or not. Between nodes: who joins is filled, who leaves answers for what it hands over. And how it is, for who wonders.
_AT_ANY_TIME: Final = frozenset(
    {
        wire.PING, wire.COPY, wire.OFFER, wire.DIGESTS, wire.DOUBT, wire.HANDED, wire.USED, wire.STATS,
        wire.EXPLAIN, wire.MOMENT, wire.INVALIDATE, wire.GENERATIONS,
    }
)  # fmt: skip

# What a node answers that is cut off from the others: a question for what it holds, and who has nobody else.
_EVEN_AWAY: Final = wire.PEEK | wire.LAST
# What is told of what nobody was found to hold.
_NOT_HELD: Final = frozenset({wire.NO_SUCH_KEY, wire.FROM_LOADER})

_log = logging.getLogger("zmcache.node")


class Desk(tagrequests.Desk, Protocol):
    """What the dispatcher needs of its node."""

    @property
    def node_id(self) -> str:
        """Its own."""

    @property
    def is_away(self) -> bool:
        """Whether no other node can be reached, of several, or could until a moment ago: the others stand in for this one."""

    def would_know(self, key: str, copies: int) -> bool:
        """Whether what this node does not find is held by nobody: it has what it is to hold, or can reach one who has."""

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives the key to this node."""

    def look_back(self) -> None:
        """Before a write: notice now whether the node stood still, for then the frame may be older than what others wrote meanwhile."""

    def members_frame(self, request_id: int) -> bytes:
        """The answer to TOPOLOGY, encoded."""

    def figures_frame(self, request_id: int) -> bytes:
        """The answer to STATS, encoded."""

    def on_doubt(self, peer: str, number: int, epoch: Epoch) -> None:
        """A node, whose ring is of that epoch, was away or is to hold more: it is to be handed over what it lacks, and told by that number."""

    def on_handed(self, peer: str, number: int) -> None:
        """A node has handed over to this one all that it had for it, as the doubt of that number asked."""

    def compare(self, request: wire.Digests, answer: Callable[[bytes], None]) -> bool:
        """``answer`` with a status for each bucket, once all that is held here has been walked over. False: it will not be, for now."""

    def leave(self, *, anew: bool) -> bool:
        """Leave the ring and end, and begin again if ``anew``. False: this node is not a process by itself."""


class Dispatcher:
    """Serves one listener's frames from a node's groups."""

    def __init__(
        self,
        desk: Desk,
        groups: Mapping[str, LocalGroup],
        limits: wire.Limits,
        deadlines: Deadlines,
        send: Callable[[bytes, bytes], bool],
        followers: Followers,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desk = desk
        self._followers = followers
        self._groups = groups
        self._limits = limits
        self._deadlines = deadlines
        self._send = send
        self._clock = clock
        self._tag_requests = tagrequests.TagRequests(desk, self._answer, followers.flush, tags_at_once(limits))
        self._loop = asyncio.get_running_loop()
        self._room = limits.message_bytes - _HEADER_BYTES
        # So many rows fit one message, whatever they hold.
        self._rows_that_fit = self._room // (max(limits.value_bytes, TEXT_BYTES) + wire.ROW_OVERHEAD_BYTES)
        self._inflight: dict[bytes, int] = {}
        self._lates: dict[tuple[bytes, int], Late] = {}
        self._logged_s = -math.inf
        self.serving = False
        self.requests = 0
        self.forwarded = 0
        self.frames = 0
        self.bad_frames = 0
        self.refused = 0
        self.cancelled = 0
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
        if isinstance(request, wire.Cancel):
            self._cancel(peer, request)
        elif not self.serving and request.kind not in _AT_ANY_TIME:
            # Not `Busy`, which is an answer: this sends the asker on to the next node.
            self._refuse(peer, request.request_id, PeerUnavailable("the node is starting or stopping"))
        elif isinstance(request, wire.Get):
            self._get(peer, request)
        elif request.kind == wire.USED and isinstance(request, wire.Delete):
            group = self._known_group(peer, request)
            if group is not None:
                group.note_used(request.keys)
        elif request.kind == wire.EXPLAIN and isinstance(request, wire.Delete):
            self._explain(peer, request)
        elif request.kind in (wire.WATCH, wire.UNWATCH) and isinstance(request, wire.Delete):
            self._watch(peer, request)
        elif isinstance(request, wire.Following):
            self._following(peer, request)
        elif isinstance(request, (wire.Set, wire.Delete, wire.Changes)):
            self._change(peer, request)
        elif request.kind in (wire.MOMENT, wire.INVALIDATE, wire.GENERATIONS):
            self._of_tags(peer, request)
        elif isinstance(request, wire.Digests):
            self._compare(peer, request)
        elif request.kind == wire.PING:
            self._answer(peer, wire.Query(*wire.header(wire.PONG, request.request_id, self._desk.epoch)))
        elif request.kind == wire.TOPOLOGY:
            self._send(peer, self._desk.members_frame(request.request_id))
        elif request.kind == wire.STATS:
            self._send(peer, self._desk.figures_frame(request.request_id))
        elif request.kind == wire.CLEAR:
            self._clear(peer, request)
        elif request.kind in (wire.DOUBT, wire.HANDED, wire.LEAVE):
            self._of_nodes(peer, request)
        else:
            self._refuse_frame(peer, wire.BadFrame(f"kind {request.kind} is an answer", request_id=request.request_id))

    def _of_nodes(self, peer: bytes, request: wire.Message) -> None:
        if isinstance(request, wire.Word):
            if request.kind == wire.DOUBT:
                self._desk.on_doubt(request.group, request.number, Epoch(request.revision, request.digest))
            else:
                self._desk.on_handed(request.group, request.number)
        elif not self._desk.leave(anew=bool(request.flags & wire.ANEW)):
            self._refuse(peer, request.request_id, RequestError("this node is part of a program, which has to stop it"))
            return
        self._answer(peer, wire.Query(*wire.header(wire.PONG, request.request_id, self._desk.epoch)))

    def _of_tags(self, peer: bytes, request: wire.Message) -> None:
        group = self._known_group(peer, request)
        if group is not None:
            try:
                self._tag_requests.serve(peer, request, group.tags)
            except RequestError as error:
                self._refuse(peer, request.request_id, error)

    def _watch(self, peer: bytes, request: wire.Delete) -> None:
        group = self._known_group(peer, request)
        if group is None:
            return
        if request.kind == wire.UNWATCH:
            self._followers.unwatch(peer, group, request.keys)
            self._answer(peer, wire.Query(*wire.header(wire.PONG, request.request_id, self._desk.epoch)))
        elif not all(map(self._desk.is_ours, request.keys)):
            self._refuse(peer, request.request_id, PeerUnavailable("another node owns some of these keys"))
        elif self._followers.watch(peer, group, request.keys):
            # The values that are there come as the first news, in order with those that follow.
            self._answer(peer, wire.Query(*wire.header(wire.PONG, request.request_id, self._desk.epoch)))
        else:
            self._refuse(peer, request.request_id, Busy("too many connections follow this node"))

    def _following(self, peer: bytes, request: wire.Following) -> None:
        try:
            frame = self._followers.following(peer, request)
        except Busy as error:
            self._refuse(peer, request.request_id, error)
            return
        if frame is None:
            self._refuse(peer, request.request_id, Busy("too many connections follow this node"))
        else:
            self._send(peer, frame)

    def _explain(self, peer: bytes, request: wire.Delete) -> None:
        group = self._known_group(peer, request)
        if group is not None:
            header = wire.header(wire.EXPLAINED, request.request_id, self._desk.epoch, group=self._desk.node_id)
            self._answer(peer, explained(header, group.explaining.look(request.keys[0])))

    def _compare(self, peer: bytes, request: wire.Digests) -> None:
        if self._known_group(peer, request) is None:
            return

        def answer(statuses: bytes) -> None:
            header = wire.header(wire.ANSWER, request.request_id, self._desk.epoch)
            count = len(statuses)
            self._answer(peer, wire.Answer(*header, None, statuses, [None] * count, [0] * count))

        if not self._desk.compare(request, answer):
            self._refuse(peer, request.request_id, Busy("too many nodes are being compared with"))

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

    def _known_group(self, peer: bytes, request: wire.Message) -> LocalGroup | None:
        group = self._groups.get(request.group)
        if group is None:
            reason = f"there is no group {request.group[:64]!r} on this node"
            self._refuse(peer, request.request_id, UnknownGroup(reason))
        return group

    def _group(self, peer: bytes, request: _Request) -> LocalGroup | None:
        group = self._known_group(peer, request)
        if group is None:
            return None
        if (
            group.copies > 1
            and self._desk.is_away
            and not request.flags & _EVEN_AWAY
            and request.kind not in _AT_ANY_TIME
        ):
            # The others have what it holds, and what it has missed; and a set here would reach no copy.
            self._refuse(
                peer, request.request_id, PeerUnavailable("this node cannot reach the others: ask one of them")
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
        if get.flags & wire.PEEK:
            self._peek(peer, get, group)
            return
        now_s = group.clock()
        keys = get.keys
        if get.flags & wire.KEEPS:
            # Before it is read: nothing that changes from now on goes untold.
            self._followers.keep(peer, group, keys if get.kept is None else [keys[at] for at in get.kept])
        values, expiries, from_hot = group.get_local(keys, now_s)
        if from_hot or not all_plain(values):
            self._get_mixed(peer, get, group, values, expiries, from_hot)
            return
        self._send_rows(peer, get, None, bytes(len(keys)), values, lives_ms(expiries, now_s))

    def _get_mixed(
        self,
        peer: bytes,
        get: wire.Get,
        group: LocalGroup,
        values: list[Held | None],
        expiries: list[float],
        from_hot: list[int],
    ) -> None:
        hot, now_s = set(from_hot), group.clock()
        fills = bool(get.flags & wire.FILLS)
        kept = range(len(get.keys)) if get.kept is None else set(get.kept)
        found: list[Row] = []
        missing: list[int] = []
        for at, held in enumerate(values):
            known = None
            if held is not None:
                known = group.found(get.keys[at], held, expiries[at], now_s, hot=at in hot, fills=fills)
            if known is not None:
                if known.has_tags and get.flags & wire.KEEPS and at in kept and not get.flags & wire.FORWARDED:
                    # A client that asks to be told is told when these are invalidated, too, and may keep it. A node is told of tags by whoever
                    # invalidates them, too, and owes it to that one to give nothing with them from then on.
                    known = known._replace(has_tags=False)
                found.append((at, known))
            else:
                missing.append(at)
        if found:
            self._send_outcomes(peer, get, group, found)
        if missing and group.copies > 1 and not get.flags & _EVEN_AWAY:
            missing = self._send_on(peer, get, group, missing)
        if missing:
            late = self._late(peer, get, group, len(missing))
            if late is None:
                return
            forwarded = bool(get.flags & wire.FORWARDED)
            trace = get.trace if is_traceparent(get.trace) else None
            last = bool(get.flags & wire.LAST)
            for at in missing:
                waiter = late.waiter(at)
                if fills:
                    group.peek(get.keys[at], waiter, late.deadline_s, forwarded=forwarded)
                else:
                    flight = group.begin(
                        get.keys[at], waiter, late.deadline_s,
                        forwarded=forwarded, trace=trace, source=peer, last=last,
                    )  # fmt: skip
                    late.joined(at, flight, waiter)
            if fills:
                late.flush()

    def _send_on(self, peer: bytes, get: wire.Get, group: LocalGroup, missing: list[int]) -> list[int]:
        """Who asks for what only nodes hold that cannot be reached from here is sent to another node: perhaps that one can. The others of them."""
        knows = [self._desk.would_know(get.keys[at], group.copies) for at in missing]
        if all(knows):
            return missing
        self._send_outcomes(
            peer, get, group, [(at, OUT_OF_REACH) for at, is_known in zip(missing, knows, strict=True) if not is_known]
        )
        return [at for at, is_known in zip(missing, knows, strict=True) if is_known]

    def _peek(self, peer: bytes, get: wire.Get, group: LocalGroup) -> None:
        late = self._late(peer, get, group, len(get.keys))
        if late is not None:
            for at, key in enumerate(get.keys):
                waiter = late.waiter(at)
                flight = group.peek_here(key, waiter)
                if flight is not None:
                    late.joined(at, flight, waiter)
            late.flush()

    def _change(self, peer: bytes, request: wire.Set | wire.Delete | wire.Changes) -> None:
        group = self._group(peer, request)
        if group is None:
            return
        late = self._late(peer, request, group, len(request.keys))
        if late is None:
            return
        if request.kind not in (wire.COPY, wire.OFFER):
            self._desk.look_back()
        forwarded = bool(request.flags & wire.FORWARDED)
        trace = request.trace if isinstance(request, wire.Changes) and is_traceparent(request.trace) else None
        for at, change in enumerate(changes_of(request)):
            waiter = late.waiter(at)
            joined = group.change(change, late.deadline_s, waiter, forwarded=forwarded, trace=trace)
            if joined is not None:
                late.joined(at, joined, waiter)
        # What was done here needs no further turn of the loop. Who watches has waited for it longer than who set it.
        self._followers.flush()
        late.flush()

    def _clear(self, peer: bytes, request: wire.Query | wire.Reply | wire.Request) -> None:
        """From a client of before there were tags: it asks each node by itself."""
        group = self._known_group(peer, request)
        if group is not None:
            pong = wire.Query(*wire.header(wire.PONG, request.request_id, self._desk.epoch))
            group.tags.hear([WHOLE_GROUP], [group.tags.moment()], done=lambda: self._answer(peer, pong))

    def _cancel(self, peer: bytes, request: wire.Cancel) -> None:
        late = self._lates.get((peer, request.request_id))
        if late is not None:
            self.cancelled += 1
            late.cancel(request.positions)

    def _late(self, peer: bytes, request: _Request, group: LocalGroup, count: int) -> Late | None:
        inflight = self._inflight.get(peer, 0) + count
        if inflight > self._limits.inflight_requests:
            self._refuse(peer, request.request_id, Busy(f"{inflight} requests of one connection are in flight"))
            return None
        self._inflight[peer] = inflight
        name = peer, request.request_id
        late = self._lates[name] = Late(
            count,
            self.last_request_s + request.deadline_ms / 1000,
            loop=self._loop,
            deadlines=self._deadlines,
            send=partial(self._send_late, peer, request, group),
            give_up=partial(self._settle, peer),
            done=partial(self._lates.pop, name, None),
        )
        return late

    def _settle(self, peer: bytes, count: int) -> None:
        """That many keys of a connection are answered or given up."""
        left = self._inflight[peer] - count
        if left:
            self._inflight[peer] = left
        else:
            del self._inflight[peer]

    # -- answers ---------------------------------------------------------------------------------------------------

    def _send_late(self, peer: bytes, request: _Request, group: LocalGroup, rows: list[Row]) -> None:
        self._settle(peer, len(rows))
        if request.kind in (wire.GET, wire.GETS) and group.copies > 1 and not request.flags & _EVEN_AWAY:
            # While it was looked for, or loaded, those who hold it may have gone out of reach: from elsewhere they may not be.
            rows = [
                (at, outcome)
                if outcome.error is not None
                or outcome.status not in _NOT_HELD
                or self._would_know(request.keys[at], group)
                else (at, OUT_OF_REACH)
                for at, outcome in rows
            ]
        self._send_outcomes(peer, request, group, rows)

    def _would_know(self, key: str, group: LocalGroup) -> bool:
        return not self._desk.is_away and self._desk.would_know(key, group.copies)

    def _send_outcomes(self, peer: bytes, request: _Request, group: LocalGroup, rows: list[Row]) -> None:
        now_s = group.clock()
        self._send_rows(
            peer,
            request,
            [at for at, _ in rows],
            bytes(outcome.status for _, outcome in rows),
            [outcome.value if outcome.error is None else error_text(outcome.error) for _, outcome in rows],
            # What was found at the beginning of this turn may have ended by now.
            lives_ms([max(outcome.expires_at_s, now_s) for _, outcome in rows], now_s),
            [outcome.token for _, outcome in rows] if any(outcome.token for _, outcome in rows) else None,
            [wire.TAGS_FLAG * outcome.has_tags for _, outcome in rows]
            if any(outcome.has_tags for _, outcome in rows)
            else None,
        )

    def _send_rows(
        self,
        peer: bytes,
        request: _Request,
        positions: list[int] | None,
        statuses: bytes,
        values: Values,
        lives: list[int],
        tokens: list[int] | None = None,
        value_flags: list[int] | None = None,
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
            self._answer(peer, wire.Answer(*header, positions, statuses, list(values), lives, value_flags, tokens))
            return
        at = positions if positions is not None else range(len(values))
        for part in parts(values, self._room):
            rows = list(at[part]), statuses[part], list(values[part]), lives[part]
            self._answer(peer, wire.Answer(*header, *rows, value_flags and value_flags[part], tokens and tokens[part]))
