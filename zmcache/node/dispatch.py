"""Requests from the wire: which frame is whose, and who serves it.

What is asked of keys is served by `zmcache.node.keyrequests`, inside the drain callback that brought it; what is asked of tags by
`zmcache.node.tagrequests`; who wants to be told of changes by `zmcache.node.followers`; what concerns the node itself by the node.

A frame that breaks a rule is counted and, where its request id could be read, refused; the next one is served as if nothing had been.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from zmcache.core import wire
from zmcache.core.explained import explained
from zmcache.core.ring import Epoch
from zmcache.core.tags import WHOLE_GROUP
from zmcache.deadlines import Deadlines
from zmcache.errors import Busy, PeerUnavailable, ProtocolError, RequestError, UnknownGroup, ZmcacheError
from zmcache.group import LocalGroup
from zmcache.node import answering, keyrequests, tagrequests
from zmcache.node.followers import Followers
from zmcache.node.inflight import InFlight
from zmcache.peers.telling import tags_at_once

_LOG_PAUSE_S: Final = 5.0

# Whether the node serves or not. Between nodes: who joins is filled, who leaves answers for what it hands over. And how it is, for who wonders.
_AT_ANY_TIME: Final = frozenset(
    {
        wire.PING, wire.COPY, wire.OFFER, wire.DIGESTS, wire.DOUBT, wire.HANDED, wire.USED, wire.STATS,
        wire.EXPLAIN, wire.MOMENT, wire.INVALIDATE, wire.GENERATIONS,
    }
)  # fmt: skip

_log = logging.getLogger("zmcache.node")


class Desk(answering.Desk, keyrequests.Desk, tagrequests.Desk, Protocol):
    """What the dispatcher needs of its node."""

    @property
    def node_id(self) -> str:
        """Its own."""

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
        self._send = send
        self._clock = clock
        self._answers = answering.Answers(desk, limits, send)
        self._inflight = InFlight(limits.inflight_requests, deadlines)
        self._key_requests = keyrequests.KeyRequests(desk, self._answers, self._inflight, followers, clock)
        self._tag_requests = tagrequests.TagRequests(desk, self._answers.answer, followers.flush, tags_at_once(limits))
        self._logged_s = -math.inf
        self._frames = self._bad_frames = 0
        self.serving = False

    @property
    def late(self) -> int:
        """Keys that were asked for and are not answered yet."""
        return self._inflight.keys

    @property
    def last_request_s(self) -> float:
        """When keys were asked for last."""
        return self._key_requests.last_s

    def statistics(self) -> dict[str, float]:
        """Counters by name."""
        return {
            "serving": float(self.serving),
            "requests": self._key_requests.requests,
            "forwarded": self._key_requests.forwarded,
            "late": self.late,
            "frames": self._frames,
            "bad_frames": self._bad_frames,
            "refused": self._answers.refused,
            "cancelled": self._inflight.cancelled,
        }

    def on_frame(self, peer: bytes, frame: bytes) -> None:
        """From the listener."""
        self._frames += 1
        try:
            request = wire.decode(frame, self._limits)
        except wire.BadFrame as error:
            self._refuse_frame(peer, error)
            return
        if isinstance(request, wire.Cancel):
            self._inflight.cancel(peer, request)
        elif not self.serving and request.kind not in _AT_ANY_TIME:
            # Not `Busy`, which is an answer: this sends the asker on to the next node.
            self._answers.refuse(peer, request.request_id, PeerUnavailable("the node is starting or stopping"))
        elif isinstance(request, wire.Get):
            group = self._known_group(peer, request)
            if group is not None:
                self._key_requests.get(peer, request, group)
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
            group = self._known_group(peer, request)
            if group is not None:
                self._key_requests.change(peer, request, group)
        elif request.kind in (wire.MOMENT, wire.INVALIDATE, wire.GENERATIONS):
            self._of_tags(peer, request)
        elif isinstance(request, wire.Digests):
            self._compare(peer, request)
        elif request.kind == wire.PING:
            self._answers.pong(peer, request)
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
            self._answers.refuse(
                peer, request.request_id, RequestError("this node is part of a program, which has to stop it")
            )
            return
        self._answers.pong(peer, request)

    def _of_tags(self, peer: bytes, request: wire.Message) -> None:
        group = self._known_group(peer, request)
        if group is not None:
            try:
                self._tag_requests.serve(peer, request, group.tags)
            except RequestError as error:
                self._answers.refuse(peer, request.request_id, error)

    def _watch(self, peer: bytes, request: wire.Delete) -> None:
        group = self._known_group(peer, request)
        if group is None:
            return
        if request.kind == wire.UNWATCH:
            self._followers.unwatch(peer, group, request.keys)
            self._answers.pong(peer, request)
        elif not all(map(self._desk.is_ours, request.keys)):
            self._answers.refuse(peer, request.request_id, PeerUnavailable("another node owns some of these keys"))
        elif self._followers.watch(peer, group, request.keys):
            # The values that are there come as the first news, in order with those that follow.
            self._answers.pong(peer, request)
        else:
            self._answers.refuse(peer, request.request_id, Busy("too many connections follow this node"))

    def _following(self, peer: bytes, request: wire.Following) -> None:
        try:
            frame = self._followers.following(peer, request)
        except Busy as error:
            self._answers.refuse(peer, request.request_id, error)
            return
        if frame is None:
            self._answers.refuse(peer, request.request_id, Busy("too many connections follow this node"))
        else:
            self._send(peer, frame)

    def _explain(self, peer: bytes, request: wire.Delete) -> None:
        group = self._known_group(peer, request)
        if group is not None:
            header = wire.header(wire.EXPLAINED, request.request_id, self._desk.epoch, group=self._desk.node_id)
            self._answers.answer(peer, explained(header, group.explaining.look(request.keys[0])))

    def _compare(self, peer: bytes, request: wire.Digests) -> None:
        if self._known_group(peer, request) is None:
            return

        def answer(statuses: bytes) -> None:
            header = wire.header(wire.ANSWER, request.request_id, self._desk.epoch)
            count = len(statuses)
            self._answers.answer(peer, wire.Answer(*header, None, statuses, [None] * count, [0] * count))

        if not self._desk.compare(request, answer):
            self._answers.refuse(peer, request.request_id, Busy("too many nodes are being compared with"))

    def _clear(self, peer: bytes, request: wire.Query | wire.Reply | wire.Request) -> None:
        """From a client of before there were tags: it asks each node by itself."""
        group = self._known_group(peer, request)
        if group is not None:
            pong = wire.Query(*wire.header(wire.PONG, request.request_id, self._desk.epoch))
            group.tags.hear([WHOLE_GROUP], [group.tags.moment()], done=lambda: self._answers.answer(peer, pong))

    def _refuse_frame(self, peer: bytes, error: wire.BadFrame) -> None:
        self._bad_frames += 1
        now_s = self._clock()
        if now_s - self._logged_s >= _LOG_PAUSE_S:
            self._logged_s = now_s
            _log.warning("a bad frame (%d so far): %s", self._bad_frames, error)
        if error.request_id is not None:
            cause = error.__cause__
            self._answers.refuse(
                peer, error.request_id, cause if isinstance(cause, ZmcacheError) else ProtocolError(str(error))
            )

    def _known_group(self, peer: bytes, request: wire.Message) -> LocalGroup | None:
        group = self._groups.get(request.group)
        if group is None:
            reason = f"there is no group {request.group[:64]!r} on this node"
            self._answers.refuse(peer, request.request_id, UnknownGroup(reason))
        return group
