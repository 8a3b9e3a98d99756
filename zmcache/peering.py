"""What a group needs of the other nodes: who holds what, and how they are asked. Who knows of rings and sockets has it (`zmcache.peers.remote`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from zmcache.copying import Holders
from zmcache.core.explained import Explanation
from zmcache.core.flight import Waiter
from zmcache.core.wire import Change


class Leavable(Protocol):
    """What a waiter has joined."""

    def leave(self, waiter: Waiter) -> None:
        """Stop waiting."""


class Peers(Holders, Protocol):
    """What a group needs to know of the other nodes."""

    @property
    def ring_token(self) -> object:
        """Changes its identity whenever the ring changes."""

    def is_ours(self, key: str) -> bool:
        """Whether the ring gives ``key`` to this node."""

    @property
    def is_settled(self) -> bool:
        """Whether nobody joins."""

    def stands_in(self, key: str) -> bool:
        """Whether this node is the next owner of ``key``, the one that loads while the owner cannot be reached."""

    def holds(self, key: str, copies: int) -> bool:
        """Whether this node is one of the ``copies`` that are to hold ``key``, by the ring or by that of those who join."""

    def holder(self, copies: int) -> Callable[[str], bool]:
        """`holds` as it is at this moment, whatever becomes of the rings."""

    def is_in_charge(self, key: str, copies: int) -> bool:
        """Whether it is one of those ``copies`` who hold ``key`` while some of them cannot be reached."""

    def reaches_holder(self, key: str, copies: int) -> bool:
        """Whether this node, or one that it can reach, is among the ``copies`` that the ring has hold ``key``."""

    def would_know(self, key: str, copies: int) -> bool:
        """Whether what is not found from here is not there: a holder can be reached that has been given what it is to hold."""

    def sees_all(self, key: str, copies: int) -> bool:
        """Whether this node is to hold ``key`` and reaches all others who are: then nobody writes to it elsewhere."""

    def ask_former(
        self, group: str, key: str, copies: int, window_s: float, deadline_s: float, on_answer: Waiter
    ) -> bool:
        """Where others may hold what is missing here, ask them, one after another, for what they have of ``key``: those who held it ``window_s``
        ago, who may have been written to while this node was away, and its owners where it is none of this node's. False: nobody was asked.
        """

    def ask(
        self, group: str, key: str, deadline_s: float, on_answer: Waiter, trace: str | None, *, keeps: bool = False
    ) -> object:
        """Get ``key`` from its owner or the owner's stand-in. `PeerUnavailable` in the outcome: nobody could be asked.

        ``keeps``: a copy is to be kept, so the owner is asked to tell when it changes; ``teller`` of the outcome says whether it will. What
        is returned is for `give_up`.
        """

    def change(self, group: str, change: Change, deadline_s: float, on_answer: Waiter, trace: str | None) -> object:
        """The same for any other request; one of kind GET is a look at what its owner holds, for an asker who fills."""

    async def explain(self, group: str, key: str, deadline_s: float) -> Explanation:
        """What the others who are to hold ``key`` know of it, and who they are. This node stands among them, in its place or behind them, as
        `HERE`, and nothing is said of what it knows itself.
        """
        ...

    def give_up(self, asked: object) -> None:
        """Nobody waits for this answer any more."""


def is_ours_now(peers: Peers, key: str) -> bool:
    """With the owner out of reach: this node stands in for it, or the ring has just given the key to this node."""
    return peers.stands_in(key) or peers.is_ours(key)


class Asked:
    """A waiter's way out of what another node was asked."""

    __slots__ = ("_asked", "_peers")

    def __init__(self, peers: Peers, asked: object) -> None:
        self._peers, self._asked = peers, asked

    def leave(self, waiter: Waiter) -> None:
        """Stop waiting."""
        self._peers.give_up(self._asked)
