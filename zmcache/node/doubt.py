"""A node that was away does not know what was written in its place: it asks those who may, and counts who has answered.

Whoever stood in for it, or holds copies of what it holds, hands over what it lacks, and says `HANDED` when that is done
(`zmcache.node.handover`). Until all who can be reached have, a key that is not found here is asked for there before it is loaded, or said
not to exist. Who does not answer in time is asked again, and so is who could not be reached, once it can be. Only when all have answered, those
who are gone from the ring excepted, is this node known to have what it is to hold by that ring (`Mesh.known_ring`). Each doubt has a number, by which
the word that was given for an earlier one is known.

A node that joins waits for the same word from all who serve, who send it by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from zmcache.core.ring import SERVING
from zmcache.core.wire import DOUBT, Header, Reply, Word
from zmcache.errors import DeadlineExceeded, RequestError
from zmcache.peers.channel import State
from zmcache.peers.mesh import Mesh

_EARLY_MOST: Final = 4096  # names; whoever says so may give any
_GONE: Final = frozenset({State.DOWN, State.SUSPECT, State.CLOSED})


class Doubt:
    """What one node waits for of its peers."""

    def __init__(self, mesh: Mesh, self_id: str) -> None:
        self._mesh = mesh
        self._me = self_id
        self._loop = asyncio.get_running_loop()
        # Not from one: peers may still owe a word to who had this name before.
        self._number = int(mesh.clock() * 1000)
        self._has_begun = False
        self._ring = mesh.ring
        self._waiting: set[str] = set()
        self._unheard: set[str] = set()  # who has not answered, whether it is waited for or not
        self._within_s = 0.0
        self._early: set[str] = set()  # who has said so before it was waited for
        self._joins = False
        self._timer: asyncio.TimerHandle | None = None
        self._on_given_up: Callable[[], None] = lambda: None
        self._over = asyncio.Event()
        self._over.set()

    def begin(self, within_s: float, on_given_up: Callable[[], None], *, ask: bool = True, again: bool = False) -> None:
        """Doubt from now on. ``on_given_up`` is called where a peer that can be reached has not answered ``within_s``, and may begin again.
        ``ask``: the peers do not know by themselves. ``again``: it is the doubt that was given up, of those who have not answered.
        """
        self._joins, self._has_begun = not ask, True
        self._number += not again
        if not again:
            # All hand over by the ring of who joins: who is to hold a key only until that one serves is given nothing.
            self._ring, self._unheard = self._mesh.next_ring, set(self._serving())
        if not ask:
            # Who serves may have seen this node in its ring, and have been done, before this node has one itself.
            self._unheard -= self._early
        self._early.clear()
        self._waiting = {peer for peer in self._serving() if peer in self._unheard and self._may_answer(peer)}
        self._within_s, self._on_given_up = within_s, on_given_up
        self._wait()
        if ask:
            for peer in list(self._waiting):
                self._ask(peer)
        self._look()

    def on_back(self, peer: str) -> None:
        """A peer can be reached again. What it could not be asked before, it is asked now."""
        if peer in self._unheard and peer not in self._waiting and not self._joins:
            self._waiting.add(peer)
            if self._over.is_set():
                self._wait()
            self._ask(peer)

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._within_s, self._give_up)
        self._over.clear()
        self._mesh.catches_up = True

    def _ask(self, peer: str) -> None:
        channel = self._mesh.channel_of(peer)
        if channel is not None:
            asked = channel.query(DOUBT, self._mesh.clock() + self._within_s, self._me, make=self._word)
            asked.add_done_callback(partial(self._asked, peer, self._number))

    def _word(self, header: Header) -> Word:
        return Word(*header, self._number)

    def handed(self, peer: str, number: int) -> None:
        """From the dispatcher: ``peer`` has handed over all that it had for this node, for the doubt of that number, or (0) by itself."""
        if number != (0 if self._joins or not self._has_begun else self._number):
            return
        if peer not in self._waiting and len(self._early) < _EARLY_MOST:
            self._early.add(peer)
        if not self._has_begun:
            return  # nobody is waited for yet, which is not to say that all have answered
        self._waiting.discard(peer)
        self._unheard.discard(peer)
        self._look()

    async def wait_over(self) -> None:
        """Return when all have answered, or it was given up."""
        while not self._over.is_set():
            self._look()
            try:
                await asyncio.wait_for(self._over.wait(), 0.2)
            except TimeoutError:
                continue

    @property
    def is_over(self) -> bool:
        """Whether nothing is waited for."""
        return self._over.is_set()

    def close(self) -> None:
        """Wait no more."""
        self._end()

    def _serving(self) -> list[str]:
        members = self._mesh.ring.members
        return [member.node_id for member in members if member.state == SERVING and member.node_id != self._me]

    def _may_answer(self, peer: str) -> bool:
        """Who joins has time: a member that it cannot reach holds what nobody else may have, and may be back before its lease ends."""
        channel = self._mesh.channel_of(peer)
        return channel is not None and (self._joins or channel.state not in _GONE)

    def _asked(self, peer: str, number: int, future: asyncio.Future[Reply]) -> None:
        if future.cancelled() or (error := future.exception()) is None or number != self._number:
            return
        if isinstance(error, DeadlineExceeded):
            return  # it is given up in this moment, and may be asked again
        # It cannot be reached, is too busy, or does not know the question.
        self._waiting.discard(peer)
        if isinstance(error, RequestError):
            self._unheard.discard(peer)
        self._look()

    def _look(self) -> None:
        mesh = self._mesh
        self._waiting = {peer for peer in self._waiting if peer in mesh.ring and self._may_answer(peer)}
        self._unheard = {peer for peer in self._unheard if peer in mesh.ring}
        if not self._unheard:
            mesh.known_ring = mesh.ring if self._ring.places_as(mesh.ring) else self._ring
        if not self._waiting:
            self._end()

    def _give_up(self) -> None:
        self._look()
        if not self._over.is_set():
            self._end()
            self._on_given_up()

    def _end(self) -> None:
        self._waiting.clear()
        self._mesh.catches_up = False
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
