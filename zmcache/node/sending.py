"""Copies on their way to peers, many in a message: so many bytes a second at the most, and so many messages on the way at once.

What could not be sent is counted and forgotten here; who hands over hears which peers it was for (`take_failed`), and compares with them anew.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, TypeAlias

from zmcache.core import wire
from zmcache.peers.batch import copies_message
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import Mesh

# Of values of 4 KiB a message of this size takes either end less than a millisecond, and a node that serves is not to be held up for longer.
_MESSAGE_BYTES: Final = 64 * 1024
_MESSAGE_KEYS: Final = 50
_ON_THE_WAY: Final = 8  # some 400 keys, where these are small
_ANSWER_S: Final = 10.0
_BURST_S: Final = 0.01  # of what the rate allows, at once

_Added: TypeAlias = tuple[wire.Change, float]
"""A copy, and when it was added."""

_log = logging.getLogger("zmcache.node")


class Sending:
    """Sends copies over a mesh. ``rate_bytes``: a second."""

    def __init__(self, mesh: Mesh, *, rate_bytes: float) -> None:
        self._mesh = mesh
        self._rate_bytes = rate_bytes
        limits = mesh.limits
        self._message_keys = max(1, min(_MESSAGE_KEYS, limits.keys, limits.inflight_requests // (2 * _ON_THE_WAY)))
        self._message_bytes = min(_MESSAGE_BYTES, limits.message_bytes // 2)
        self._loop = asyncio.get_running_loop()
        self._batches: dict[tuple[str, str], tuple[list[_Added], list[int]]] = {}
        self._on_the_way: set[asyncio.Future[wire.Reply]] = set()
        self._failed: set[str] = set()
        self._free_s = 0.0  # when the next byte may go, by the loop's time
        self.keys = self.bytes = self.failed = 0

    async def add(self, peer: str, group: str, copy: wire.Change) -> None:
        """Send this to ``peer``, soon; waits while too much is on its way."""
        copies, size = self._batches.setdefault((peer, group), ([], [0]))
        bytes_more = len(copy.key) + len(copy.value or b"") + len(copy.tags) + wire.ROW_OVERHEAD_BYTES
        if copies and size[0] + bytes_more > self._mesh.limits.message_bytes // 2:
            del self._batches[peer, group]
            await self._send(peer, group, copies, size[0])
            copies, size = self._batches.setdefault((peer, group), ([], [0]))
        copies.append((copy, self._loop.time()))
        size[0] += bytes_more
        if size[0] >= self._message_bytes or len(copies) >= self._message_keys:
            del self._batches[peer, group]
            await self._send(peer, group, copies, size[0])

    async def flush(self) -> None:
        """Send what has been added."""
        while self._batches:
            (peer, group), (copies, size) = self._batches.popitem()
            await self._send(peer, group, copies, size[0])

    async def wait_sent(self) -> None:
        """Send what has been added, and return when all that is on its way has been answered, or was lost."""
        await self.flush()
        while self._on_the_way:
            await asyncio.wait(set(self._on_the_way))

    def take_failed(self) -> set[str]:
        """The peers that something did not reach since the last time it was asked."""
        failed, self._failed = self._failed, set()
        return failed

    def passed_over(self, peer: str) -> None:
        """One key more that this peer lacks: it cannot be reached."""
        self.failed += 1
        self._failed.add(peer)

    async def _send(self, peer: str, group: str, added: list[_Added], size_bytes: int) -> None:
        while len(self._on_the_way) >= _ON_THE_WAY:
            await asyncio.wait(set(self._on_the_way), return_when=asyncio.FIRST_COMPLETED)
        # Zero, too, where it is behind its rate: between any two messages the loop serves who asks.
        await asyncio.sleep(max(0.0, self._free_s - self._loop.time()))
        self._free_s = max(self._free_s, self._loop.time() - _BURST_S) + size_bytes / self._rate_bytes
        channel = self._mesh.channel_of(peer)
        if channel is None:
            self.failed += len(added)
            self._failed.add(peer)
            return
        now_s = self._loop.time()
        copies = [copy for copy in (_aged(copy, now_s - added_s) for copy, added_s in added) if copy is not None]
        if not copies:
            return
        answer = self._ask(channel, group, copies)
        self._on_the_way.add(answer)
        answer.add_done_callback(lambda future: self._answered(future, peer, len(copies), size_bytes))

    def _ask(self, channel: Channel, group: str, copies: list[wire.Change]) -> asyncio.Future[wire.Reply]:
        return channel.query(
            wire.COPY, self._mesh.clock() + _ANSWER_S, group, make=lambda header: copies_message(header, copies)
        )

    def _answered(self, answer: asyncio.Future[wire.Reply], peer: str, keys: int, size_bytes: int) -> None:
        self._on_the_way.discard(answer)
        if (
            answer.cancelled()
            or answer.exception() is not None
            or not isinstance(reply := answer.result(), wire.Answer)
        ):
            self.failed += keys
            self._failed.add(peer)
            return
        refused = sum(status >= wire.FIRST_ERROR for status in reply.statuses)
        if refused:
            why = next(
                value for status, value in zip(reply.statuses, reply.values, strict=True) if status >= wire.FIRST_ERROR
            )
            _log.warning("%s does not take %d of %d keys: %s", peer, refused, keys, why)
            self.failed += refused
            self._failed.add(peer)
        self.keys += keys - refused
        self.bytes += size_bytes


def _aged(copy: wire.Change, for_s: float) -> wire.Change | None:
    """The copy as it is after it has waited for so long; None: it has ended."""
    if copy.ttl_ms == wire.FOREVER and copy.fresh_ms == wire.FOREVER:
        return copy
    for_ms = int(for_s * 1000)

    def left(life_ms: int) -> int:
        return life_ms if life_ms == wire.FOREVER else max(0, life_ms - for_ms)

    ttl_ms = left(copy.ttl_ms)
    return copy._replace(ttl_ms=ttl_ms, fresh_ms=left(copy.fresh_ms), stale_ms=left(copy.stale_ms)) if ttl_ms else None
