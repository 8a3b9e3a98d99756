"""What others ask a node of tags: for its moment, to hear what was invalidated, and what it knows that they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.core.wire import FORWARDED, INVALIDATE, MOMENT, PONG
from zmcache.invalidating import Invalidating


class Desk(Protocol):
    """What has to hear of it; the node."""

    @property
    def epoch(self) -> Epoch:
        """That of the ring in use."""

    def on_invalidated(self, request: wire.Invalidate) -> None:
        """Somebody told this node, and perhaps not all that are in its ring."""

    def on_other_tags(self, peer: str) -> None:
        """That node has heard of other tags than this one."""


class TagRequests:
    """Answers them. ``flush`` tells those who keep copies or watch; ``most``: tags in one message."""

    def __init__(
        self, desk: Desk, answer: Callable[[bytes, wire.Reply], None], flush: Callable[[], None], most: int
    ) -> None:
        self._desk = desk
        self._answer = answer
        self._flush = flush
        self._most = most

    def serve(self, peer: bytes, request: wire.Message, tags: Invalidating) -> None:
        """MOMENT, INVALIDATE or GENERATIONS, of the group that has these. Raises `RequestError` for what is refused."""
        if isinstance(request, wire.Invalidate):
            self._hear(peer, request, tags)
        elif isinstance(request, wire.Digests):
            reply = self._compared(request, tags)
            self._answer(peer, reply)
            if reply.kind != PONG:
                self._desk.on_other_tags(request.sender)
        else:
            self._answer(peer, wire.Word(*self._header(MOMENT, request), tags.moment()))

    def _hear(self, peer: bytes, request: wire.Invalidate, tags: Invalidating) -> None:
        def done() -> None:
            # In this order, on one connection: so who hears that it is done gives no copy any more.
            self._flush()
            self._answer(peer, wire.Query(*self._header(PONG, request)))

        tags.hear(request.tags, request.versions, request.floor, done)
        if not request.flags & FORWARDED:
            self._desk.on_invalidated(request)

    def _compared(self, request: wire.Digests, tags: Invalidating) -> wire.Reply:
        """What the asker does not know; to a digest of everything only whether there is anything."""
        generations = tags.generations
        if len(request.digests) == 1:
            if request.digests[0] == generations.digest():
                return wire.Query(*self._header(PONG, request))
            return wire.Invalidate(*self._header(INVALIDATE, request), [], [], generations.floor)
        rows = generations.differing(request.digests, self._most)
        names, versions = [tag for tag, _ in rows], [version for _, version in rows]
        return wire.Invalidate(*self._header(INVALIDATE, request), names, versions, generations.floor)

    def _header(self, kind: int, request: wire.Message) -> wire.Header:
        return wire.header(kind, request.request_id, self._desk.epoch)
