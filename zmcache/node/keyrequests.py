"""What others ask a node of keys: to read them and to change them.

Hits of a GET go out at once. Its misses, and whatever else takes time, join flights and go out later (`zmcache.node.late`), under the
same request id, each answer naming the positions it fills.

Where keys have copies, a node that may have missed something, or cannot reach who holds it, does not say what it does not know: whoever asks is
sent on to another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from zmcache.core import wire
from zmcache.core.marks import Held, all_plain
from zmcache.errors import Busy, PeerUnavailable
from zmcache.group import LocalGroup
from zmcache.node.answering import Answers, KeyRequest
from zmcache.node.followers import Followers
from zmcache.node.inflight import InFlight
from zmcache.node.late import Late, Row
from zmcache.node.rows import changes_of, lives_ms
from zmcache.readthrough import OUT_OF_REACH
from zmcache.tracing import is_traceparent

# What a node answers that is cut off from the others: a question for what it holds, and who has nobody else.
_EVEN_AWAY: Final = wire.PEEK | wire.LAST
# Between nodes, of what was written before: it is taken and told in whatever state this node is.
_OF_COPIES: Final = frozenset({wire.COPY, wire.OFFER})
# What is told of what nobody was found to hold.
_NOT_HELD: Final = frozenset({wire.NO_SUCH_KEY, wire.FROM_LOADER})


class Desk(Protocol):
    """Who knows whether others have to be asked; the node."""

    @property
    def is_away(self) -> bool:
        """Whether no other node can be reached, of several, or could until a moment ago: the others stand in for this one."""

    def would_know(self, key: str, copies: int) -> bool:
        """Whether what this node does not find is held by nobody: it has what it is to hold, or can reach one who has."""

    def look_back(self) -> None:
        """Before a write: notice now whether the node stood still, for then the frame may be older than what others wrote meanwhile."""


class KeyRequests:
    """Serves them. A hit is answered inside the drain callback that brought it; a miss costs no task."""

    def __init__(
        self, desk: Desk, answers: Answers, inflight: InFlight, followers: Followers, clock: Callable[[], float]
    ) -> None:
        self._desk = desk
        self._answers = answers
        self._inflight = inflight
        self._followers = followers
        self._clock = clock
        self.requests = 0
        """Keys asked for by clients."""
        self.forwarded = 0
        """Those that peers passed on."""
        self.last_s = 0.0
        """When the last request came."""

    def _admit(self, peer: bytes, request: KeyRequest, group: LocalGroup) -> bool:
        if (
            group.copies > 1
            and self._desk.is_away
            and not request.flags & _EVEN_AWAY
            and request.kind not in _OF_COPIES
        ):
            # The others have what it holds, and what it has missed; and a set here would reach no copy.
            self._answers.refuse(
                peer, request.request_id, PeerUnavailable("this node cannot reach the others: ask one of them")
            )
            return False
        count = len(request.keys)
        if request.flags & wire.FORWARDED:
            self.forwarded += count
        else:
            self.requests += count
        self.last_s = self._clock()
        return True

    # -- to read them ----------------------------------------------------------------------------------------------

    def get(self, peer: bytes, get: wire.Get, group: LocalGroup) -> None:
        """GET."""
        if not self._admit(peer, get, group):
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
        self._answers.rows(peer, get, None, bytes(len(keys)), values, lives_ms(expiries, now_s))

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
            self._answers.outcomes(peer, get, found, group.clock())
        if missing and group.copies > 1 and not get.flags & _EVEN_AWAY:
            missing = self._send_on(peer, get, group, missing)
        if missing:
            self._look_for(peer, get, group, missing)

    def _send_on(self, peer: bytes, get: wire.Get, group: LocalGroup, missing: list[int]) -> list[int]:
        """Who asks for what only nodes hold that cannot be reached from here is sent to another node: perhaps that one can. The others of them."""
        knows = [self._desk.would_know(get.keys[at], group.copies) for at in missing]
        if all(knows):
            return missing
        rows = [(at, OUT_OF_REACH) for at, is_known in zip(missing, knows, strict=True) if not is_known]
        self._answers.outcomes(peer, get, rows, group.clock())
        return [at for at, is_known in zip(missing, knows, strict=True) if is_known]

    def _look_for(self, peer: bytes, get: wire.Get, group: LocalGroup, missing: list[int]) -> None:
        """Have those positions join their keys' flights, or, for who fills them itself, find out what is known elsewhere."""
        late = self._late(peer, get, group, len(missing))
        if late is None:
            return
        fills, forwarded = bool(get.flags & wire.FILLS), bool(get.flags & wire.FORWARDED)
        trace = get.trace if is_traceparent(get.trace) else None
        last = bool(get.flags & wire.LAST)
        try:
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
        finally:
            late.flush()  # whatever was raised: what has begun is to be answered, and left at the deadline

    def _peek(self, peer: bytes, get: wire.Get, group: LocalGroup) -> None:
        late = self._late(peer, get, group, len(get.keys))
        if late is not None:
            try:
                for at, key in enumerate(get.keys):
                    waiter = late.waiter(at)
                    flight = group.peek_here(key, waiter)
                    if flight is not None:
                        late.joined(at, flight, waiter)
            finally:
                late.flush()

    # -- to change them --------------------------------------------------------------------------------------------

    def change(self, peer: bytes, request: wire.Set | wire.Delete | wire.Changes, group: LocalGroup) -> None:
        """SET, DELETE, or what `wire.Changes` stands for."""
        if not self._admit(peer, request, group):
            return
        late = self._late(peer, request, group, len(request.keys))
        if late is None:
            return
        if request.kind not in _OF_COPIES:
            self._desk.look_back()
        forwarded = bool(request.flags & wire.FORWARDED)
        trace = request.trace if isinstance(request, wire.Changes) and is_traceparent(request.trace) else None
        try:
            for at, change in enumerate(changes_of(request)):
                waiter = late.waiter(at)
                joined = group.change(change, late.deadline_s, waiter, forwarded=forwarded, trace=trace)
                if joined is not None:
                    late.joined(at, joined, waiter)
        finally:
            # What was done here needs no further turn of the loop. Who watches has waited for it longer than who set it.
            self._followers.flush()
            late.flush()

    # -- what could not be answered at once ------------------------------------------------------------------------

    def _late(self, peer: bytes, request: KeyRequest, group: LocalGroup, count: int) -> Late | None:
        deadline_s = self.last_s + request.deadline_ms / 1000
        send = partial(self._send_late, peer, request, group)
        try:
            return self._inflight.begin(peer, request.request_id, count, deadline_s, send)
        except Busy as error:
            self._answers.refuse(peer, request.request_id, error)
            return None

    def _send_late(self, peer: bytes, request: KeyRequest, group: LocalGroup, rows: list[Row]) -> None:
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
        self._answers.outcomes(peer, request, rows, group.clock())

    def _would_know(self, key: str, group: LocalGroup) -> bool:
        return not self._desk.is_away and self._desk.would_know(key, group.copies)
