"""Hedged gets: what the owner is late to answer is asked of another node that holds a copy, and the first answer counts (Dean, Barroso, The Tail at
Scale, CACM 2013).

A get that has waited for longer than 19 of 20 gets of that node do (`zmcache.core.hedging`) is asked for at the next of the key's holders that can be
reached and is not slow. That one only looks at what it holds: it loads nothing and asks nobody, and what it does not have is no answer. Whoever
answers first ends the get, and the other is told that nobody waits any more. No more than a share of all gets are asked twice, and no writes.

It is asked as by who makes values himself (FILLS), not as a former owner (PEEK): one that is cut off from the others, or holds what it was given
long ago in the place of another, then gives nothing rather than what may be old.

What is to be looked after is a batch, not a key: it waits in line, by node, until its time is up, and usually has been answered by then. So a
get costs nothing here, a batch one append, and a node one timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from zmcache.cache.raw import HedgeStatistics, Row
from zmcache.client.asking import Asking
from zmcache.client.bulk import Flight
from zmcache.client.route import Route
from zmcache.core.hedging import Allowance, Lateness
from zmcache.core.wire import FILLS, FORWARDED, FROM_HOT, FROM_LOADER, GET, IS_NONE, Answer
from zmcache.errors import ZmcacheError
from zmcache.peers.batch import Batch
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import ATTEMPTS

# When our own loop is as late as this, answers may lie in the socket unread: they are read before anybody is called late.
_OWN_PAUSE_S: Final = 0.002
# From one look to the next: a lone caller's batches are late one by one, and a timer for each would cost more than all else here.
_PAUSE_S: Final = 0.001


class _Awaited:
    """What one node has been asked for, the oldest first, and how late it may be. The flag: whether `Lateness` wants to hear of it."""

    __slots__ = ("batches", "is_timed", "lateness")

    def __init__(self) -> None:
        self.batches: deque[tuple[Batch, bool]] = deque()
        self.lateness = Lateness()
        self.is_timed = False

    def due_s(self) -> float:
        """When the oldest is late."""
        return self.batches[0][0].opened_s + self.lateness.p95_s


class HedgedAsking(Asking):
    """See the module's docstring. ``share``: of all gets, at most so many are asked twice."""

    def __init__(
        self, name: str, route: Route, timeout_s: float, on_unreachable: Callable[[], None], share: float
    ) -> None:
        super().__init__(name, route, timeout_s, on_unreachable)
        self.on_gets = self._await
        self._allowance = Allowance(share)
        self._nodes: dict[Channel, _Awaited] = {}
        self._copies = _Copies(self)
        self._gets = self._hedges = self._won = 0

    def statistics(self) -> HedgeStatistics:
        """A snapshot."""
        p95s_s = {channel.name: node.lateness.p95_s for channel, node in self._nodes.items()}
        return HedgeStatistics(self._gets, self._hedges, self._won, p95s_s)

    def _await(self, batch: Batch) -> None:
        """A batch of gets was opened."""
        if self._route.mesh.copies.get(self.name, 1) == 1:
            return
        node = self._nodes.get(batch.channel)
        if node is None:
            if len(self._nodes) > 2 * len(self._route.mesh.by_index) + 8:
                self._nodes.clear()  # left over from members that are gone
            node = self._nodes[batch.channel] = _Awaited()
        node.batches.append((batch, node.lateness.looks_at(batch.opened_s)))
        if not node.is_timed:
            node.is_timed = True
            self._loop.call_later(node.lateness.p95_s, self._look, node)

    def _look(self, node: _Awaited, *, has_read: bool = False) -> None:
        """The time of the oldest should be up."""
        now_s = self._clock()
        if not has_read and now_s - node.due_s() > _OWN_PAUSE_S:
            self._loop.call_later(_PAUSE_S, partial(self._look, node, has_read=True))
            return
        while node.batches and node.due_s() <= now_s:
            batch, is_looked_at = node.batches.popleft()
            self._gets += len(batch.keys)
            self._allowance.earn(len(batch.keys))
            if is_looked_at:
                # The first key stands for all: of many one is late more often than each of them is.
                node.lateness.ended(late=bool(batch.sinks) and batch.sinks[0] is not None)
            if batch.unanswered and batch.sent:
                self._hedge(batch)
        node.is_timed = bool(node.batches)
        if node.is_timed:
            self._loop.call_later(max(_PAUSE_S, node.due_s() - now_s), self._look, node)

    def _hedge(self, late: Batch) -> None:
        """Ask others for what of this batch somebody still waits for."""
        again: dict[Channel, Batch] = {}
        other_holder = self._route.mesh.other_holder
        flight: Flight
        for flight in late.sinks:
            waiting = None if flight is None else next((future for future in flight[2::2] if not future.done()), None)
            channel = None if waiting is None else other_holder(self.name, flight[0], late.channel)
            if waiting is None or channel is None:
                continue
            if not self._allowance.take():
                return
            batch = again.get(channel)
            if batch is None or not batch.open:
                batch = again[channel] = channel.open_batch(
                    self._copies, GET, self.name, flags=FORWARDED | FILLS, attempt=ATTEMPTS
                )
                batch.trace = late.trace
            batch.add(flight[0], flight, flight[3])
            # However the get ends, the copy need not answer any more. One of those who wait stands for all of them.
            waiting.add_done_callback(partial(self._over, batch, flight))
            self._hedges += 1

    def _over(self, batch: Batch, flight: Flight, _: asyncio.Future[Row]) -> None:
        if batch.unanswered:
            batch.channel.forgo(batch, flight)

    def copy_answers(self, flight: Flight, row: Row) -> None:
        """The holder of a copy has it. Who was asked first may be quicker all the same, in this very turn of the loop."""
        waiting = [future for future in flight[2::2] if not future.done()]
        if not waiting:
            return
        if self._flights.get(flight[0]) is flight:
            del self._flights[flight[0]]
        for future in waiting:
            future.set_result(row)
        self._won += 1
        asked: Batch = flight[1]
        asked.channel.forgo(asked, flight)


class _Copies:
    """The consumer of what is asked of holders of copies: only a value is an answer."""

    def __init__(self, asking: HedgedAsking) -> None:
        self._asking = asking

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """See `Consumer`."""
        for flight, status, value, life_ms, _ in batch.fill(answer):
            if status <= FROM_LOADER or status == IS_NONE:
                self._asking.copy_answers(flight, (value, FROM_HOT if status <= FROM_LOADER else status, life_ms))

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """See `Consumer`. Whoever was asked first goes on."""
        batch.unfilled()
